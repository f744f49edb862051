/** Machines that are lost: who waits for them, who does not, and what becomes of them when they are heard again. */
import { expect, test } from "vitest";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { timeText } from "../rollout/words.ts";
import { World } from "./world.fixture.ts";

const by = { by: "anna", reason: "" };
async function base() {
  const world = new World();
  await world.join("a", "b", "c", "d");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b", "c", "d");
  world.pass(3000, "a", "b", "c", "d");
  return world;
}

test("a machine that was drained is waited for by nobody, also when it is switched off then", async () => {
  const world = await base();
  const soak = { ...wave(count(1)), gates: [{ kind: "soak", forMs: 60_000 }] } as never;
  const id = world.deploy("2", { waves: [soak, ALL], maxUnavailable: count(1) });
  await world.say("a", "healthy");
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
  await world.say("a", "removed");
  world.pass(120_000, "b", "c", "d");
  expect(world.waitingOn(id)).not.toContain("which may be its fault");
  world.pass(700_000, "b", "c", "d");
  expect(world.phase(id)).not.toBe("rolled_back");
});

test.each([["rollback", "is taken back"], ["pause", "pauses"], ["abort", "fails"]] as const)("with on_failure: %s, what waits for a lost machine says until when", async (onFailure, then) => {
  const world = await base();
  const id = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(1), progressDeadlineMs: 60_000, healthyDeadlineMs: 30_000, onFailure });
  await world.say("a", "probing");
  world.pass(20_000, "b", "c", "d");
  const deadline = world.clock.now() + 40_000;
  expect(world.waitingOn(id)).toBe(`a to be heard from: 1 machine took the release and was lost after it, which may be its fault; else it ${then} at ${timeText(deadline as never)} (progress_deadline)`);
  world.pass(39_000, "b", "c", "d");
  expect(world.phase(id)).toBe("rolling");
  world.pass(2000, "b", "c", "d");
  expect(world.phase(id)).not.toBe("rolling");
});

test("a rollback of which nobody is on the way yet says how many are to go back", async () => {
  const world = await base();
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b", "c", "d");
  world.startEngine({ isHeard: false });
  world.command(id, "rollback");
  expect(world.waitingOn(id)).toBe("all machines to be heard since the controller was away (0 of 4 so far); then 4 machines to go back");
});

test("a lost machine is taken back when it is heard, also when the rollback failed elsewhere", async () => {
  const world = await base();
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b", "c", "d");
  world.pass(30_000, "b", "c", "d");
  world.command(id, "rollback");
  for (const machine of ["b", "c"]) await world.say(machine, "healthy");
  await world.say("d", "failed");
  world.pass(3000, "b", "c", "d");
  expect(world.phase(id)).toBe("failed");
  await world.join("a");
  world.pass(30_000, "a", "b", "c", "d");
  expect(world.wanted("a")).toBe("1");
});

for (const how of ["promote", "resume"] as const) test(`${how} goes on without machines that are waited for`, async () => {
  const world = await base();
  const id = world.deploy("2", { waves: [wave(count(2)), ALL], maxUnavailable: count(2), offline: { kind: "wait", forMs: null }, maxUnreachable: count(0) });
  await world.say("a", "healthy");
  world.pass(20_000, "a", "c", "d");
  if (how === "promote") world.steer(id, { kind: "promote", all: false });
  else {
    world.command(id, "pause");
    world.command(id, "resume");
  }
  expect(world.phase(id)).toBe("rolling");
});

test("a machine that was silent when it would start, and is drained then, is waited for no longer", async () => {
  const world = await base();
  world.pass(20_000, "a", "c", "d");
  const id = world.deploy("2", { waves: [wave(count(3)), ALL], maxUnavailable: count(4), offline: { kind: "wait", forMs: null } });
  await world.settle("a", "c", "d");
  world.pass(5000, "a", "c", "d");
  world.engine.orders.cordon("b" as never, { drain: true, force: true }, by);
  world.pass(5000, "a", "c", "d");
  expect(world.phase(id)).toBe("succeeded");
});

test("a machine that answers after its rollout has ended without it is told that the release is confirmed there", async () => {
  const world = new World();
  await world.join("a", "b", "c");
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(9), maxFailures: count(1) });
  await world.settle("b", "c");
  world.pass(80_000, "a", "b", "c");
  expect([world.phase(id), world.state(id, "a")]).toEqual(["succeeded", "failed"]);
  const told = world.told.length;
  await world.say("a", "healthy");
  const newest = world.engine.assignmentFor("a" as never)!;
  expect(world.state(id, "a")).toBe("healthy");
  expect(newest.apps[0]!.confirmed).toBe(true);
  expect(world.told.slice(told)).toEqual([newest]);
  expect(world.engine.heartbeat("a" as never, 0 as never)).toBe(newest.generation);
});

