/** Promotions and late machines go by what stands on the machines now, whichever deployment decided about them. */
import { expect, test } from "vitest";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { World } from "./world.fixture.ts";

const WIDE = { waves: [ALL], maxUnavailable: count(9) };
const PROD = { ...WIDE, targets: "env=prod", after: { deploymentOf: "app", targets: "env=staging", soakMs: 0 } as never };

async function staged() {
  const world = new World();
  await world.joinAs({ env: "staging" }, "s1", "s2");
  await world.joinAs({ env: "prod" }, "p1", "p2");
  world.deploy("1", { ...WIDE, targets: "env=staging" });
  world.deploy("1", { ...WIDE, targets: "env=prod" });
  await world.settle("s1", "s2", "p1", "p2");
  return world;
}

test("production does not get what was rolled back in staging, though a pipeline had repeated its file there", async () => {
  const world = await staged();
  const second = world.deploy("2", { ...WIDE, targets: "env=staging" });
  await world.settle("s1", "s2");
  world.deploy("2", { ...WIDE, targets: "env=staging" });
  expect(world.command(second, "rollback").ok).toBe(true);
  await world.settle("s1", "s2");
  expect([world.phase(second), world.wanted("s1"), world.wanted("s2")]).toEqual(["rolled_back", "1", "1"]);
  const prod = world.deploy("2", PROD);
  world.pass(5000, "s1", "s2", "p1", "p2");
  expect([world.phase(prod), world.wanted("p1"), world.wanted("p2")]).toEqual(["pending", "1", "1"]);
});

test("production waits while the release is down everywhere in staging, though a pipeline had repeated its file there", async () => {
  const world = await staged();
  world.deploy("2", { ...WIDE, targets: "env=staging" });
  await world.settle("s1", "s2");
  world.deploy("2", { ...WIDE, targets: "env=staging" });
  for (const machine of ["s1", "s2"]) await world.say(machine, "unhealthy");
  const prod = world.deploy("2", PROD);
  world.pass(5000, "s1", "s2", "p1", "p2");
  expect([world.phase(prod), world.wanted("p1")]).toEqual(["pending", "1"]);
});

test("without the repetition it waits", async () => {
  const world = await staged();
  world.deploy("2", { ...WIDE, targets: "env=staging" });
  await world.settle("s1", "s2");
  for (const machine of ["s1", "s2"]) await world.say(machine, "unhealthy");
  const prod = world.deploy("2", PROD);
  world.pass(5000, "s1", "s2", "p1", "p2");
  expect([world.phase(prod), world.wanted("p1")]).toEqual(["pending", "1"]);
});

test("a late machine waits while the release is down where it already runs, also when machines came back to it by a rollback", async () => {
  const world = new World();
  await world.join("a", "b", "c");
  world.deploy("1", WIDE);
  await world.settle("a", "b", "c");
  const second = world.deploy("2", WIDE);
  await world.settle("a", "b", "c");
  world.command(second, "rollback");
  await world.settle("a", "b", "c");
  expect([world.phase(second), world.wanted("a")]).toEqual(["rolled_back", "1"]);
  for (const machine of ["a", "b", "c"]) await world.say(machine, "unhealthy");
  world.pass(3000, "a", "b", "c");
  await world.join("late");
  world.pass(3000, "a", "b", "c", "late");
  expect(world.wanted("late")).toBeUndefined();
});

test("production does not get what rollback --to took from staging", async () => {
  const world = await staged();
  const second = world.deploy("2", { ...WIDE, targets: "env=staging" });
  await world.settle("s1", "s2");
  expect(world.engine.operators.rollbackTo(second, "1", { by: "anna", reason: "wrong prices" }).ok).toBe(true);
  await world.settle("s1", "s2");
  world.pass(3000, "s1", "s2", "p1", "p2");
  expect([world.wanted("s1"), world.wanted("s2")]).toEqual(["1", "1"]);
  const prod = world.deploy("2", PROD);
  world.pass(5000, "s1", "s2", "p1", "p2");
  expect([world.phase(prod), world.wanted("p1")]).toEqual(["pending", "1"]);
});

test("production does not get a release that another one has taken the place of in staging", async () => {
  const world = await staged();
  for (const version of ["2", "3"]) {
    world.deploy(version, { ...WIDE, targets: "env=staging" });
    await world.settle("s1", "s2");
  }
  const prod = world.deploy("2", PROD);
  world.pass(5000, "s1", "s2", "p1", "p2");
  expect([world.phase(prod), world.wanted("p1")]).toEqual(["pending", "1"]);
});

