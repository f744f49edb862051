/** A program that drains or removes machines within seconds of their death, or as soon as there is a controller again, hides nothing of a release that kills them. */
import { expect, test } from "vitest";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { onOne, soak, WIDE, work } from "./on-one.fixture.ts";
import type { World } from "./world.fixture.ts";

const NAMES = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
const FIRST = NAMES.slice(0, 6);
const DEAD = NAMES.slice(0, 4);
const ALIVE = NAMES.slice(4);
const program = { by: "program", reason: "its host is dead" };

/** The first wave is healthy, and in its soak; its agents have said that they have what they were told. */
async function soaking(): Promise<World> {
  const world = await onOne(NAMES);
  world.deploy("2", { waves: [soak(30_000, 6), ALL], maxUnavailable: count(12), progressDeadlineMs: 120_000 });
  await work(world, FIRST, 1);
  world.pass(3000, ...NAMES);
  for (const name of FIRST) world.engine.heartbeat(name as never, world.engine.newestGeneration(name as never));
  return world;
}

const drain = (world: World, ...names: readonly string[]) => names.map((name) => world.engine.orders.cordon(name as never, { drain: true, force: true }, program).ok);
const took = (world: World) => NAMES.filter((name) => world.wanted(name) === "2" && !FIRST.includes(name));

test.each([
  { drainedAfterMs: 0, hasEnded: true, removedAfterMs: 0 },
  { drainedAfterMs: 2000, hasEnded: false, removedAfterMs: 8000 },
  { drainedAfterMs: 2000, hasEnded: false, removedAfterMs: 15_000 },
  { drainedAfterMs: 2000, hasEnded: false, removedAfterMs: undefined },
  { drainedAfterMs: 9000, hasEnded: false, removedAfterMs: 1000 },
  { drainedAfterMs: 9000, hasEnded: false, removedAfterMs: undefined },
])("four of six that are drained after $drainedAfterMs ms, their session ended: $hasEnded, and removed $removedAfterMs ms later, hold the others back", async ({ drainedAfterMs, hasEnded, removedAfterMs }) => {
  const world = await soaking();
  if (hasEnded) for (const name of DEAD) world.engine.sessionEnded(name as never);
  world.pass(drainedAfterMs, ...ALIVE);
  expect(drain(world, ...DEAD)).toEqual([true, true, true, true]);
  if (removedAfterMs !== undefined) {
    world.pass(removedAfterMs, ...ALIVE);
    for (const name of DEAD) world.remove(name);
  }
  world.pass(60_000, ...ALIVE);
  expect(took(world)).toEqual([]);
});

test("machines that say that they have stopped the app, and are switched off and removed then, hold nobody back", async () => {
  const world = await soaking();
  drain(world, ...DEAD);
  for (const name of DEAD) await world.say(name, "removed");
  world.pass(20_000, ...ALIVE);
  for (const name of DEAD) world.remove(name);
  world.pass(60_000, ...ALIVE);
  expect(took(world)).toEqual(NAMES.slice(6));
});

test.each(["is started anew", "was held up for ten minutes"])("four of six that are removed as soon as the controller %s, before they were heard, hold the others back", async (how) => {
  const world = await soaking();
  loseSight(world, how);
  for (const name of ALIVE) world.engine.heartbeat(name as never, 0 as never);
  for (const name of DEAD) world.remove(name);
  world.pass(60_000, ...ALIVE);
  expect(took(world)).toEqual([]);
});

test.each(["looks on", "is started anew", "was held up for ten minutes"])("what killed all after the end is not given to those that replace them, though the controller %s", async (how) => {
  const world = await onOne(["a", "b", "c", "d"]);
  const id = world.deploy("2", WIDE);
  await work(world, ["a", "b", "c", "d"], 2);
  expect(world.phase(id)).toBe("succeeded");
  loseSight(world, how);
  for (const name of ["a", "b", "c", "d"]) world.remove(name);
  await world.join("e", "f");
  world.pass(30_000, "e", "f");
  expect([world.wanted("e"), world.wanted("f")]).not.toContain("2");
});

test.each(["stays as it is", "comes up with an empty disk", "is drained, and used again"])("the only canary, which was healthy, %s, and falls silent: nobody else gets the release", async (what) => {
  const world = await onOne(NAMES);
  world.deploy("2", { waves: [soak(60_000, 1), ALL], maxUnavailable: count(12), progressDeadlineMs: 300_000 });
  await world.say("a", "healthy");
  world.engine.heartbeat("a" as never, world.engine.newestGeneration("a" as never));
  world.pass(5000, ...NAMES);
  if (what.startsWith("comes up")) await world.loseDisk("a");
  if (what.startsWith("is drained")) {
    drain(world, "a");
    world.pass(2000, ...NAMES.slice(1));
    world.engine.orders.uncordon("a" as never, program);
  }
  world.pass(120_000, ...NAMES.slice(1));
  expect(NAMES.slice(1).filter((name) => world.wanted(name) === "2")).toEqual([]);
});

function loseSight(world: World, how: string): void {
  if (how === "looks on") world.pass(10_000);
  else if (how === "is started anew") world.startEngine({ isHeard: false });
  else world.clock.elapsed += 600_000;
}
