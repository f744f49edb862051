/** The past, and its pictures. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { DeploymentId, Instant } from "@muster/proto/ids.ts";
import { AppPhase } from "@muster/proto/gen/muster/v1/agent.ts";
import { DeploymentPhase, TargetState } from "@muster/proto/gen/muster/v1/deployments.ts";
import { DeploymentViews } from "../api/views.ts";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { Scene } from "./history.fixture.ts";
import { Past } from "./past.ts";
import { type Picture, pictures } from "./replay.ts";

let scene: Scene;

beforeEach(async () => {
  scene = new Scene();
  await scene.join("a", "b");
});

afterEach(() => {
  scene.engine.stop();
  scene.journal.close();
});

async function viewAt(id: DeploymentId, at: number) {
  const past = await Past.at(scene.journal, id, at as Instant);
  if (past === undefined) return undefined;
  const view = await new DeploymentViews(past.db, () => past.waiting()).withTargets(id);
  past.close();
  return view;
}

async function allPictures(id: DeploymentId, most?: number) {
  const past = new Past(scene.journal);
  const views = new DeploymentViews(past.db, () => past.waiting());
  const all: (Picture & { readonly healthy: number; readonly phase: DeploymentPhase })[] = [];
  for await (const picture of pictures(scene.journal, id, past, most)) {
    const view = (await views.one(id))!;
    all.push({ ...picture, healthy: view.counts!.healthy, phase: view.phase });
  }
  past.close();
  return all;
}

test("a deployment is seen as it stood at each time, and not before it was submitted", async () => {
  const start = scene.clock.now();
  scene.elapse(1000);
  const id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(1) });
  scene.elapse(1000);
  await scene.tell("a", "probing");
  scene.elapse(1000);
  await scene.tell("a", "healthy", "1");
  scene.elapse(1000);
  await scene.tell("b", "healthy", "1");
  const targets = async (ms: number) => (await viewAt(id, start + ms))?.targets.map(({ state, runningVersion }) => [state, runningVersion]);

  expect(await viewAt(id, start + 999)).toBeUndefined();
  expect(await targets(1000)).toEqual([[TargetState.UPDATING, ""], [TargetState.PENDING, ""]]);
  expect((await viewAt(id, start + 2500))!.targets[0]!.appPhase).toBe(AppPhase.PROBING);
  expect(await targets(3000)).toEqual([[TargetState.HEALTHY, "1"], [TargetState.UPDATING, ""]]);
  expect(await targets(3999)).toEqual([[TargetState.HEALTHY, "1"], [TargetState.UPDATING, ""]]);
  expect(await viewAt(id, start + 4000)).toEqual(await new DeploymentViews(scene.journal.db, () => undefined).withTargets(id));
  expect((await viewAt(id, start + 1_000_000))!.phase).toBe(DeploymentPhase.SUCCEEDED);
});

test("what a machine ran before the deployment is known in its past, too", async () => {
  const first = scene.deploy("1", { waves: [ALL], maxUnavailable: count(2) });
  await scene.tell("a", "healthy", "1");
  await scene.tell("b", "healthy", "1");
  scene.elapse(1000);
  const second = scene.deploy("2", { waves: [ALL], maxUnavailable: count(1) });
  const at = scene.clock.now();
  scene.elapse(1000);
  await scene.tell("a", "healthy", "2");
  expect((await viewAt(second, at))!.targets.map(({ runningVersion }) => runningVersion)).toEqual(["1", "1"]);
  expect((await viewAt(first, at))!.phase).toBe(DeploymentPhase.SUCCEEDED);
});

test("what a deployment waited for is known while it had not begun", async () => {
  scene.deploy("1", { waves: [ALL] });
  scene.elapse(1000);
  const id = scene.deploy("2", { startAt: (scene.clock.now() + 10_000) as Instant });
  const at = scene.clock.now();
  scene.elapse(20_000, "a", "b");
  expect((await viewAt(id, at))!.waitingOn).toMatch(/^its time: it begins at .* \(start_at\)$/);
  expect((await viewAt(id, at + 15_000))!.waitingOn).toBe("d-1 (app@1, rolling) to end");
});

test("there is a picture for each moment, with what had happened and what agents said", async () => {
  const start = scene.clock.now();
  const id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(1) });
  scene.elapse(1000);
  await scene.tell("a", "pulling");
  scene.elapse(1000);
  await scene.tell("a", "healthy", "1");
  scene.elapse(1000);
  await scene.tell("b", "healthy", "1");
  const all = await allPictures(id);
  expect(all.map(({ at, healthy, phase }) => [at - start, healthy, phase])).toEqual([
    [0, 0, DeploymentPhase.ROLLING],
    [1000, 0, DeploymentPhase.ROLLING],
    [2000, 1, DeploymentPhase.ROLLING],
    [3000, 2, DeploymentPhase.SUCCEEDED],
  ]);
  expect(all.map(({ happened }) => happened.map(({ entry }) => entry.kind))).toEqual([
    ["deployment_submitted", "rollout_started", "wave_started", "target_assigned"],
    ["report_accepted"],
    ["report_accepted", "target_changed", "target_assigned"],
    ["report_accepted", "target_changed", "wave_finished", "phase_changed"],
  ]);
});

test("of too many pictures those nearest to each other are joined, and nothing that happened is lost", async () => {
  const machines = Array.from({ length: 30 }, (_, index) => `n-${index}`);
  await scene.join(...machines);
  const id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(1) });
  for (let turn = 0; turn < 32; turn += 1) {
    scene.elapse(turn === 10 ? 4000 : turn === 20 ? 3000 : 100, "a", "b", ...machines);
    const moving = scene.engine.rollout(id)?.moving ?? [];
    for (const machine of [...moving]) await scene.tell(machine, "healthy", "1");
  }
  const whole = await allPictures(id);
  const joined = await allPictures(id, 3);
  expect(joined).toHaveLength(3);
  const events = (all: readonly Picture[]) => all.flatMap(({ happened }) => happened.map(({ seq }) => seq));
  expect(events(joined)).toEqual(events(whole));
  expect(joined.map(({ healthy }) => healthy)).toEqual([10, 20, 32]);
});