const ALL_MACHINES = ["s1", "s2", "p1", "p2"];
const SOAKED = { ...PROD, after: { deploymentOf: "app", targets: "env=staging", soakMs: 600_000 } as never };

/** 2 has just succeeded in staging, and is submitted for production. */
async function soaking() {
  const world = await staged();
  const second = world.deploy("2", { ...WIDE, targets: "env=staging" });
  await world.settle("s1", "s2");
  world.pass(2000, ...ALL_MACHINES);
  expect(world.phase(second)).toBe("succeeded");
  const prod = world.deploy("2", SOAKED);
  return { world, prod };
}

test("a promotion's soak is one in which the release stood: it is counted from when it stands again", async () => {
  const { world, prod } = await soaking();
  for (const machine of ["s1", "s2"]) await world.say(machine, "unhealthy");
  world.pass(590_000, ...ALL_MACHINES);
  expect(world.waitingOn(prod)).toMatch(/^d-3 \(app@2 on env=staging\) to have stood for 10m, at /);
  for (const machine of ["s1", "s2"]) await world.say(machine, "healthy");
  world.pass(595_000, ...ALL_MACHINES);
  expect([world.phase(prod), world.wanted("p1")]).toEqual(["pending", "1"]);
  expect(world.waitingOn(prod)).toMatch(/^d-3 \(app@2 on env=staging\) to have stood for 10m, at /);
  world.pass(10_000, ...ALL_MACHINES);
  expect(world.wanted("p1")).toBe("2");
});

test("the same where nobody looked in between: a dip that is over before the next look counts, and machines that were lost for a while", async () => {
  const { world, prod } = await soaking();
  world.pass(400_000, ...ALL_MACHINES);
  for (const phase of ["unhealthy", "healthy"] as const) for (const machine of ["s1", "s2"]) await world.say(machine, phase);
  world.pass(400_000, ...ALL_MACHINES);
  expect(world.phase(prod)).toBe("pending");
  world.pass(20_000, "p1", "p2");
  await world.join("s1");
  await world.join("s2");
  world.pass(595_000, ...ALL_MACHINES);
  expect(world.phase(prod)).toBe("pending");
  world.pass(10_000, ...ALL_MACHINES);
  expect(world.wanted("p1")).toBe("2");
});

test("the same over a restart, and when machines only tell the next controller of it", async () => {
  const { world, prod } = await soaking();
  world.pass(500_000, ...ALL_MACHINES);
  world.startEngine({ isHeard: false });
  for (const phase of ["unhealthy", "healthy"] as const) for (const machine of ["s1", "s2"]) await world.say(machine, phase);
  world.pass(300_000, ...ALL_MACHINES);
  world.startEngine();
  world.pass(290_000, ...ALL_MACHINES);
  expect(world.phase(prod)).toBe("pending");
  world.pass(20_000, ...ALL_MACHINES);
  expect(world.wanted("p1")).toBe("2");
});

test("what one machine of two does is tolerated, as where late machines wait", async () => {
  const { world } = await soaking();
  world.pass(590_000, ...ALL_MACHINES);
  for (const phase of ["unhealthy", "healthy"] as const) await world.say("s1", phase);
  world.pass(20_000, ...ALL_MACHINES);
  expect(world.wanted("p1")).toBe("2");
});

test("a promotion does not begin before each machine was heard after the soak: it may have died in it", async () => {
  const { world, prod } = await soaking();
  world.pass(592_000, ...ALL_MACHINES);
  world.pass(10_000, "p1", "p2");
  expect(world.waitingOn(prod)).toBe("s1 to be heard after app@2 has stood on env=staging for 10m");
  world.pass(60_000, "p1", "p2");
  expect([world.wanted("p1"), world.waitingOn(prod)]).toEqual(["1", "app@2 to be healthy on env=staging: 0 of 2 are now"]);
});

test("nor while each of its machines is on its way with it again", async () => {
  const { world } = await soaking();
  world.pass(595_000, ...ALL_MACHINES);
  for (const machine of ["s1", "s2"]) await world.say(machine, "probing");
  world.pass(10_000, ...ALL_MACHINES);
  expect(world.wanted("p1")).toBe("1");
});

test("what has stood for its soak already when production is submitted is not soaked anew", async () => {
  const world = await staged();
  world.deploy("2", { ...WIDE, targets: "env=staging" });
  await world.settle("s1", "s2");
  world.pass(700_000, ...ALL_MACHINES);
  world.startEngine();
  world.pass(2000, ...ALL_MACHINES);
  world.deploy("2", SOAKED);
  world.pass(2000, ...ALL_MACHINES);
  expect(world.wanted("p1")).toBe("2");
});
