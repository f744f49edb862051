/** Machines that run a release which was never confirmed there take part when it is deployed again: they are watched, confirmed and taken back with the others. */
import { expect, test } from "vitest";
import { ALL, count, percent, wave } from "../rollout/rollout.fixture.ts";
import { loadRollout } from "../journal/load.ts";
import { NAMES, onOne, soak, WIDE, work } from "./on-one.fixture.ts";
import type { World } from "./world.fixture.ts";

test("machines that already ran a release when it succeeded everywhere go back to it, not to an older one", async () => {
  const world = await onOne();
  const second = world.deploy("2", { waves: [soak(60_000), ALL], maxUnavailable: count(1) });
  await world.say("a", "healthy");
  world.pass(5000, ...NAMES);
  world.command(second, "abort");
  const again = world.deploy("2", WIDE); // the pipeline's second try
  await work(world, NAMES);
  expect([world.phase(again), NAMES.map((n) => world.wanted(n))]).toEqual(["succeeded", ["2", "2", "2", "2"]]);
  world.pass(600_000, ...NAMES);
  const third = world.deploy("3", WIDE);
  expect(NAMES.map((n) => world.wanted(n))).toEqual(["3", "3", "3", "3"]);
  world.command(third, "rollback");
  await work(world, NAMES);
  expect([world.phase(third), NAMES.map((n) => world.wanted(n))]).toEqual(["rolled_back", ["2", "2", "2", "2"]]);
});

test("what has succeeded everywhere is confirmed everywhere", async () => {
  const world = await onOne();
  const second = world.deploy("2", { waves: [soak(60_000), ALL], maxUnavailable: count(1) });
  await world.say("a", "healthy");
  world.pass(5000, ...NAMES);
  world.command(second, "abort");
  world.deploy("2", WIDE);
  await work(world, NAMES);
  expect(NAMES.map((n) => world.engine.assignmentFor(n as never)!.apps[0]!.confirmed)).toEqual([true, true, true, true]);
});

test("a release that kills those that run it already goes to nobody else", async () => {
  const names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
  const world = await onOne(names);
  const second = world.deploy("2", { waves: [soak(60_000, 5), ALL], maxUnavailable: count(5) });
  for (const name of names.slice(0, 5)) await world.say(name, "healthy");
  world.pass(1000, ...names);
  world.command(second, "abort");
  const on2 = names.filter((n) => world.wanted(n) === "2");
  expect(on2.length).toBe(5);
  const fresh = names.filter((n) => !on2.includes(n));
  const third = world.deploy("2", { waves: [soak(60_000), ALL], maxUnavailable: count(1) });
  // All five that had it die at once, without a word; nobody else was told but the canary, which is soaking.
  await work(world, fresh, 90);
  expect([fresh.filter((n) => world.wanted(n) === "2"), world.phase(third)]).toEqual([[], "rolling"]);
});

test("those that are lost before they were told of it count like those that were, also for the next controller, until a person goes on without them", async () => {
  const names = ["a", "b", "c", "d", "e", "f", "g", "h"];
  const world = await onOne(names);
  const second = world.deploy("2", { waves: [soak(60_000, 5), ALL], maxUnavailable: count(5) });
  for (const name of names.slice(0, 5)) await world.say(name, "healthy");
  world.command(second, "abort");
  const third = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(1) });
  await world.say("a", "healthy");
  expect(["b", "c", "d", "e"].map((name) => world.state(third, name))).toEqual(["updating", "pending", "pending", "pending"]);
  const left = ["a", "f", "g", "h"];
  world.pass(20_000, ...left);
  const fresh = ["f", "g", "h"];
  const told = () => fresh.filter((name) => world.wanted(name) === "2");
  expect([told(), world.waitingOn(third)]).toEqual([[], expect.stringContaining("4 machines took the release and were lost")]);
  world.startEngine();
  world.pass(2000, ...left);
  expect([told(), world.waitingOn(third)]).toEqual([[], expect.stringContaining("4 machines took the release and were lost")]);
  expect(world.command(third, "promote", { reason: "a power cut" }).ok).toBe(true);
  world.startEngine();
  await work(world, left, 12);
  expect([told(), world.phase(third)]).toEqual([fresh, "succeeded"]);
});

