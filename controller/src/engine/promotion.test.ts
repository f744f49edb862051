/** Promotions and late machines go by what stands on the machines now, whichever deployment decided about them. */
import { expect, onTestFinished, test, vi } from "vitest";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { isUnsound } from "./deployments-now.ts";
import { Facts } from "./facts.ts";
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

/** When, on the world's clock, and with what one of the questions to the tables is asked from now on. */
function noted<K extends "changedAfter" | "machinesOf" | "leftWith">(world: World, question: K): { readonly at: number; readonly app: string; readonly rows: number }[] {
  const asked: { at: number; app: string; rows: number }[] = [];
  const ask = Facts.prototype[question] as (this: Facts, ...given: readonly unknown[]) => ReadonlyMap<unknown, unknown> | readonly unknown[];
  vi.spyOn(Facts.prototype, question as "changedAfter").mockImplementation(function (this: Facts, ...given) {
    const answer = ask.apply(this, given);
    asked.push({ at: world.clock.elapsed, app: given[0], rows: "size" in answer ? answer.size : answer.length });
    return answer as never;
  });
  onTestFinished(() => {
    vi.restoreAllMocks();
  });
  return asked;
}

const mostAtOnce = (asked: readonly { readonly at: number }[]): number => Math.max(0, ...Map.groupBy(asked, ({ at }) => at).values().map(({ length }) => length));

test("since when it stands is read once in a turn, a row for each machine, however much they said and however many deployments wait", async () => {
  const world = new World();
  const names = Array.from({ length: 30 }, (_, index) => `s${index}`);
  await world.joinAs({ env: "staging" }, ...names);
  await world.joinAs({ env: "prod" }, "p1");
  world.deploy("1", { ...WIDE, maxUnavailable: count(99), targets: "" });
  await world.settle(...names, "p1");
  world.deploy("2", { ...WIDE, maxUnavailable: count(99), targets: "env=staging" });
  await world.settle(...names);
  world.pass(2000, ...names, "p1");
  for (let round = 0; round < 5; round += 1) for (const phase of ["unhealthy", "healthy"] as const) for (const name of names) await world.say(name, phase);
  const read = noted(world, "changedAfter");
  const prod = world.deploy("2", SOAKED);
  world.deploy("2", SOAKED);
  const selected = noted(world, "machinesOf");
  while (world.phase(prod) === "pending") world.pass(1000, ...names, "p1");
  expect([read.length < 6, mostAtOnce(read), new Set(read.map(({ rows }) => rows)), mostAtOnce(selected)]).toEqual([true, 1, new Set([30]), 1]);
});

test("of many promotions that wait one is looked at in a turn, and they begin as soon as their releases stand", async () => {
  const world = await staged();
  const apps = ["x", "y", "z"];
  const out = (app: string, version: string, changes: object) => world.deploy(version, { ...WIDE, ...changes }, { app });
  for (const app of apps) {
    out(app, "1", { targets: "" });
    await world.settle(...ALL_MACHINES);
    out(app, "2", { targets: "env=staging" });
    await world.settle("s1", "s2");
    for (const machine of ["s1", "s2"]) await world.say(machine, "unhealthy");
  }
  for (const app of apps) out(app, "2", { targets: "env=prod", after: { deploymentOf: app, targets: "env=staging", soakMs: 0 } });
  world.pass(5000, ...ALL_MACHINES);
  // Each look asks who has left the fleet with the release.
  const looks = noted(world, "leftWith");
  for (let step = 0; step < 100; step += 1) {
    world.clock.advance(100);
    for (const machine of ALL_MACHINES) world.engine.heartbeat(machine as never, 0 as never);
  }
  expect([mostAtOnce(looks), new Set(looks.map(({ app }) => app))]).toEqual([1, new Set(apps)]);
  for (const app of apps) for (const machine of ["s1", "s2"]) await world.say(machine, "healthy", world.engine.assignmentFor(machine as never)!.apps.find((each) => each.app === app)!.generation, app);
  world.pass(2000, ...ALL_MACHINES);
  expect(apps.map((app) => world.wanted("p1", app))).toEqual(["2", "2", "2"]);
});

const by = { by: "anna", reason: "" };

async function drain(world: World, ...machines: string[]): Promise<void> {
  for (const machine of machines) {
    world.engine.orders.cordon(machine as never, { drain: true, force: true }, by);
    await world.say(machine, "removed");
  }
}

test("production waits while all of staging is drained, and its soak is counted from when a machine of staging is back", async () => {
  const { world, prod } = await soaking();
  await drain(world, "s1", "s2");
  world.pass(700_000, ...ALL_MACHINES);
  expect([world.phase(prod), world.wanted("p1"), world.waitingOn(prod)]).toEqual(["pending", "1", "app@2 to be healthy on env=staging: 0 of 2 are now, 2 drained"]);
  world.engine.orders.uncordon("s1" as never, by);
  await world.say("s1", "healthy");
  world.pass(595_000, ...ALL_MACHINES);
  expect(world.waitingOn(prod)).toMatch(/^d-3 \(app@2 on env=staging\) to have stood for 10m, at /);
  world.pass(10_000, ...ALL_MACHINES);
  expect(world.wanted("p1")).toBe("2");
});

