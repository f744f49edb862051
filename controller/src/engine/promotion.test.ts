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
