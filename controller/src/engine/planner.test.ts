/** A deployment to a large fleet is planned in a turn of its own, and begins as the fleet is when it begins. */
import type { DeploymentId } from "@muster/proto/ids.ts";
import { expect, test } from "vitest";
import { loadRollout } from "../journal/load.ts";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { PLANNED_AT_ONCE_MAX } from "./planner.ts";
import { World } from "./world.fixture.ts";

const WIDE = { waves: [ALL], maxUnavailable: count(2) };

async function large(): Promise<World> {
  const world = new World();
  await world.join(...Array.from({ length: PLANNED_AT_ONCE_MAX + 1 }, (_, index) => `m-${String(index).padStart(4, "0")}`));
  return world;
}

const targetsOf = (world: World, id: DeploymentId): number => loadRollout(world.journal, id)!.targets.size;

test("it begins by itself, also after a restart before it was planned", async () => {
  const world = await large();
  const id = world.deploy("1", WIDE);
  expect(world.phase(id)).toBe("pending");
  world.startEngine();
  world.clock.advance(0);
  world.pass(20_000);
  expect([world.phase(id), targetsOf(world, id)]).toEqual(["rolling", PLANNED_AT_ONCE_MAX + 1]);
});

test("who leaves or comes between the plan and the beginning is out of it, or in it", async () => {
  const world = await large();
  const id = world.deploy("1", WIDE);
  let turns = 0;
  while (world.phase(id) === "pending" && turns < 10) {
    turns += 1;
    world.remove(`m-${String(turns).padStart(4, "0")}`);
    world.clock.advance(0);
  }
  expect([world.phase(id), targetsOf(world, id)]).toEqual(["rolling", PLANNED_AT_ONCE_MAX + 1 - turns]);
  expect(world.state(id, "m-0001")).toBeUndefined();
});

test("one that takes the place of another begins where that was, and one that is aborted before it begins never does", async () => {
  const world = await large();
  const first = world.deploy("1", WIDE);
  world.clock.advance(0);
  world.clock.advance(0);
  const second = world.deploy("2", { ...WIDE, onConflict: "supersede" });
  const third = world.deploy("3", WIDE);
  expect(world.command(third, "abort").ok).toBe(true);
  for (let turn = 0; turn < 4; turn += 1) world.clock.advance(0);
  expect([first, second, third].map((id) => world.phase(id))).toEqual(["superseded", "rolling", "aborted"]);
});

test("until it begins it says what that waits for: the controller alone, or one that begins first", async () => {
  const world = await large();
  const first = world.deploy("1", { ...WIDE, onConflict: "supersede" });
  const second = world.deploy("2", { ...WIDE, onConflict: "supersede" });
  expect([first, second].map((id) => world.phase(id))).toEqual(["pending", "pending"]);
  expect([first, second].map((id) => world.waitingOn(id))).toEqual(["the controller to begin it: nothing else is in its way", `${first} (app@1) to begin first`]);
});
