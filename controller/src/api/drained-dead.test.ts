/** A drain says nothing of what a machine that is cut off still runs. */
import { beforeEach, expect, test } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { deployedToFour, sceneOfFour } from "../history/four.fixture.ts";
import type { Scene } from "../history/history.fixture.ts";
import { viewsOf } from "./views.fixture.ts";
import type { DeploymentViews } from "./views.ts";

const OTHERS = ["m-1", "m-2", "m-4"];

let scene: Scene;
let views: DeploymentViews;

beforeEach(async () => {
  scene = await sceneOfFour();
  views = viewsOf(scene);
});

const deployed = (version: string) => deployedToFour(scene, version);

const drain = (machine: string) => scene.engine.orders.cordon(machine as never, { drain: true, force: true }, { by: "anna", reason: "" });
const outcome = async (id: DeploymentId) => (await views.one(id))!.outcome;

test.each([2000, 9000, 20_000])("a rollback whose last machine is cut off, and drained %s ms later, does not say that all are back", async (ms) => {
  await deployed("1");
  const id = await deployed("2");
  scene.command(id, "rollback");
  for (const machine of OTHERS) await scene.tell(machine, "healthy", "1");
  // From now on m-3 hears nothing, and runs 2.
  scene.elapse(ms, ...OTHERS);
  drain("m-3");
  scene.elapse(40_000, ...OTHERS);
  expect(await outcome(id)).toContain("m-3 may still run 2");
});

test("nor when it was lost in the rollback, is heard, told to go back, drained, and lost again", async () => {
  await deployed("1");
  const id = await deployed("2");
  scene.elapse(20_000, ...OTHERS);
  scene.command(id, "rollback");
  for (const machine of OTHERS) await scene.tell(machine, "healthy", "1");
  await scene.join("m-3");
  drain("m-3");
  scene.elapse(40_000, ...OTHERS);
  expect(await outcome(id)).toContain("m-3 may still run 2");
});

test.each([false, true])("after an abort a machine that was on its way and is cut off is named (drained since: %s)", async (isDrained) => {
  await deployed("1");
  const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(1) });
  await scene.tell("m-1", "probing", "2");
  scene.command(id, "abort");
  scene.elapse(2000, "m-2", "m-3", "m-4");
  if (isDrained) drain("m-1");
  scene.elapse(40_000, "m-2", "m-3", "m-4");
  expect(await outcome(id)).toContain("m-1 may run 2");
});