test("production waits while one half of staging is drained and the other on its way or lost, and goes while a machine of staging vouches for it", async () => {
  const { world, prod } = await soaking();
  await drain(world, "s1");
  await world.say("s2", "probing");
  world.pass(700_000, ...ALL_MACHINES);
  expect(world.waitingOn(prod)).toBe("app@2 to be healthy on env=staging: 0 of 2 are now, 1 drained");
  world.pass(30_000, "p1", "p2");
  expect(world.waitingOn(prod)).toBe("app@2 to be healthy on env=staging: 0 of 2 are now, 1 drained");
  await world.join("s2");
  await world.say("s2", "healthy");
  world.pass(610_000, ...ALL_MACHINES);
  expect(world.wanted("p1")).toBe("2");
});

/** 2 has succeeded on so many machines of staging, of which so many are drained and so many unhealthy by now, and waits for production. */
async function stagedOn(staging: number, { drained = 0, unhealthy = 0, maxFailures = 0 }) {
  const world = new World();
  const names = Array.from({ length: staging }, (_, index) => `s${index}`);
  await world.joinAs({ env: "staging" }, ...names);
  await world.joinAs({ env: "prod" }, "p1");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(99), targets: "" });
  await world.settle(...names, "p1");
  world.deploy("2", { waves: [ALL], maxUnavailable: count(99), targets: "env=staging", maxFailures: count(maxFailures) });
  await world.settle(...names);
  world.pass(2000, ...names, "p1");
  await drain(world, ...names.slice(0, drained));
  for (const name of names.slice(drained, drained + unhealthy)) await world.say(name, "unhealthy");
  world.pass(2000, ...names, "p1");
  const prod = world.deploy("2", PROD);
  await world.joinAs({ env: "staging" }, "late");
  world.pass(2000, ...names, "p1", "late");
  return { waits: world.waitingOn(prod), prod: world.wanted("p1"), late: world.wanted("late") };
}

test("production and late machines wait while two of four machines of staging are unhealthy, and not for one, nor for two when max_failures allows them", async () => {
  expect(await stagedOn(4, { unhealthy: 2 })).toEqual({ waits: "app@2 to be healthy on env=staging: 2 of 4 are now", prod: "1", late: undefined });
  expect(await stagedOn(4, { unhealthy: 1 })).toMatchObject({ prod: "2", late: "2" });
  expect(await stagedOn(4, { unhealthy: 2, maxFailures: 2 })).toMatchObject({ prod: "2", late: "2" });
});

test("of many machines a tenth may be unhealthy, and drained ones count to none of them where production is at stake", async () => {
  expect(await stagedOn(30, { unhealthy: 3 })).toMatchObject({ prod: "2", late: "2" });
  expect(await stagedOn(30, { unhealthy: 4 })).toMatchObject({ prod: "1", late: undefined });
  expect(await stagedOn(30, { unhealthy: 2, drained: 20 })).toMatchObject({ prod: "1" });
});

test("a release is bad where it runs when more than a tenth of its machines are, two at least, or when any is and none is healthy", () => {
  const bad = (machines: number, healthy: number, many: number, allowed = 0) => isUnsound({ machines, healthy, bad: many }, allowed);
  expect([bad(20, 18, 2), bad(20, 17, 3), bad(4, 3, 1), bad(4, 2, 2), bad(4, 2, 2, 2), bad(4, 1, 3, 2)]).toEqual([false, true, false, true, false, true]);
  expect([bad(2, 0, 1), bad(2, 0, 0), bad(0, 0, 0)]).toEqual([true, false, false]);
});

test("a machine that joins in place of the only one, which is drained, gets its release; not when one that is no longer heard has it besides", async () => {
  const world = new World();
  await world.join("a", "b");
  world.deploy("2", WIDE);
  await world.settle("a", "b");
  world.pass(2000, "a", "b");
  await drain(world, "a", "b");
  await world.join("c");
  world.pass(2000, "a", "b", "c");
  expect(world.wanted("c")).toBe("2");
  await world.settle("c");
  world.pass(30_000, "a", "b");
  await world.join("d");
  world.pass(2000, "a", "b", "d");
  expect(world.wanted("d")).toBeUndefined();
});

test("a promotion names what is missing: that nobody is well with the release, where as many as may differ are on another one", async () => {
  const world = new World();
  await world.joinAs({ env: "staging" }, "s1", "s2", "s3", "s4", "s5");
  await world.joinAs({ env: "prod" }, "p1");
  const staging = ["s1", "s2", "s3", "s4", "s5"];
  world.deploy("1", { ...WIDE, targets: "env=staging" });
  world.deploy("1", { ...WIDE, targets: "env=prod" });
  await world.settle(...staging, "p1");
  world.engine.orders.cordon("s5" as never, { drain: false, force: false }, { by: "anna", reason: "" });
  world.deploy("2", { ...WIDE, targets: "env=staging" });
  await world.settle(...staging.slice(0, 4));
  for (const machine of staging.slice(0, 4)) await world.say(machine, "unhealthy");
  const prod = world.deploy("2", PROD);
  world.pass(5000, ...staging, "p1");
  expect(world.waitingOn(prod)).toBe("app@2 to be healthy on env=staging: 0 of 4 are now");
});
