/** "A release that is being taken back, or was, is nothing to go back to": also for a machine that was removed with it, and joins again. */
import { expect, test } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { lastGood } from "../journal/last-good.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { WIDE } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const all = ["a", "b", "c"];

/** They do what they are told, and say what runs. */
async function settle(world: World, ...names: string[]): Promise<void> {
  for (const name of names) {
    const wanted = world.wanted(name);
    if (wanted === "remove") await world.say(name, "removed");
    else await world.say(name, "healthy", world.generation(name), "app", wanted);
  }
  world.pass(2000, ...names);
}

/** 1 everywhere, then 2; a is removed with it. */
async function removedWithTwo(strategy: object = WIDE): Promise<{ readonly world: World; readonly second: DeploymentId }> {
  const world = new World();
  await world.join(...all);
  world.deploy("1", strategy);
  await settle(world, ...all);
  const second = world.deploy("2", strategy);
  await settle(world, ...all);
  world.pass(2000, ...all);
  expect(world.phase(second)).toBe("succeeded");
  world.remove("a");
  return { world, second };
}

async function rollBack(world: World, second: DeploymentId): Promise<void> {
  world.command(second, "rollback");
  await settle(world, "b", "c");
  world.pass(2000, "b", "c");
  expect([world.phase(second), world.wanted("b")]).toEqual(["rolled_back", "1"]);
}

/** It runs 2 still. */
async function joinAgain(world: World): Promise<void> {
  await world.joinOwing("a");
  await world.say("a", "healthy", 0, "app", "2");
  world.pass(3000, ...all);
}

async function drainAndUse(world: World): Promise<void> {
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, { by: "anna", reason: "" });
  await world.say("a", "removed");
  world.engine.orders.uncordon("a" as never, { by: "anna", reason: "" });
}

test.each(["before", "after"])("a machine that was removed with 2 and joins again %s 2 is taken back is never given 2 again", async (when) => {
  const { world, second } = await removedWithTwo({ ...WIDE, lateJoiners: "ignore" });
  if (when === "before") await joinAgain(world);
  await rollBack(world, second);
  if (when === "after") await joinAgain(world);
  const third = world.deploy("3", { waves: [wave(count(1)), ALL], maxUnavailable: count(1) });
  world.pass(1000, ...all);
  expect(world.wanted("a")).toBe("3");
  await world.say("a", "failed");
  world.pass(2000, ...all);
  expect(world.phase(third)).not.toBe("rolling");
  expect(world.wanted("a")).not.toBe("2");
});

test("a machine that joined again while it ran 2, and got 2 as a late joiner, does not stay on 2 when 2 is rolled back", async () => {
  const { world, second } = await removedWithTwo();
  world.pass(2000, "b", "c");
  await joinAgain(world);
  expect([world.wanted("a"), world.state(second, "a")]).toEqual(["2", "updating"]);
  await settle(world, "a");
  world.pass(3000, ...all);
  expect(world.command(second, "rollback")).toMatchObject({ ok: true });
  await settle(world, ...all);
  await settle(world, ...all);
  world.pass(3000, ...all);
  expect([world.phase(second), world.wanted("b"), world.wanted("c")]).toEqual(["rolled_back", "1", "1"]);
  expect([world.state(second, "a"), world.wanted("a")]).not.toEqual(["reverted", "2"]);
});

test("one that joins again after 2 was taken back goes back to it neither by itself nor after a drain", async () => {
  const { world, second } = await removedWithTwo();
  await rollBack(world, second);
  await joinAgain(world);
  expect(world.wanted("a")).toBe("1");
  // On its way with 1: what it goes back to by itself, and what a drain gives it back.
  const good = lastGood(world.journal.db, "a" as never, "app" as never);
  expect(world.engine.assignmentFor("a" as never)?.apps[0]?.lastGoodVersion).not.toBe("2");
  expect(good).not.toBe("app@2");
  await drainAndUse(world);
  expect(world.wanted("a")).not.toBe("2");
});

test.each([
  ["that it serves", "healthy", "a", "app@2"],
  ["that it has gone back to it", "reverted", "a", "app@2"],
  ["that it has failed", "failed", "a", null],
  ["that it is not well", "unhealthy", "a", null],
  ["that it was removed", "removed", "a", null],
  ["that it serves, with other files", "healthy", "b", null],
] as const)("who joins again and says of 2 %s has that to go back to, or not", async (_, phase, artifact, back) => {
  const { world } = await removedWithTwo({ ...WIDE, lateJoiners: "ignore" });
  await world.joinOwing("a");
  await world.say("a", phase, 0, "app", "2");
  world.journal.db.prepare("UPDATE machine_apps SET running_artifact = ? WHERE machine = 'a'").run(artifact.repeat(64));
  expect(lastGood(world.journal.db, "a" as never, "app" as never)).toBe(back);
});
