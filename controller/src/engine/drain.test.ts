/** Drains and cordons in the middle of rollouts; new disks under them; large rollouts that are interrupted. */
import { expect, test } from "vitest";
import { loadRollout } from "../journal/load.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { PLANNED_AT_ONCE_MAX } from "./planner.ts";
import { lasting, World } from "./world.fixture.ts";

const by = { by: "anna", reason: "new disk" };
const APPROVED = { ...wave(count(1)), gates: [{ kind: "approval" }] } as never;

test.each([false, true])("a machine that was healthy, is drained in the middle of a rollout, and has a new disk then, fails nothing (uncordoned later: %s)", async (comesBack) => {
  const world = new World();
  await world.join("a", "b", "c");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b", "c");
  world.pass(2000, "a", "b", "c");
  const id = world.deploy("2", { waves: [APPROVED, ALL], maxUnavailable: count(9), healthyDeadlineMs: 60_000, progressDeadlineMs: 600_000 });
  await world.say("a", "healthy");
  world.pass(2000, "a", "b", "c");
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
  await world.say("a", "removed");
  world.pass(2000, "a", "b", "c");
  await world.loseDisk("a");
  await world.say("a", "removed");
  world.pass(200_000, "a", "b", "c");
  if (comesBack) world.engine.orders.uncordon("a" as never, by);
  expect([world.phase(id), loadRollout(world.journal, id)!.reason?.message]).toEqual(["rolling", undefined]);
});

test("the same without the new disk", async () => {
  const world = new World();
  await world.join("a", "b", "c");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b", "c");
  world.pass(2000, "a", "b", "c");
  const id = world.deploy("2", { waves: [APPROVED, ALL], maxUnavailable: count(9), healthyDeadlineMs: 60_000, progressDeadlineMs: 600_000 });
  await world.say("a", "healthy");
  world.pass(2000, "a", "b", "c");
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
  await world.say("a", "removed");
  world.pass(200_000, "a", "b", "c");
  expect(world.phase(id)).toBe("rolling");
});

test("rollback --to brings a cordoned machine back when it is uncordoned", async () => {
  const world = new World();
  await world.join("a", "b");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b");
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b");
  world.pass(2000, "a", "b");
  world.engine.orders.cordon("a" as never, { drain: false, force: false }, by);
  world.engine.operators.rollbackTo(id, "1", by);
  await world.settle("b");
  world.pass(2000, "a", "b");
  const before = world.wanted("a");
  world.engine.orders.uncordon("a" as never, by);
  world.pass(2000, "a", "b");
  expect([before, world.wanted("a")]).toEqual(["2", "1"]);
});

test("rollback --to where all that have the bad release are cordoned ends, or takes them back when they are uncordoned", async () => {
  const world = new World();
  await world.join("a", "b");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b");
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b");
  world.pass(2000, "a", "b");
  for (const name of ["a", "b"]) world.engine.orders.cordon(name as never, { drain: false, force: false }, by);
  world.engine.operators.rollbackTo(id, "1", by);
  world.pass(700_000, "a", "b");
  for (const name of ["a", "b"]) world.engine.orders.uncordon(name as never, by);
  world.pass(5000, "a", "b");
  expect([world.wanted("a"), world.wanted("b")]).toEqual(["1", "1"]);
});

test("a large rollout whose controller ends between its plan and its first wave, and a rollback between its turn round and its first machine, go on", async () => {
  const world = new World();
  const names = Array.from({ length: PLANNED_AT_ONCE_MAX + 1 }, (_, index) => `m-${String(index).padStart(4, "0")}`);
  await world.join(...names);
  const held: (() => void)[] = [];
  const { wakeAfter } = world.clock;
  const hold = () => {
    world.clock.wakeAfter = ((ms: number, callback: () => void) => {
      if (ms > 0) return wakeAfter.call(world.clock, ms, callback);
      held.push(callback);
      return () => (held.includes(callback) ? void held.splice(held.indexOf(callback), 1) : undefined);
    }) as never;
  };
  hold();
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(5) });
  held.shift()!();
  held.shift()!();
  const atStart = [world.phase(id), loadRollout(world.journal, id)!.waves[0]!.startedAt];
  world.clock.wakeAfter = wakeAfter;
  world.startEngine();
  world.pass(3000, ...names);
  const told = names.filter((name) => world.wanted(name) === "1");
  await Promise.all(told.map((name) => world.say(name, "healthy")));
  held.length = 0;
  hold();
  world.command(id, "rollback");
  const phase = world.phase(id);
  world.clock.wakeAfter = wakeAfter;
  world.startEngine();
  world.pass(3000, ...names);
  const back = names.filter((name) => world.wanted(name) === "remove");
  expect(lasting(loadRollout(world.journal, id))).toEqual(lasting(world.engine.rollout(id)));
  expect([atStart, told.length, phase, back.length > 0]).toEqual([["rolling", null], 5, "rolling_back", true]);
}, 50_000);
