/** A transaction that failed, as on a full disk, loses nothing that it was about. */
import { expect, test } from "vitest";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { diskFull, failCommitOnce } from "./failing-disk.fixture.ts";
import { NAMES, onOne, soak } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

test.each([false, true])("a machine that joined while a rollout was under way gets its release when that ends (the disk was full for a moment: %s)", async (isFull) => {
  const world = new World();
  await world.join("a", "b");
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.say("a", "healthy");
  await world.join("late");
  world.pass(2000, "a", "b", "late");
  expect(world.wanted("late")).toBeUndefined();
  const generation = world.generation("b");
  if (isFull) {
    const seen = failCommitOnce(world);
    await expect(world.saySeq("b", "healthy", generation, 1)).rejects.toThrow("disk is full");
    expect(seen.failed).toBe(1);
    world.pass(2000, "a", "b", "late");
  }
  await world.saySeq("b", "healthy", generation, 1);
  world.pass(30_000, "a", "b", "late");
  expect([world.phase(id), world.wanted("late")]).toEqual(["succeeded", "1"]);
});

test("a machine that waits to be looked at after a start is looked at though the disk was full for a moment", async () => {
  const world = new World();
  await world.join("a", "b");
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  world.pass(20_000, "a");
  await world.say("a", "healthy");
  world.pass(2000, "a");
  expect([world.phase(id), world.state(id, "b")]).toEqual(["succeeded", "unreachable"]);
  await world.joinAs({ role: "db" }, "late");
  world.pass(2000, "a", "late");
  // The label that makes it a target is written down, and what follows is done in the next turn, after a restart.
  const seen = failCommitOnce(world, () => world.wanted("late") === "1");
  try {
    world.label({ role: "web" }, "late");
  } catch {
    // Asked for again, as a person would.
    world.pass(1000, "a", "late");
    world.label({ role: "web" }, "late");
  }
  world.pass(30_000, "a", "late");
  expect([seen.failed, world.wanted("late")]).toEqual([1, "1"]);
});

test.each([false, true])("after a start: many machines wait to be looked at (the disk was full for a moment: %s)", async (isFull) => {
  const world = new World();
  await world.join("a");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a");
  world.pass(2000, "a");
  const names = Array.from({ length: 5 }, (_, index) => `n-${index}`);
  // They join while the controller is catching up: nothing follows yet.
  world.startEngine({ isHeard: false });
  await world.join(...names);
  const seen = isFull ? failCommitOnce(world, () => world.wanted("n-0") === "1") : undefined;
  for (let round = 0; round < 30; round += 1) {
    world.pass(2000, "a", ...names);
    for (const name of names) if (world.wanted(name) === "1") await world.say(name, "healthy").catch(() => {});
  }
  expect([seen?.failed ?? 1, names.filter((name) => world.wanted(name) === "1").length]).toEqual([1, 5]);
});

test("while the disk takes no writes a rollout is said to wait for that, and no moment in the past", async () => {
  const world = await onOne();
  const id = world.deploy("2", { waves: [soak(20_000), ALL], maxUnavailable: count(1) });
  await world.say("a", "healthy");
  world.journal.db.pragma("query_only = ON");
  world.pass(40_000, ...NAMES);
  expect(world.waitingOn(id)).toBe("the disk of the controller to take writes again: free some space on it, if it is full; then the soak of wave 1 to be over");
  world.journal.db.pragma("query_only = OFF");
  world.pass(3000, ...NAMES);
  expect(world.waitingOn(id)).toContain("wave 1 to be over at");
});

test("the selector of a deployment that was never stored counts for nobody", async () => {
  const world = new World();
  await world.joinAs({ role: "web", zone: "a" }, "a");
  await world.joinAs({ role: "web", zone: "b" }, "b", "c");
  failCommitOnce(world);
  expect(() => world.submit("1", { targets: "zone=a", waves: [ALL], maxUnavailable: count(9) })).toThrow("disk is full");
  world.pass(1000, "a", "b", "c");
  const id = world.deploy("1", { targets: "zone=b", waves: [ALL], maxUnavailable: count(9) });
  await world.settle("b", "c");
  world.pass(2000, "a", "b", "c");
  expect(world.phase(id)).toBe("succeeded");
  const other = world.deploy("1", { targets: "zone=a", waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a");
  for (const name of ["b", "c"]) await world.say(name, "unhealthy");
  const before = [world.engine.unsound(id), world.engine.unsound(other)];
  world.startEngine();
  expect(before).toEqual([world.engine.unsound(id), world.engine.unsound(other)]);
});

test("the same when the disk is full in the middle of the transaction", async () => {
  const world = new World();
  await world.join("a", "b");
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.say("a", "healthy");
  await world.join("late");
  const append = world.journal.append;
  let failed = false;
  world.journal.append = function (this: never, entry: never, ...rest: never[]) {
    const { kind, machine } = entry as { kind: string; machine?: string };
    if (!failed && kind === "target_assigned" && machine === "late") {
      failed = true;
      throw diskFull();
    }
    return (append as never as (...all: unknown[]) => never).call(world.journal, entry, ...rest);
  } as never;
  const generation = world.generation("b");
  await world.saySeq("b", "healthy", generation, 1).catch(() => {});
  world.pass(1000, "a", "b", "late");
  await world.saySeq("b", "healthy", generation, 1);
  world.pass(30_000, "a", "b", "late");
  expect([failed, world.phase(id), world.wanted("late")]).toEqual([true, "succeeded", "1"]);
});

test("a disk that stays full is tried once a second, however much machines say, and memory is read again as seldom", async () => {
  const world = new World();
  await world.join("a", "b");
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  const transaction = world.journal.transaction;
  let tried = 0;
  world.journal.transaction = function () {
    tried += 1;
    throw diskFull();
  } as never;
  for (let second = 0; second < 10; second += 1) {
    for (let times = 0; times < 50; times += 1) await expect(world.saySeq("a", "healthy", world.generation("a"), 1)).rejects.toThrow("disk is full");
    world.pass(1000, "a", "b");
  }
  expect(tried).toBeLessThanOrEqual(11);
  world.journal.transaction = transaction;
  world.pass(1000, "a", "b");
  await world.saySeq("a", "healthy", world.generation("a"), 1);
  await world.say("b", "healthy");
  world.pass(2000, "a", "b");
  expect(world.phase(id)).toBe("succeeded");
});

test("a machine whose hello could not be written down is heard as soon as the disk takes writes again, though its agent takes its time to come again", async () => {
  const world = await onOne();
  const silent = () => world.journal.db.prepare("SELECT id FROM machines WHERE silent_since IS NOT NULL").pluck().all();
  world.pass(20_000, "b", "c", "d");
  expect(silent()).toEqual(["a"]);
  world.journal.db.pragma("query_only = ON");
  await expect(world.join("a")).rejects.toThrow("attempt to write a readonly database");
  world.pass(1000, "b", "c", "d");
  world.journal.db.pragma("query_only = OFF");
  world.pass(3000, "b", "c", "d");
  await new Promise((resolve) => setImmediate(resolve));
  world.pass(2000, "b", "c", "d");
  await new Promise((resolve) => setImmediate(resolve));
  expect(silent()).toEqual([]);
});
