/** The steps of a machine's story go on after the end of its deployment: when its app turned bad, and was well again. */
import { beforeEach, expect, test } from "vitest";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { deployedToFour, FOUR, sceneOfFour } from "./four.fixture.ts";
import type { Scene } from "./history.fixture.ts";

let scene: Scene;

beforeEach(async () => {
  scene = await sceneOfFour();
});

const steps = async (machine: string): Promise<readonly string[]> => {
  const lines = (await scene.whyMachine(machine)).split("\n");
  return lines.slice(lines.findIndex((line) => /s (?:succeeded|aborted|rolled_back): /.test(line)) + 1);
};

test("when it died, why, and when it was well again", async () => {
  await deployedToFour(scene, "1");
  scene.elapse(5000, ...FOUR);
  await scene.tell("m-1", "unhealthy", "1");
  expect(await steps("m-1")).toEqual(["     5s report_unhealthy: its app is unhealthy: exited with code 1"]);
  scene.elapse(5000, ...FOUR);
  await scene.tell("m-1", "healthy", "1");
  scene.elapse(5000, ...FOUR);
  await scene.tell("m-1", "failed", "", { code: "exited", message: "exited with code 9" });
  expect(await steps("m-1")).toEqual([
    "     5s report_unhealthy: its app is unhealthy: exited with code 1",
    "    10s report_healthy: its app is healthy again",
    "    15s report_failed: its app has failed: exited with code 9 (2 times down by now)",
  ]);
});

test("of an app that comes and goes the first time and the last are told, and how often", async () => {
  await deployedToFour(scene, "1");
  for (let round = 0; round < 7; round += 1) {
    scene.elapse(5000, ...FOUR);
    await scene.tell("m-1", "unhealthy", "1");
    await scene.tell("m-1", "probing", "1");
    await scene.tell("m-1", "healthy", "1");
  }
  expect(await steps("m-1")).toEqual([
    "     5s report_unhealthy: its app is unhealthy: exited with code 1",
    "     5s report_probing: its agent has started app@1 and probes it",
    "     5s report_healthy: its app is healthy again",
    "    35s report_unhealthy: its app is unhealthy: exited with code 1 (7 times down by now)",
    "    35s report_probing: its agent has started app@1 and probes it",
    "    35s report_healthy: its app is healthy again",
  ]);
});

test("what else happened meanwhile stays where it was", async () => {
  await deployedToFour(scene, "1");
  const by = { by: "anna", reason: "" };
  for (let round = 0; round < 3; round += 1) {
    await scene.tell("m-1", "unhealthy", "1");
    await scene.tell("m-1", "healthy", "1");
    if (round === 0) scene.engine.orders.cordon("m-1" as never, { drain: false, force: false }, by);
    else if (round === 1) scene.engine.orders.uncordon("m-1" as never, by);
  }
  expect((await steps("m-1")).map((line) => line.replace(/^.*?: /, ""))).toEqual([
    "its app is unhealthy: exited with code 1",
    "its app is healthy again",
    "anna cordoned m-1",
    "its app is unhealthy: exited with code 1 (2 times down by now)",
    "its app is healthy again",
    "anna uncordoned m-1",
    "its app is unhealthy: exited with code 1 (3 times down by now)",
    "its app is healthy again",
  ]);
});

test("one that goes back by itself after an abort", async () => {
  await deployedToFour(scene, "1");
  const id = scene.deploy("2", { waves: [{ ...wave(count(2)), gates: [{ kind: "soak", forMs: 60_000 }] }, ALL], maxUnavailable: count(2) });
  for (const machine of ["m-1", "m-2"]) await scene.tell(machine, "healthy", "2");
  scene.command(id, "abort");
  await scene.tell("m-1", "reverting", "2");
  await scene.tell("m-1", "reverted", "1");
  expect((await steps("m-1")).map((line) => line.replace(/^.*?: /, ""))).toEqual(["its agent takes it back by itself", "it went back by itself and runs app@1 now: exited with code 1"]);
});

test("while a rollout is under way its own row tells of the failure, and nothing twice", async () => {
  await deployedToFour(scene, "1");
  scene.deploy("2", { waves: [{ ...wave(count(2)), gates: [{ kind: "soak", forMs: 60_000 }] }, ALL], maxUnavailable: count(2), maxFailures: count(1) });
  for (const machine of ["m-1", "m-2"]) await scene.tell(machine, "healthy", "2");
  await scene.tell("m-1", "unhealthy", "2");
  expect((await scene.whyMachine("m-1")).match(/exited with code 1/g)).toHaveLength(2);
});
