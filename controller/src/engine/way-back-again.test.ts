/** A rollback to an older release that is taken back, and wanted after all in the middle of that: the newest decision is the person's, and nobody is taken away from it. */
import { expect, test } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { count } from "../rollout/rollout.fixture.ts";
import { NAMES, obey, onOne, WIDE, work } from "./on-one.fixture.ts";
import type { World } from "./world.fixture.ts";

const BY = { by: "anna", reason: "" };
const ONE_BY_ONE = { ...WIDE, maxUnavailable: count(1) };
const wanted = (world: World): string => NAMES.map((name) => world.wanted(name)).join("");

function to(world: World, id: DeploymentId): DeploymentId {
  const answer = world.engine.operators.rollbackTo(id, "1", BY);
  if (!answer.ok) throw new Error(answer.refusal.message);
  return answer.value.deployment as DeploymentId;
}

/** All are back on 1 from 2 by d-3, which is being taken back: d goes to 2. */
async function takenBackAgain(): Promise<{ readonly world: World; readonly back: DeploymentId }> {
  const world = await onOne();
  const second = world.deploy("2", ONE_BY_ONE);
  for (let round = 0; round < 10; round += 1) await obey(world, ...NAMES);
  const back = to(world, second);
  for (let round = 0; round < 10; round += 1) await obey(world, ...NAMES);
  expect([wanted(world), world.phase(back)]).toEqual(["1111", "succeeded"]);
  expect([world.command(back, "rollback").ok, wanted(world)]).toEqual([true, "1112"]);
  return { world, back };
}

test.each<[string, (world: World, back: DeploymentId) => DeploymentId]>([
  ["rollback --to", to],
  ["deploy", (world) => world.deploy("1", { ...ONE_BY_ONE, onConflict: "supersede" })],
])("nobody leaves the release that is wanted again (%s)", async (_, again) => {
  const { world, back } = await takenBackAgain();
  const last = again(world, back);
  const seen = new Set<string>();
  for (let round = 0; round < 16; round += 1) {
    await obey(world, ...NAMES);
    seen.add(wanted(world));
  }
  expect([[...seen], world.phase(back), world.phase(last)]).toEqual([["1111"], "superseded", "succeeded"]);
  world.startEngine();
  world.pass(60_000, ...NAMES);
  expect([wanted(world), world.bugs]).toEqual(["1111", []]);
});

test("a fix that fails in the middle of it goes back to where the rollback was going", async () => {
  const { world } = await takenBackAgain();
  const fix = world.deploy("3", { ...WIDE, onConflict: "supersede" });
  await world.say("a", "reverting");
  await world.say("a", "reverted");
  await work(world, NAMES, 12);
  expect([wanted(world), world.phase(fix)]).toEqual(["2222", "rolled_back"]);
});

test("a person who ends it leaves who has 1 on it, as what is good there", async () => {
  const { world, back } = await takenBackAgain();
  world.command(back, "abort");
  const third = world.deploy("3", WIDE);
  await world.say("a", "reverting");
  await world.say("a", "reverted");
  await work(world, NAMES, 12);
  expect([world.phase(third), wanted(world)]).toEqual(["rolled_back", "1112"]);
});
