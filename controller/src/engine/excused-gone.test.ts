/** A person goes on without a machine that was lost with a release: it counts nowhere any more, and what became of it is named for good, also when it is removed. */
import { expect, test } from "vitest";
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import { viewsOf } from "../api/views.fixture.ts";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { NAMES, onOne, soak, work } from "./on-one.fixture.ts";
import type { World } from "./world.fixture.ts";

const OTHERS = NAMES.filter((name) => name !== "a");
const BY = { by: "anna", reason: "" };

/** The canary a takes 2, is well, and is lost. */
async function lost(): Promise<{ readonly world: World; readonly id: DeploymentId }> {
  const world = await onOne();
  const id = world.deploy("2", { waves: [soak(10_000), ALL], maxUnavailable: count(9) });
  await world.say("a", "healthy", undefined, "app", "2");
  world.pass(2000, ...NAMES);
  world.pass(20_000, ...OTHERS);
  expect(world.state(id, "a")).toBe("unreachable");
  return { world, id };
}

async function goesOn(world: World): Promise<void> {
  await work(world, OTHERS, 4);
  world.pass(12_000, ...OTHERS);
  await work(world, OTHERS, 4);
}

const promote = (world: World, id: DeploymentId): void => void world.command(id, "promote");
const restart = (world: World): void => world.startEngine();
const remove = (world: World): void => world.remove("a");

test.each<[string, readonly ((world: World, id: DeploymentId) => void | Promise<void>)[]]>([
  ["promoted, then removed", [promote, remove, goesOn]],
  ["removed, then promoted", [remove, promote, goesOn]],
  ["promoted, and removed after the end", [promote, goesOn, remove]],
  ["removed, restarted, and promoted", [remove, restart, promote, goesOn]],
  ["promoted, restarted, and removed", [promote, restart, remove, restart, goesOn]],
])("%s", async (_, steps) => {
  const { world, id } = await lost();
  for (const step of steps) await step(world, id);
  // Where nobody is left who was watched, a person opens the gate.
  if (world.phase(id) === "rolling") promote(world, id);
  await goesOn(world);
  const seen = (await viewsOf(world).one(id))!;
  expect([world.phase(id), seen.outcome, seen.outstanding?.removed, world.bugs]).toEqual(["succeeded", "succeeded on 3 of 4; a took it, was lost, and was removed from the fleet", 1, []]);
  expect(world.engine.audit()).toBeUndefined();
  world.startEngine();
  expect((await viewsOf(world).one(id))!.outcome).toBe(seen.outcome);
  // Another machine of the name is another matter.
  await world.join("a");
  await work(world, NAMES, 4);
  expect([world.wanted("a"), (await viewsOf(world).one(id))!.outcome]).toEqual(["2", "succeeded"]);
});

test("lost, drained, and promoted past: it still may run the release, as long as it is not heard", async () => {
  const { world, id } = await lost();
  world.engine.orders.cordon("a" as MachineId, { drain: true, force: true }, BY);
  promote(world, id);
  await goesOn(world);
  if (world.phase(id) === "rolling") promote(world, id);
  await goesOn(world);
  expect([world.phase(id), (await viewsOf(world).one(id))!.outcome]).toEqual(["succeeded", "succeeded on 3 of 4; a took it and is unreachable since"]);
  await world.join("a");
  await world.say("a", "removed", undefined, "app", "");
  world.pass(1000, ...NAMES);
  expect((await viewsOf(world).one(id))!.outcome).toBe("succeeded on 3 of 4; a is cordoned and gets it after muster uncordon a");
});
