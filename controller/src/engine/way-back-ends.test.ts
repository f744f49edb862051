/** A rollback to an older release that does not come to all of its machines: it is aborted, paused, taken back, or waits for those that are away. Nobody loses the app by it, and nobody else waits for ever. */
import { expect, test } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { NAMES, obey, WIDE } from "./on-one.fixture.ts";
import { BY, ONE_BY_ONE, byZone, onThree, rounds, to, wanted } from "./way-back.fixture.ts";
import { World } from "./world.fixture.ts";

/** Came with 2, and has never had another one. */
const NEW = "z";
const ALL_FIVE = [...NAMES, NEW];

const drain = (world: World, name: string) => world.engine.orders.cordon(name as never, { drain: true, force: true }, BY);
const uncordon = (world: World, name: string) => world.engine.orders.uncordon(name as never, BY);

/** 1, then 2 everywhere, then a machine that comes; `rollback --to 1` is under way, and has told `first`. */
async function underWay(): Promise<{ readonly world: World; readonly back: DeploymentId; readonly first: string; readonly rest: readonly string[] }> {
  const world = new World();
  await world.join(...NAMES);
  world.deploy("1", ONE_BY_ONE);
  await rounds(world, 10);
  const second = world.deploy("2", ONE_BY_ONE);
  await rounds(world, 10);
  await world.join(NEW);
  await rounds(world, 6, ALL_FIVE);
  expect(wanted(world, ALL_FIVE)).toBe("2,2,2,2,2");
  const back = to(world, second, "1");
  world.pass(500, ...ALL_FIVE);
  const first = ALL_FIVE.find((name) => world.wanted(name) === "1")!;
  expect(first).not.toBe(NEW);
  return { world, back, first, rest: ALL_FIVE.filter((name) => name !== first) };
}

test.each(["abort", "rollback"] as const)("a machine that had no release but the one that is taken back is drained in it, and used again after %s: it has that again", async (command) => {
  const { world, back, rest } = await underWay();
  drain(world, NEW);
  await obey(world, ...(command === "abort" ? [NEW] : rest));
  world.command(back, command);
  await rounds(world, command === "abort" ? 2 : 12, command === "abort" ? ALL_FIVE : rest);
  uncordon(world, NEW);
  await rounds(world, 10, ALL_FIVE);
  world.pass(600_000, ...ALL_FIVE);
  world.startEngine();
  await rounds(world, 10, ALL_FIVE);
  expect(world.wanted(NEW)).toBe("2");
});

test.each([false, true])("it is paused since the older release fails, and a machine that was not told is drained and used again: it keeps what it has; aborted before: %s", async (isAborted) => {
  const { world, back, first, rest } = await underWay();
  await world.say(first, "reverted");
  world.pass(2000, ...ALL_FIVE);
  expect(world.phase(back)).toBe("paused");
  const untold = rest.find((name) => name !== NEW && world.wanted(name) === "2")!;
  drain(world, untold);
  await obey(world, ...rest);
  if (isAborted) world.command(back, "abort");
  uncordon(world, untold);
  await rounds(world, 3, rest);
  expect([world.phase(back), world.wanted(untold)]).toEqual([isAborted ? "aborted" : "paused", "2"]);
});

test.each(["lost before", "lost when one was told", "drained", "cordoned"])("a zone that is taken back is %s: another zone is taken back, and gets a fix, all the same", async (how) => {
  const { world, inA, inB } = await byZone();
  const here = how.startsWith("lost") ? ["c", "d"] : NAMES;
  if (how === "lost before") world.pass(40_000, ...here);
  if (!how.startsWith("lost")) for (const name of ["a", "b"]) world.engine.orders.cordon(name as never, { drain: how === "drained", force: true }, BY);
  await rounds(world, 2, here);
  to(world, inA, "1");
  if (how === "lost when one was told") world.pass(40_000, ...here);
  await rounds(world, 3, here);
  const second = to(world, inB, "1");
  await rounds(world, 12, here);
  expect([world.phase(second), wanted(world, ["c", "d"])]).toEqual(["succeeded", "1,1"]);
  const fix = world.deploy("3", { ...ONE_BY_ONE, targets: "zone=b", onConflict: "supersede" });
  await rounds(world, 12, here);
  expect([world.phase(fix), wanted(world, ["c", "d"])]).toEqual(["succeeded", "3,3"]);
});

test("an older release is asked for by the deployment that had given it: a machine that has it by that keeps it in a drain, and behind a fix that fails", async () => {
  const { world, second } = await onThree();
  to(world, second, "2");
  await obey(world, "a");
  await obey(world, "b");
  expect(wanted(world)).toBe("2,2,2,3");
  drain(world, "c");
  await obey(world, "c");
  uncordon(world, "c");
  expect(world.wanted("c")).toBe("2");
  const fix = world.deploy("4", { ...WIDE, onConflict: "supersede" });
  await rounds(world, 4);
  world.command(fix, "rollback");
  await rounds(world, 12);
  expect([world.phase(fix), wanted(world, ["a", "b", "c"])]).toEqual(["rolled_back", "2,2,2"]);
});
