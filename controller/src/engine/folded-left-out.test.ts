/** Whom a deployment left out is what was decided about it last, whatever of the deployment is in the archive. */
import { expect, test } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import type { Strategy } from "../plan/strategy.ts";
import { count } from "../rollout/rollout.fixture.ts";
import { archive, archivingWorld, MINUTE_MS } from "./archive.fixture.ts";
import { WIDE, work } from "./on-one.fixture.ts";
import type { World } from "./world.fixture.ts";

const BY = { by: "anna", reason: "" };
const NO_DRAIN = { drain: false, force: false };

/** 3 runs everywhere but on a, which ran 2 and was cordoned then; 2 is deployed to its zone, and leaves it out. a and b are in zone a, the others in zone b. */
async function leftOut(all: readonly string[], lateJoiners: Strategy["lateJoiners"] = "deploy"): Promise<{ readonly world: World; readonly newest: DeploymentId }> {
  const world = await archivingWorld();
  await world.joinAs({ role: "web", zone: "a" }, "a", "b");
  await world.joinAs({ role: "web", zone: "b" }, ...all.slice(2));
  world.deploy("2", WIDE);
  await work(world, all, 4);
  world.engine.orders.cordon("a" as never, NO_DRAIN, BY);
  world.deploy("3", WIDE);
  await work(world, all, 4);
  const newest = world.deploy("2", { ...WIDE, targets: "zone=a", lateJoiners });
  await work(world, all, 4);
  world.engine.orders.uncordon("a" as never, BY);
  await work(world, all, 4);
  return { world, newest };
}

test.each([false, true])("a machine stays on what was decided about it last when its labels change, left out by that, and the steps are in the archive: %s", async (isArchived) => {
  const all = ["a", "b", "c"];
  const { world, newest } = await leftOut(all);
  world.label({ role: "web", zone: "c" }, "a");
  await work(world, all, 6);
  world.deploy("4", { ...WIDE, targets: "zone=a" });
  await work(world, all, 6);
  expect([world.phase(newest), ...all.map((name) => world.wanted(name))]).toEqual(["succeeded", "2", "4", "3"]);
  if (isArchived) {
    world.pass(10 * MINUTE_MS, ...all);
    await archive(world);
  }
  world.startEngine();
  world.pass(20_000, ...all);
  await work(world, all, 6);
  expect(all.map((name) => world.wanted(name))).toEqual(["2", "4", "3"]);
});

/** As left-out-decided.test.ts has it ("a rollback --to that was given up for the same release leaves that as the last good one"), with the steps in the archive meanwhile. */
test.each([false, true])("a rollback --to that was given up for the same release leaves that as the last good one, and its steps are in the archive: %s", async (isArchived) => {
  const NAMES = ["a", "b", "c", "d"];
  const world = await archivingWorld();
  await world.joinAs({ role: "web", zone: "a" }, "a");
  await world.joinAs({ role: "web", zone: "b" }, "b", "c", "d");
  world.deploy("1", WIDE);
  await work(world, NAMES, 6);
  const second = world.deploy("2", { ...WIDE, maxUnavailable: count(1) });
  await work(world, NAMES, 10);
  // Somebody takes it back, sees the mistake when some machine has been told, and deploys 2 again.
  const third = world.engine.operators.rollbackTo(second, "1", BY);
  expect(third.ok).toBe(true);
  world.pass(1000, ...NAMES);
  const again = world.deploy("2", { ...WIDE, maxUnavailable: count(1), onConflict: "supersede" });
  world.pass(1000, ...NAMES);
  world.command(again, "abort");
  await work(world, NAMES, 10);
  // The machine that was told goes on to something else.
  world.deploy("3", { ...WIDE, targets: "zone=a" });
  await work(world, NAMES, 6);
  if (isArchived) {
    world.pass(10 * MINUTE_MS, ...NAMES);
    await archive(world);
  }
  const fourth = world.deploy("4", { ...WIDE, targets: "zone=b" });
  world.pass(1000, ...NAMES);
  expect(["b", "c", "d"].map((name) => world.engine.assignmentFor(name as never)?.apps[0]?.lastGoodVersion)).toEqual(["2", "2", "2"]);
  await work(world, NAMES, 6);
  world.command(fourth, "rollback");
  await work(world, NAMES, 8);
  expect([world.phase(fourth), ...["b", "c", "d"].map((name) => world.wanted(name))]).toEqual(["rolled_back", "2", "2", "2"]);
});

