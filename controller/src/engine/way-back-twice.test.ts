/** The same is asked for once more while it is under way: whoever takes that back takes back both, and finds what ran before the first. */
import { expect, test } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { count } from "../rollout/rollout.fixture.ts";
import { NAMES, obey, onOne, WIDE } from "./on-one.fixture.ts";
import type { World } from "./world.fixture.ts";

const BY = { by: "anna", reason: "" };
const ONE_BY_ONE = { ...WIDE, maxUnavailable: count(1) };
const wanted = (world: World): string => NAMES.map((name) => world.wanted(name)).join("");

async function rounds(world: World, times: number): Promise<void> {
  for (let round = 0; round < times; round += 1) await obey(world, ...NAMES);
}

/** 3 runs everywhere, and 2 did before it. */
async function onThree(): Promise<{ readonly world: World; readonly third: DeploymentId }> {
  const world = await onOne();
  world.deploy("2", ONE_BY_ONE);
  await rounds(world, 10);
  const third = world.deploy("3", ONE_BY_ONE);
  await rounds(world, 10);
  expect(wanted(world)).toBe("3333");
  return { world, third };
}

const HOW: readonly [string, (world: World, third: DeploymentId) => DeploymentId][] = [
  ["rollback --to", (world, third) => {
    const answer = world.engine.operators.rollbackTo(third, "1", BY);
    if (!answer.ok) throw new Error(answer.refusal.message);
    return answer.value.deployment as DeploymentId;
  }],
  ["deploy", (world) => world.deploy("1", { ...ONE_BY_ONE, onConflict: "supersede" })],
];

test.each(HOW.flatMap(([how, ask]) => [1, 2, 3].map((told) => [how, told, ask] as const)))("%s, twice, the second time when %i machines have it: taken back, all run what they ran before", async (_, told, ask) => {
  const { world, third } = await onThree();
  const first = ask(world, third);
  for (const name of NAMES.slice(0, told - 1)) await obey(world, name);
  const had = NAMES.map((name) => world.wanted(name)).filter((version) => version === "1");
  expect(had).toHaveLength(told);
  const second = ask(world, third);
  await rounds(world, 12);
  expect([world.phase(first), world.phase(second), wanted(world)]).toEqual(["superseded", "succeeded", "1111"]);
  world.command(second, "rollback");
  await rounds(world, 12);
  expect([world.phase(second), wanted(world)]).toEqual(["rolled_back", "3333"]);
});