test("a release that is unhealthy where it runs already goes to nobody else", async () => {
  const names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
  const world = await onOne(names);
  const second = world.deploy("2", { waves: [soak(60_000, 5), ALL], maxUnavailable: count(5) });
  for (const name of names.slice(0, 5)) await world.say(name, "healthy");
  world.pass(1000, ...names);
  world.command(second, "abort");
  const third = world.deploy("2", { waves: [ALL], maxUnavailable: count(2) });
  for (const name of names.slice(0, 5)) await world.say(name, "unhealthy");
  for (let round = 0; round < 10; round += 1) {
    for (const name of names.slice(5)) if (world.wanted(name) === "2" && world.state(third, name) === "updating") await world.say(name, "healthy");
    world.pass(2000, ...names);
  }
  expect([world.phase(third), names.slice(5).filter((name) => world.wanted(name) === "2")]).toEqual(["rolling_back", []]);
});

test("they are told without being waited for longer than the others, and the sizes of waves are of the others", async () => {
  const world = await onOne(["a", "b", "c", "d", "e"]);
  const names = ["a", "b", "c", "d", "e"];
  const aborted = world.deploy("2", { waves: [soak(60_000, 2), ALL], maxUnavailable: count(2) });
  await work(world, names, 1);
  world.command(aborted, "abort");
  const id = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(9) });
  const inWave = (at: number) => loadRollout(world.journal, id)!.waves[at]!.targets.map(({ machine }) => machine as string).sort();
  expect([inWave(0), inWave(1)]).toEqual([["a", "b", "c"], ["d", "e"]]);
});

const TEN = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

/** Four of ten have 2, from a rollout that was aborted. */
async function fourOfTen(): Promise<World> {
  const world = await onOne(TEN);
  const first = world.deploy("2", { waves: [soak(60_000, 4), ALL], maxUnavailable: count(4) });
  for (const name of TEN.slice(0, 4)) await world.say(name, "healthy");
  world.pass(1000, ...TEN);
  world.command(first, "abort");
  expect(TEN.map((name) => world.wanted(name)).join("")).toBe("2222111111");
  return world;
}

const onNew = (world: World, from: number) => TEN.slice(from).filter((name) => world.wanted(name) === "2");

/** They are told, and say that all is well. */
async function sayWell(world: World, heard = TEN): Promise<void> {
  for (const name of TEN.slice(0, 4)) {
    await world.say(name, "healthy");
    world.pass(1000, ...heard);
  }
}

test("as many may fail as the wave allows of those to which the release is new", async () => {
  const world = await fourOfTen();
  const id = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(9), maxFailures: percent(20) });
  await sayWell(world);
  await world.say("e", "reverted");
  world.pass(3000, ...TEN);
  expect([world.phase(id), onNew(world, 5)]).toEqual(["rolling_back", []]);
});

test("one of them that fails counts in that, before and after its wave has passed", async () => {
  for (const passes of [false, true]) {
    const world = await fourOfTen();
    const id = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(2), maxFailures: percent(20) });
    await sayWell(world);
    if (passes) {
      await world.say("e", "healthy");
      world.pass(2000, ...TEN);
    }
    expect(onNew(world, 5).length > 0).toBe(passes);
    await world.say("a", "unhealthy");
    world.pass(3000, ...TEN);
    expect(world.phase(id)).toBe("rolling_back");
  }
});

test("they do not make a success_threshold full, whoever of them is healthy", async () => {
  const world = await fourOfTen();
  const half = { ...wave(count(2)), successThreshold: percent(50) };
  const id = world.deploy("2", { waves: [half, ALL], maxUnavailable: count(9) });
  await sayWell(world);
  expect([world.phase(id), world.waitingOn(id), onNew(world, 6)]).toEqual(["rolling", "e, f to be healthy for 1s; wave 1 passes with 1 of 2 healthy", []]);
  world.startEngine();
  world.pass(3000, ...TEN);
  expect(onNew(world, 6)).toEqual([]);
  await world.say("e", "healthy");
  world.pass(2000, ...TEN);
  expect(onNew(world, 6).length).toBeGreaterThan(0);
});

