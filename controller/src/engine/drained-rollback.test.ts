/** A machine that is drained when its release is taken back: what it goes back to starts when the drain ends, and whether it can is known no sooner. */
import { expect, test } from "vitest";
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import { viewsOf } from "../api/views.fixture.ts";
import { NAMES, obey, onOne, WIDE } from "./on-one.fixture.ts";
import type { World } from "./world.fixture.ts";

const BY = { by: "anna", reason: "" };
const OTHERS = NAMES.filter((name) => name !== "d");

/** All run 2, which was confirmed, d is drained, before or in the rollback of 2, and 2 is rolled back. */
async function rolledBack(when: "before" | "in the middle"): Promise<{ readonly world: World; readonly id: DeploymentId }> {
  const world = await onOne();
  const id = world.deploy("2", WIDE);
  for (let round = 0; round < 6; round += 1) await obey(world, ...NAMES);
  if (when === "in the middle") world.command(id, "rollback");
  world.engine.orders.cordon("d" as MachineId, { drain: true, force: true }, BY);
  await world.say("d", "removed", undefined, "app", "");
  if (when === "before") {
    await obey(world, ...OTHERS);
    world.command(id, "rollback");
    await world.say("d", "removed", undefined, "app", "");
  }
  for (let round = 0; round < 6; round += 1) await obey(world, ...OTHERS);
  world.pass(3000, ...NAMES);
  expect([world.phase(id), world.wanted("d")]).toEqual(["rolled_back", "remove"]);
  return { world, id };
}

test.each((["before", "in the middle"] as const).flatMap((when) => [true, false].map((isRestarted) => [when, isRestarted] as const)))("and can't start then (drained %s the rollback, restarted %s): that is said, and it can be asked for again", async (when, isRestarted) => {
  const { world, id } = await rolledBack(when);
  if (isRestarted) world.startEngine();
  world.engine.orders.uncordon("d" as MachineId, BY);
  world.pass(1000, ...NAMES);
  expect(world.wanted("d")).toBe("1");
  await world.say("d", "failed", undefined, "app", "");
  world.pass(1000, ...NAMES);
  expect([world.state(id, "d"), (await viewsOf(world).one(id))!.outcome]).toEqual(["failed", expect.stringMatching(/^rolled back, except 1 failed: d could not go back/)]);
  expect(world.command(id, "rollback").ok).toBe(true);
  await world.say("d", "healthy", undefined, "app", "1");
  world.pass(1000, ...NAMES);
  expect([world.phase(id), world.state(id, "d"), (await viewsOf(world).one(id))!.outcome, world.bugs]).toEqual(["rolled_back", "reverted", "rolled back", []]);
});

test.each(["before", "in the middle"] as const)("and is well then: what becomes of it later is no failure of the rollback (drained %s it)", async (when) => {
  const { world, id } = await rolledBack(when);
  world.engine.orders.uncordon("d" as MachineId, BY);
  world.pass(1000, ...NAMES);
  await world.say("d", "healthy", undefined, "app", "1");
  world.pass(1000, ...NAMES);
  await world.say("d", "unhealthy", undefined, "app", "1");
  world.pass(1000, ...NAMES);
  expect([world.state(id, "d"), (await viewsOf(world).one(id))!.outcome, world.bugs]).toEqual(["reverted", "rolled back", []]);
});