test("a lost machine that is drained on its way back is named until it has heard of it, and follows what it is told then", async () => {
  const world = await base();
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b", "c", "d");
  world.command(id, "rollback");
  for (const machine of ["b", "c", "d"]) await world.say(machine, "healthy");
  world.pass(30_000, "b", "c", "d");
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
  expect([world.phase(id), world.state(id, "a")]).toEqual(["rolled_back", "unreachable"]);
  world.engine.orders.uncordon("a" as never, by);
  await world.join("a");
  expect([world.wanted("a"), world.state(id, "a")]).toEqual(["1", "reverting"]);
  await world.say("a", "healthy");
  expect(world.state(id, "a")).toBe("reverted");
});

test("what a machine answered is nothing any more when its disk is another one", async () => {
  const world = await base();
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(2) });
  await world.say("a", "healthy");
  await world.loseDisk("a");
  expect(world.state(id, "a")).toBe("updating");
  await world.settle("b", "c", "d");
  world.pass(5000, "a", "b", "c", "d");
  expect(world.phase(id)).toBe("rolling");
  const before = world.tables();
  world.startEngine();
  expect(world.tables()).toEqual(before);
  await world.say("a", "healthy");
  expect(world.phase(id)).toBe("succeeded");
});

test("a machine that fell silent before it can have taken the release holds nobody up", async () => {
  const world = await base();
  const id = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(4) });
  world.pass(20_000, "b", "c", "d");
  expect(world.state(id, "a")).toBe("unreachable");
  for (const machine of ["b", "c", "d"]) await world.say(machine, "healthy");
  expect(world.phase(id)).toBe("succeeded");
  await world.join("a");
  expect(world.wanted("a")).toBe("2");
});

test.each(["it reported a step", "its agent has the assignment"])("one that fell silent after %s may be silent because of it, and is waited for", async (how) => {
  const world = await base();
  const id = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(4) });
  if (how === "it reported a step") await world.say("a", "pulling");
  else world.engine.heartbeat("a" as never, world.generation("a") as never);
  world.pass(20_000, "b", "c", "d");
  expect(world.waitingOn(id)).toContain("which may be its fault");
  expect(world.state(id, "b")).toBe("pending");
});

test("what a machine said to a controller that is gone is not known: it is waited for", async () => {
  const world = await base();
  const id = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(4) });
  world.engine.heartbeat("a" as never, world.generation("a") as never);
  world.startEngine({ isHeard: false });
  world.pass(40_000, "b", "c", "d");
  expect(world.waitingOn(id)).toContain("which may be its fault");
});

test("a canary that is lost while a later wave has enough, and others of that are on the move, is waited for beside them", async () => {
  const world = await base();
  const enough = { ...wave(count(3)), successThreshold: count(1) } as never;
  const id = world.deploy("2", { waves: [wave(count(1)), enough, { ...ALL, afterMs: 3_600_000 }], maxUnavailable: count(1), offline: { kind: "wait", forMs: null } });
  await world.say("a", "healthy");
  await world.say("b", "healthy");
  expect([world.wanted("c"), world.state(id, "c")]).toEqual(["2", "updating"]);
  world.pass(40_000, "b", "c", "d");
  expect([world.state(id, "a"), world.phase(id), world.bugs]).toEqual(["unreachable", "rolling", []]);
  await world.say("c", "healthy");
  world.pass(3000, "b", "c", "d");
  expect(world.waitingOn(id)).toContain("a to be heard from");
});

test("a wave that waits for one machine, and then for more of them, says so", async () => {
  const world = new World();
  await world.join("a", "b", "c", "d");
  const id = world.deploy("1", { waves: [wave(count(3)), ALL], maxUnavailable: count(9), offline: { kind: "wait", forMs: 600_000 }, maxUnreachable: count(1), maxFailures: count(9) });
  await world.say("a", "healthy");
  await world.say("b", "healthy");
  await world.say("c", "pulling");
  world.pass(12_000, "a", "b", "d");
  world.pass(12_000, "b", "d");
  expect(world.waitingOn(id)).toMatch(/^c to be heard/);
  world.pass(30_000, "d");
  expect(world.waitingOn(id)).toMatch(/^c, a, b to be heard from: 3 machines took the release and were lost after it/);
});