test("a soak with a success_threshold is over when a machine that is new to it ran through it", async () => {
  const world = await fourOfTen();
  const half = { ...soak(60_000, 2), successThreshold: percent(50) };
  world.deploy("2", { waves: [half, ALL], maxUnavailable: count(9) });
  await sayWell(world);
  await world.say("e", "healthy");
  world.pass(50_000, ...TEN);
  await world.say("f", "healthy");
  await world.say("e", "reverted");
  world.pass(30_000, ...TEN);
  expect(onNew(world, 6)).toEqual([]);
});

test("a canary that takes its host with it is suspicious, however well they are", async () => {
  const world = await fourOfTen();
  const id = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(1), offline: { kind: "skip" } });
  await sayWell(world);
  expect(world.wanted("e")).toBe("2");
  await world.say("e", "activating");
  world.pass(60_000, ...TEN.filter((name) => name !== "e"));
  expect([world.phase(id), onNew(world, 5)]).toEqual(["rolling", []]);
  world.startEngine({ isHeard: false });
  world.pass(30_000, ...TEN.filter((name) => name !== "e"));
  expect(onNew(world, 5)).toEqual([]);
});

test("so are two of three to which it is new, however many they are, while one of them that is lost is tolerated", async () => {
  const names = Array.from({ length: 30 }, (_, index) => `m${index + 10}`);
  const run = async (...lost: string[]) => {
    const world = await onOne(names);
    const first = world.deploy("2", { waves: [soak(60_000, 20), ALL], maxUnavailable: count(99) });
    for (const name of names.slice(0, 20)) await world.say(name, "healthy");
    world.pass(1000, ...names);
    world.command(first, "abort");
    const id = world.deploy("2", { waves: [soak(30_000, 3), ALL], maxUnavailable: count(99), offline: { kind: "skip" } });
    await work(world, names.slice(0, 23), 2);
    await work(world, names.filter((name) => !lost.includes(name)), 60);
    return [world.phase(id), names.slice(23).filter((name) => world.wanted(name) === "2").length];
  };
  expect(await run("m30", "m31")).toEqual(["rolling", 0]);
  expect(await run("m30")).toEqual(["succeeded", 7]);
  expect(await run("m10")).toEqual(["succeeded", 7]);
});

test("a soak is not theirs alone: it waits when the canary is drained in the middle of it", async () => {
  const world = await fourOfTen();
  const id = world.deploy("2", { waves: [soak(30_000), ALL], maxUnavailable: count(9) });
  await sayWell(world);
  await world.say("e", "healthy");
  world.pass(3000, ...TEN);
  world.engine.orders.cordon("e" as never, { drain: true, force: true }, { by: "anna", reason: "" });
  world.pass(120_000, ...TEN);
  expect([world.phase(id), onNew(world, 5)]).toEqual(["rolling", []]);
});

test("nor are they why many take it at once while nobody to whom it is new has answered", async () => {
  const world = await fourOfTen();
  world.label({ role: "web", first: "yes" }, "e");
  const heard = TEN.filter((name) => name !== "e");
  world.pass(60_000, ...heard);
  world.deploy("2", { waves: [wave("first=yes"), ALL], maxUnavailable: count(9), offline: { kind: "skip" } });
  await sayWell(world, heard);
  expect(onNew(world, 4)).toEqual(["f"]);
  await world.say("f", "healthy");
  world.pass(2000, ...heard);
  expect(onNew(world, 4)).toEqual(["f", "g", "h", "i", "j"]);
});

test("a rollout that failed on each machine to which it was new has failed, though they are well", async () => {
  const world = await fourOfTen();
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9), maxFailures: percent(100) });
  await sayWell(world);
  for (const name of TEN.slice(4)) await world.say(name, "reverted");
  world.pass(3000, ...TEN);
  expect(world.phase(id)).toBe("failed");
});
