/** A rollback that takes nobody else down has ended for good, whatever becomes of the machines that showed it: a person goes on with it. */
import { expect, test } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { viewsOf } from "../api/views.fixture.ts";
import { count } from "../rollout/rollout.fixture.ts";
import { WIDE, work } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const NAMES = ["a", "b", "c", "d", "e"];
const BY = { by: "anna", reason: "" };

/** All run 2, and 2 is being rolled back, e first. */
async function rollingBack(): Promise<{ readonly world: World; readonly second: DeploymentId }> {
  const world = new World();
  await world.join(...NAMES);
  world.deploy("1", WIDE);
  await work(world, NAMES, 6);
  const second = world.deploy("2", { ...WIDE, maxUnavailable: count(1) });
  await work(world, NAMES, 8);
  world.command(second, "rollback");
  expect([world.phase(second), world.state(second, "e")]).toEqual(["rolling_back", "reverting"]);
  return { world, second };
}

const states = (world: World, id: DeploymentId): string => NAMES.map((name) => world.state(id, name)).join(" ");
const reverting = (world: World, id: DeploymentId): string | undefined => NAMES.find((name) => world.state(id, name) === "reverting");

async function fails(world: World, name: string): Promise<void> {
  await world.say(name, "failed", undefined, "app", "");
}

test("the machine that could not go back is removed, after the end", async () => {
  const { world, second } = await rollingBack();
  await fails(world, "e");
  expect(world.phase(second)).toBe("aborted");
  world.remove("e");
  world.pass(60_000, ...NAMES);
  expect(states(world, second)).toBe("healthy healthy healthy healthy removed");
});

test("a program removes what is dead: it does not take the fleet with it", async () => {
  const { world, second } = await rollingBack();
  for (let name = reverting(world, second); name !== undefined; name = reverting(world, second)) {
    await fails(world, name);
    world.remove(name);
    world.pass(60_000, ...NAMES);
  }
  expect(NAMES.filter((name) => world.state(second, name) === "healthy").length).toBeGreaterThanOrEqual(3);
});

test("the machine that could not go back is well for a moment, after the end", async () => {
  const { world, second } = await rollingBack();
  await fails(world, "e");
  world.pass(600_000, ...NAMES);
  await world.say("e", "healthy", undefined, "app", "1");
  world.pass(60_000, ...NAMES);
  expect(states(world, second).replace("reverted", "failed")).toBe("healthy healthy healthy healthy failed");
});

test("what it goes back to crashes again and again, and is well for some seconds each time", async () => {
  const { world } = await rollingBack();
  for (let round = 0; round < 10; round += 1) {
    for (const name of NAMES) if (world.wanted(name) === "1") await fails(world, name);
    world.pass(60_000, ...NAMES);
    for (const name of NAMES) if (world.wanted(name) === "1") await world.say(name, "healthy", undefined, "app", "1");
    world.pass(3_000, ...NAMES);
  }
  expect(NAMES.filter((name) => world.wanted(name) === "2").length).toBeGreaterThanOrEqual(3);
});

test("a drain on the way back shows nothing of the release", async () => {
  const { world, second } = await rollingBack();
  world.engine.orders.cordon("e" as never, { drain: true, force: true }, BY);
  await world.say("e", "removed");
  world.pass(10_000, ...NAMES);
  await fails(world, "d");
  world.pass(10_000, ...NAMES);
  expect([world.phase(second), states(world, second)]).toEqual(["aborted", "healthy healthy healthy failed reverted"]);
});

test("nobody is under way by it any more, so that rollback --watch ends", async () => {
  const { world, second } = await rollingBack();
  await fails(world, "e");
  world.pass(60_000, ...NAMES);
  const { underWay } = (await viewsOf(world).one(second))!;
  expect([world.phase(second), underWay]).toEqual(["aborted", false]);
});

test("it holds no later deployment up, and says who has what", async () => {
  const { world, second } = await rollingBack();
  await fails(world, "e");
  const { outcome } = (await viewsOf(world).one(second))!;
  expect([world.phase(second), outcome]).toEqual(["aborted", expect.stringMatching(/^aborted; 4 machines kept 2.*; e could not go back$/)]);
  const third = world.deploy("3", WIDE);
  await work(world, NAMES, 8);
  expect([world.phase(third), NAMES.map((name) => world.wanted(name))]).toEqual(["succeeded", ["3", "3", "3", "3", "3"]]);
});

test("whoever is lost on the way back is heard later, and goes back by what it was told", async () => {
  const { world, second } = await rollingBack();
  world.pass(40_000, "a", "b", "c", "d");
  await fails(world, "d");
  expect([world.phase(second), world.wanted("e")]).toEqual(["aborted", "1"]);
  world.startEngine();
  await world.join("e");
  await world.say("e", "healthy", undefined, "app", "1");
  world.pass(60_000, ...NAMES);
  expect([states(world, second), NAMES.map((name) => world.wanted(name))]).toEqual(["healthy healthy healthy failed reverted", ["2", "2", "2", "1", "1"]]);
});
