/** Machines that run a release which was never confirmed there take part when it is deployed again: they are watched, confirmed and taken back with the others. */
import { expect, test } from "vitest";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { loadRollout } from "../journal/load.ts";
import { World } from "./world.fixture.ts";

const WIDE = { waves: [ALL], maxUnavailable: count(9) };
const NAMES = ["a", "b", "c", "d"];
const soak = (forMs: number, size = 1) => ({ ...wave(count(size)), gates: [{ kind: "soak" as const, forMs }] });

/** Everybody does what it is told, so many turns long. */
async function work(world: World, names: readonly string[], rounds = 6): Promise<void> {
  const answered = new Map<string, number>();
  for (let round = 0; round < rounds; round += 1) {
    for (const name of names) {
      const generation = world.generation(name);
      if (generation <= (answered.get(name) ?? 0)) continue;
      answered.set(name, generation);
      await world.say(name, "healthy");
    }
    world.pass(2000, ...names);
  }
}

async function onOne(names: readonly string[] = NAMES): Promise<World> {
  const world = new World();
  await world.join(...names);
  world.deploy("1", WIDE);
  await world.settle(...names);
  world.pass(2000, ...names);
  return world;
}

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