test.each([false, true])("what a rollback gave back to a machine is where it was left, too, and the steps are in the archive: %s", async (isArchived) => {
  const all = ["a", "b", "c"];
  const { world } = await leftOut(all);
  const four = world.deploy("4", { ...WIDE, targets: "zone=a" });
  await work(world, all, 4);
  expect(all.map((name) => world.wanted(name))).toEqual(["4", "4", "3"]);
  world.command(four, "rollback");
  await work(world, all, 6);
  expect([world.phase(four), ...all.map((name) => world.wanted(name))]).toEqual(["rolled_back", "2", "2", "3"]);
  world.label({ role: "web", zone: "c" }, "a");
  await work(world, all, 6);
  world.deploy("5", { ...WIDE, targets: "zone=a" });
  await work(world, all, 6);
  expect(all.map((name) => world.wanted(name))).toEqual(["2", "5", "3"]);
  if (isArchived) {
    world.pass(10 * MINUTE_MS, ...all);
    await archive(world);
  }
  world.startEngine();
  world.pass(20_000, ...all);
  await work(world, all, 6);
  expect(all.map((name) => world.wanted(name))).toEqual(["2", "5", "3"]);
});

test.each([false, true])("the newest that left a machine out is taken back, and the one before it is in the archive: %s", async (isArchived) => {
  const all = ["a", "b", "c", "y"];
  const { world } = await leftOut(all, "ignore");
  // b goes elsewhere, y comes.
  world.label({ role: "web", zone: "x" }, "b");
  world.deploy("6", { ...WIDE, targets: "zone=x" });
  await work(world, all, 4);
  world.label({ role: "web", zone: "a" }, "y");
  await work(world, all, 4);
  const newer = world.deploy("2", { ...WIDE, targets: "zone=a", lateJoiners: "ignore" });
  await work(world, all, 4);
  if (isArchived) {
    world.pass(10 * MINUTE_MS, ...all);
    await archive(world);
  }
  expect(world.command(newer, "rollback").ok).toBe(true);
  await work(world, all, 6);
  world.label({ role: "web", zone: "c" }, "a");
  await work(world, all, 6);
  world.startEngine();
  world.pass(20_000, ...all);
  await work(world, all, 6);
  expect(world.wanted("a")).toEqual("2");
});

test.each([false, true])("what took the place of the release on a machine that was left out is taken back after the sweep, and the steps are in the archive: %s", async (isArchived) => {
  const all = ["a", "b", "c"];
  const { world } = await leftOut(all);
  if (isArchived) world.pass(10 * MINUTE_MS, ...all);
  const four = world.deploy("4", { ...WIDE, targets: "zone=a" });
  await work(world, all, 4);
  expect(all.map((name) => world.wanted(name))).toEqual(["4", "4", "3"]);
  if (isArchived) {
    // 4 has just succeeded, and what is old is the rest.
    await archive(world);
  }
  expect(world.command(four, "rollback").ok).toBe(true);
  await work(world, all, 6);
  expect([world.phase(four), ...all.map((name) => world.wanted(name))]).toEqual(["rolled_back", "2", "2", "3"]);
  world.label({ role: "web", zone: "c" }, "a");
  await work(world, all, 6);
  world.startEngine();
  world.pass(20_000, ...all);
  await work(world, all, 6);
  expect(all.map((name) => world.wanted(name))).toEqual(["2", "2", "3"]);
});
