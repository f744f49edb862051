/** What tests of the time after a deployment's end begin with: four machines, which take each release at once. */
import type { DeploymentId } from "@muster/proto/ids.ts";
import { onTestFinished } from "vitest";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { Scene } from "./history.fixture.ts";

export const FOUR = ["m-1", "m-2", "m-3", "m-4"];

/** In `beforeEach`: it is closed when the test is over. */
export async function sceneOfFour(): Promise<Scene> {
  const scene = new Scene();
  onTestFinished(() => {
    scene.engine.stop();
    scene.journal.close();
  });
  await scene.join(...FOUR);
  return scene;
}

/** All have it, and say so. */
export async function deployedToFour(scene: Scene, version: string): Promise<DeploymentId> {
  const id = scene.deploy(version, { waves: [ALL], maxUnavailable: count(4) });
  for (const machine of FOUR) await scene.tell(machine, "healthy", version);
  return id;
}
