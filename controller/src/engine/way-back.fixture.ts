/** What tests of a rollback to an older release begin with: fleets that have had some releases, one machine at a time. */
import { expect } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { count } from "../rollout/rollout.fixture.ts";
import { NAMES, obey, WIDE } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

export const BY = { by: "anna", reason: "" };
export const ONE_BY_ONE = { ...WIDE, maxUnavailable: count(1) };

/** What each is to run. */
export const wanted = (world: World, names: readonly string[] = NAMES): string => names.map((name) => world.wanted(name) ?? "-").join(",");

export async function rounds(world: World, times: number, names: readonly string[] = NAMES): Promise<void> {
  for (let round = 0; round < times; round += 1) await obey(world, ...names);
}

export function to(world: World, id: DeploymentId, version = "1"): DeploymentId {
  const answer = world.engine.operators.rollbackTo(id, version, BY);
  if (!answer.ok) throw new Error(answer.refusal.message);
  return answer.value.deployment as DeploymentId;
}

/** a in zone a, the others in zone b; 1, 2, 3 everywhere. */
export async function onThree(): Promise<{ readonly world: World; readonly second: DeploymentId; readonly third: DeploymentId }> {
  const world = new World();
  await world.joinAs({ role: "web", zone: "a" }, "a");
  await world.joinAs({ role: "web", zone: "b" }, "b", "c", "d");
  world.deploy("1", ONE_BY_ONE);
  await rounds(world, 10);
  const second = world.deploy("2", ONE_BY_ONE);
  await rounds(world, 10);
  const third = world.deploy("3", ONE_BY_ONE);
  await rounds(world, 10);
  expect(wanted(world)).toBe("3,3,3,3");
  return { world, second, third };
}

/** 1, and then 2 by a deployment for each zone, two machines in each. */
export async function byZone(): Promise<{ readonly world: World; readonly inA: DeploymentId; readonly inB: DeploymentId }> {
  const world = new World();
  await world.joinAs({ role: "web", zone: "a" }, "a", "b");
  await world.joinAs({ role: "web", zone: "b" }, "c", "d");
  world.deploy("1", ONE_BY_ONE);
  await rounds(world, 10);
  const inA = world.deploy("2", { ...ONE_BY_ONE, targets: "zone=a" });
  await rounds(world, 6);
  const inB = world.deploy("2", { ...ONE_BY_ONE, targets: "zone=b" });
  await rounds(world, 6);
  expect(wanted(world)).toBe("2,2,2,2");
  return { world, inA, inB };
}
