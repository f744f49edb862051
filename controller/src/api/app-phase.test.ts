/** `status --targets`: what a machine says of the app counts also when a drain has told it anew. */
import { beforeEach, expect, test } from "vitest";
import { AppPhase } from "@muster/proto/gen/muster/v1/agent.ts";
import { type Target, TargetState } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { deployedToFour, FOUR, sceneOfFour } from "../history/four.fixture.ts";
import type { Scene } from "../history/history.fixture.ts";
import { viewsOf } from "./views.fixture.ts";

const BY = { by: "anna", reason: "" };

let scene: Scene;

beforeEach(async () => {
  scene = await sceneOfFour();
});

const drain = (machine: string) => scene.engine.orders.cordon(machine as never, { drain: true, force: true }, BY);
const uncordon = (machine: string) => scene.engine.orders.uncordon(machine as never, BY);
const firstOf = async (id: DeploymentId): Promise<Target | undefined> => (await viewsOf(scene).withTargets(id))?.targets.find(({ machine }) => machine === "m-1");

test.each(["on the release", "on what it went back to"])("a machine that a drain has stopped and started, %s", async (where) => {
  await deployedToFour(scene, "1");
  const id = await deployedToFour(scene, "2");
  if (where !== "on the release") {
    scene.command(id, "rollback");
    for (const machine of FOUR) await scene.tell(machine, "healthy", "1");
  }
  const [state, version] = where === "on the release" ? [TargetState.HEALTHY, "2"] : [TargetState.REVERTED, "1"];
  expect(await firstOf(id)).toMatchObject({ state, appPhase: AppPhase.HEALTHY, now: "" });
  drain("m-1");
  expect(await firstOf(id)).toMatchObject({ state, appPhase: AppPhase.HEALTHY, now: "draining" });
  await scene.tell("m-1", "removed");
  expect(await firstOf(id)).toMatchObject({ state, appPhase: AppPhase.REMOVED, now: "drained" });
  uncordon("m-1");
  await scene.tell("m-1", "probing", version);
  expect(await firstOf(id)).toMatchObject({ state, appPhase: AppPhase.PROBING, now: "probing" });
  await scene.tell("m-1", "healthy", version);
  expect(await firstOf(id)).toMatchObject({ state, appPhase: AppPhase.HEALTHY, now: "" });
});

test("what it says of another release, that a drain or a newer deployment has given it, is not said of this one", async () => {
  await deployedToFour(scene, "1");
  const id = scene.deploy("2", { waves: [{ ...wave(count(2)), gates: [{ kind: "soak", forMs: 60_000 }] }, ALL], maxUnavailable: count(2), onFailure: "abort" });
  await scene.tell("m-1", "healthy", "2");
  await scene.tell("m-2", "reverted", "1");
  drain("m-1");
  await scene.tell("m-1", "removed");
  uncordon("m-1");
  await scene.tell("m-1", "healthy", "1");
  expect(await firstOf(id)).toMatchObject({ state: TargetState.HEALTHY, appPhase: AppPhase.UNSPECIFIED, now: "back on app@1 since a drain" });
  const newer = await deployedToFour(scene, "3");
  expect(await firstOf(id)).toMatchObject({ appPhase: AppPhase.UNSPECIFIED, now: `${newer} decides` });
});
