/** What happens to machines while the disk of the controller is full for long is not known when it takes writes again: nothing is judged before they were heard. */
import { describe, expect, test } from "vitest";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { failCommitOnce, fillDatabase, fillDisk } from "./failing-disk.fixture.ts";
import { NAMES, onOne, soak, WIDE } from "./on-one.fixture.ts";
import type { World } from "./world.fixture.ts";

const MINUTE = 60_000;
/** Where in the second it fills up and is freed: whether a timer, a report or the look of the watch, each 500 ms, is the first to write again. */
const OFFSETS = [0, 250, 500, 850];

const told = (world: World, ...names: readonly string[]) => names.filter((name) => world.wanted(name) === "2");
/** Its agent tries again and again. */
const retry = (world: World, machine: string, phase: "healthy" | "unhealthy", generation: number) => world.saySeq(machine, phase, generation, 100).catch(() => {});

/** 2 is told to a and b, and to the others after them. a is healthy, and its host dies as soon as the disk is full; what b says is not stored. */
async function killed(offset: number) {
  const world = await onOne();
  const id = world.deploy("2", { waves: [wave(count(2)), ALL], maxUnavailable: count(9) });
  await world.say("a", "healthy");
  await world.say("b", "probing");
  const generation = world.generation("b");
  const free = fillDisk(world);
  world.clock.advance(offset);
  await retry(world, "b", "healthy", generation);
  world.pass(MINUTE, "b", "c", "d");
  world.clock.advance(offset);
  return { world, id, generation, free };
}

/** The canary a has failed, and that is not stored; the next wave would begin in a second of attended time. */
async function dueWave(offset: number) {
  const world = await onOne();
  const id = world.deploy("2", { waves: [wave(count(1)), { ...ALL, afterMs: 20_000 }], maxUnavailable: count(9) });
  await world.say("a", "healthy");
  world.pass(19_000, ...NAMES);
  const generation = world.generation("a");
  const free = fillDisk(world);
  world.clock.advance(offset);
  await retry(world, "a", "unhealthy", generation);
  world.pass(MINUTE, ...NAMES);
  world.clock.advance(offset);
  return { world, id, generation, free };
}

describe("after a disk that was full for longer than half of silent-after", () => {
  test.each(OFFSETS)("a release that killed a host meanwhile goes to no next wave (%s ms)", async (offset) => {
    const { world, id, generation, free } = await killed(offset);
    free();
    for (let ms = 0; ms < 1500; ms += 50) {
      await retry(world, "b", "healthy", generation);
      world.clock.advance(50);
    }
    expect([world.state(id, "b"), told(world, "c", "d")]).toEqual(["healthy", []]);
    world.pass(3000, "b", "c", "d");
    expect([told(world, "c", "d"), world.waitingOn(id)]).toEqual([[], expect.stringContaining("(3 of 4 so far)")]);
  });

  test.each(OFFSETS)("a wave whose time has come does not begin before its machines were heard, and what they said is taken in (%s ms)", async (offset) => {
    const { world, id, generation, free } = await dueWave(offset);
    free();
    // Nobody has said a word since.
    world.clock.advance(10_000);
    expect(told(world, "b", "c", "d")).toEqual([]);
    await retry(world, "a", "unhealthy", generation);
    world.pass(2000, ...NAMES);
    expect([told(world, "b", "c", "d"), world.phase(id)]).toEqual([[], "rolling_back"]);
  });

  test.each(["what a person asks", "the attended time"])("what was heard while it was full does not count, when %s is the first to be written", async (first) => {
    const world = await onOne();
    world.deploy("2", { waves: [soak(600_000), ALL], maxUnavailable: count(9) });
    await world.say("a", "healthy");
    const free = fillDisk(world);
    world.pass(MINUTE, ...NAMES);
    world.clock.advance(250);
    for (const name of NAMES) world.engine.heartbeat(name as never, 0 as never);
    free();
    if (first === "what a person asks") world.engine.orders.setBudget("zone=a", 5, "anna");
    world.clock.advance(5000);
    expect(world.engine.catchingUp).toEqual({ heard: 0, total: 4 });
    world.pass(1000, ...NAMES);
    expect(world.engine.catchingUp).toBeUndefined();
  });

  test.each(OFFSETS)("nor after a transaction that was to be the first, and failed again (%s ms)", async (offset) => {
    const { world, id, generation, free } = await killed(offset);
    free();
    const seen = failCommitOnce(world, () => world.state(id, "b") === "healthy");
    for (let ms = 0; ms < 4000; ms += 50) {
      await retry(world, "b", "healthy", generation);
      world.clock.advance(50);
    }
    expect([seen.failed, world.state(id, "b"), told(world, "c", "d")]).toEqual([1, "healthy", []]);
  });

  test("a fleet of which nobody is heard any more is waited for no longer than that", async () => {
    const world = await onOne();
    world.pass(20_000);
    const free = fillDisk(world);
    expect(() => world.deploy("2", WIDE)).toThrow("disk is full");
    world.pass(MINUTE);
    expect(world.engine.catchingUp).toEqual({ heard: 0, total: 0 });
    free();
    world.pass(2000);
    expect(world.engine.catchingUp).toBeUndefined();
    const id = world.deploy("2", WIDE);
    await world.join(...NAMES);
    await world.settle(...NAMES);
    world.pass(2000, ...NAMES);
    expect(world.phase(id)).toBe("succeeded");
  });
});

test("a disk that has room for the attended time, and none for reports, is full", async () => {
  const world = await onOne();
  const id = world.deploy("2", { waves: [wave(count(2)), ALL], maxUnavailable: count(9), healthyDeadlineMs: 30_000, progressDeadlineMs: 60_000 });
  const generation = { a: world.generation("a"), b: world.generation("b") };
  const free = fillDatabase(world);
  let refused = 0;
  const tries = async (machine: "a" | "b") => {
    const { journal } = world;
    const before = journal.lastSeq;
    // More than the last page of the journal may have left.
    await world.saySeq(machine, "healthy", generation[machine], 100, "app", "2".padEnd(8000)).catch(() => {});
    if (journal.lastSeq === before) refused += 1;
  };
  for (let second = 0; second < 120; second += 1) {
    world.pass(1000, ...NAMES);
    await tries("a");
    await tries("b");
  }
  expect([refused, world.phase(id)]).toEqual([240, "rolling"]);
  free();
  world.pass(3000, ...NAMES);
  expect([world.phase(id), world.state(id, "a")]).toEqual(["rolling", "updating"]);
  await tries("a");
  await tries("b");
  world.pass(3000, ...NAMES);
  expect([world.state(id, "a"), world.state(id, "b"), told(world, "c", "d")]).toEqual(["healthy", "healthy", ["c", "d"]]);
});

test("a disk that was full for a moment holds nobody up", async () => {
  const world = await onOne();
  const id = world.deploy("2", { waves: [wave(count(2)), ALL], maxUnavailable: count(9) });
  await world.say("a", "healthy");
  const free = fillDisk(world);
  await retry(world, "b", "healthy", world.generation("b"));
  world.pass(5000, ...NAMES);
  free();
  world.pass(1000, ...NAMES);
  await retry(world, "b", "healthy", world.generation("b"));
  expect([world.state(id, "b"), told(world, "c", "d")]).toEqual(["healthy", ["c", "d"]]);
});
