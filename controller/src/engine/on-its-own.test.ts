/** What a machine ran on its own account before a deployment of the same release left it out is not that deployment's to take back, whatever came and went meanwhile. */
import type { DeploymentId } from "@muster/proto/ids.ts";
import { expect, test } from "vitest";
import { viewsOf } from "../api/views.fixture.ts";
import { lastGood } from "../journal/last-good.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { WIDE, work } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const NAMES = ["a", "b", "c"];
const ON_A = { ...WIDE, waves: [wave(count(1)), { ...ALL, afterMs: 600_000 }] };

const wanted = (world: World): readonly (string | undefined)[] => NAMES.map((name) => world.wanted(name));

async function cameAndWent(world: World, version: string): Promise<void> {
  const id = world.deploy(version, ON_A);
  await work(world, NAMES, 4);
  expect(world.wanted("a")).toBe(version);
  world.command(id, "rollback");
  await work(world, NAMES, 4);
  expect([world.phase(id), world.wanted("a")]).toEqual(["rolled_back", "1"]);
}

/** a runs 1, confirmed, by a deployment that was aborted at its second wave. `base`: what ran everywhere before. */
async function onA(base?: string): Promise<World> {
  const world = new World();
  await world.join(...NAMES);
  if (base !== undefined) {
    world.deploy(base, WIDE);
    await work(world, NAMES, 4);
  }
  const first = world.deploy("1", ON_A);
  await work(world, NAMES, 4);
  world.command(first, "abort");
  expect(wanted(world)).toEqual(["1", base, base]);
  return world;
}

/** And then 1 is deployed to all. */
async function leftOut(world: World): Promise<DeploymentId> {
  const id = world.deploy("1", WIDE);
  await work(world, NAMES, 6);
  expect([world.phase(id), world.state(id, "a"), ...wanted(world)]).toEqual(["succeeded", undefined, "1", "1", "1"]);
  return id;
}

async function rollBack(world: World, id: DeploymentId): Promise<void> {
  expect(world.command(id, "rollback").ok).toBe(true);
  await work(world, NAMES, 8);
}

test.each([
  ["nothing happens in between", async (): Promise<void> => {}],
  [
    "the controller is restarted in between",
    async (world: World): Promise<void> => {
      world.startEngine();
      await world.join(...NAMES);
    },
  ],
  [
    "its link is cut in between",
    async (world: World): Promise<void> => {
      world.pass(30_000, "b", "c");
      await world.join("a");
    },
  ],
  [
    "something newer comes in between, and is rolled back, and the controller is restarted",
    async (world: World): Promise<void> => {
      await cameAndWent(world, "3");
      world.startEngine();
      await world.join(...NAMES);
    },
  ],
])("a machine that went back to it stays on it: %s", async (_, meanwhile) => {
  const world = await onA();
  await cameAndWent(world, "2");
  const id = await leftOut(world);
  await meanwhile(world);
  await work(world, NAMES, 6);
  await rollBack(world, id);
  expect(wanted(world)).toEqual(["1", "remove", "remove"]);
});

test.each([
  [undefined, "remove", false],
  ["0", "0", false],
  [undefined, "remove", true],
  ["0", "0", true],
])("the others go back to what they ran, %s before; something newer was rolled back everywhere in between: %s, %s", async (base, back, isInBetween) => {
  const world = await onA(base);
  const id = await leftOut(world);
  if (isInBetween) {
    const newer = world.deploy("2", WIDE);
    await work(world, NAMES, 6);
    await rollBack(world, newer);
  }
  expect(wanted(world)).toEqual(["1", "1", "1"]);
  await rollBack(world, id);
  expect(wanted(world)).toEqual(["1", back, back]);
  expect((await viewsOf(world).one(id))!.outcome).toBe("rolled back; a had 1 before it, and keeps that");
});

test.each([false, true])("a machine that was down with it, and is told it anew, goes back to it; something newer came and went before: %s", async (isBefore) => {
  const world = await onA();
  if (isBefore) await cameAndWent(world, "2");
  await world.say("a", "unhealthy");
  world.pass(2000, ...NAMES);
  expect([world.wanted("a"), lastGood(world.journal.db, "a" as never, "app" as never)]).toEqual(["1", "app@1"]);
  const id = world.deploy("1", WIDE);
  await work(world, NAMES, 6);
  expect([world.phase(id), world.state(id, "a")]).toEqual(["succeeded", "healthy"]);
  await rollBack(world, id);
  expect(wanted(world)).toEqual(["1", "remove", "remove"]);
});

test("nobody is told anything when the controller is restarted at rest", async () => {
  const world = new World();
  await world.join(...NAMES);
  world.deploy("1", { ...WIDE, lateJoiners: "ignore" });
  await work(world, NAMES, 4);
  await cameAndWent(world, "2");
  const all = [...NAMES, "d"];
  await world.join("d");
  const id = world.deploy("1", WIDE);
  await work(world, all, 6);
  expect([world.phase(id), world.wanted("d")]).toEqual(["succeeded", "1"]);
  const before = all.map((name) => world.generation(name));
  world.startEngine();
  await world.join(...all);
  await work(world, all, 6);
  expect([all.map((name) => world.generation(name)), world.state(id, "a")]).toEqual([before, undefined]);
});
