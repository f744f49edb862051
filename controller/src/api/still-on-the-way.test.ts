/** After the end nobody says for ever that a machine is on its way: it has failed, gives no answer, is lost, or is heard again. */
import { beforeEach, expect, test } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { deployedToFour, FOUR, sceneOfFour } from "../history/four.fixture.ts";
import type { Scene } from "../history/history.fixture.ts";
import { viewsOf } from "./views.fixture.ts";
import type { DeploymentViews } from "./views.ts";

const HOUR = 3_600_000;

let scene: Scene;
let views: DeploymentViews;

beforeEach(async () => {
  scene = await sceneOfFour();
  views = viewsOf(scene);
});

const deployed = (version: string) => deployedToFour(scene, version);

/** m-3 was lost in it, is heard again, and is told to go back. */
async function rolledBackLate(): Promise<DeploymentId> {
  await deployed("1");
  const id = await deployed("2");
  scene.elapse(20_000, "m-1", "m-2", "m-4");
  scene.command(id, "rollback");
  for (const machine of ["m-1", "m-2", "m-4"]) await scene.tell(machine, "healthy", "1");
  await scene.join("m-3");
  return id;
}

/** One at a time, and m-1 is on its way when it is aborted. */
async function aborted(): Promise<DeploymentId> {
  await deployed("1");
  const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(1) });
  await scene.tell("m-1", "probing", "2");
  scene.command(id, "abort");
  return id;
}

const said = async (id: DeploymentId) => {
  const { outcome, underWay } = (await views.one(id))!;
  return { outcome, underWay };
};

test("a rollback of which one machine fails to go back says so, and can be asked for again", async () => {
  const id = await rolledBackLate();
  expect(await said(id)).toEqual({ outcome: "rolled back, except 1 under way: m-3 is on its way back", underWay: true });
  await scene.tell("m-3", "failed", "");
  scene.elapse(HOUR, ...FOUR);
  expect(await said(id)).toEqual({ outcome: "rolled back, except 1 failed: m-3 could not go back: exited with code 1", underWay: false });
  expect((await scene.engine.remedies(id)).rollback).toBe(true);
  expect(scene.command(id, "rollback").ok).toBe(true);
  await scene.tell("m-3", "healthy", "1");
  expect(await said(id)).toEqual({ outcome: "rolled back", underWay: false });
});

test("nor does one that gives no answer", async () => {
  const id = await rolledBackLate();
  scene.elapse(HOUR, ...FOUR);
  expect(await said(id)).toEqual({ outcome: expect.stringContaining("m-3 could not go back: no answer within") as string, underWay: false });
});

test("one that is back, and is not well later, is back", async () => {
  const id = await rolledBackLate();
  await scene.tell("m-1", "unhealthy", "1");
  await scene.tell("m-3", "healthy", "1");
  expect([(await said(id)).outcome, (await views.one(id))!.now?.text]).toEqual(["rolled back", "3 of 4 healthy: m-1 unhealthy: exited with code 1"]);
});

test("after an abort a machine on its way that gives no answer is said to give none", async () => {
  const id = await aborted();
  expect(await said(id)).toEqual({ outcome: "aborted; m-1 is on its way to 2", underWay: true });
  scene.elapse(HOUR, ...FOUR);
  expect(await said(id)).toEqual({ outcome: "aborted; m-1 was assigned 2 and gives no answer", underWay: false });
});

test("one that is lost is said to be lost, and to be on its way when it is heard again", async () => {
  const id = await aborted();
  scene.elapse(20_000, "m-2", "m-3", "m-4");
  expect(await said(id)).toEqual({ outcome: "aborted; m-1 may run 2: it was assigned it, and is not heard", underWay: false });
  await scene.join("m-1");
  expect(await said(id)).toEqual({ outcome: "aborted; m-1 is on its way to 2", underWay: true });
});

test("the same of one that was lost before the abort", async () => {
  await deployed("1");
  const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(1) });
  await scene.tell("m-1", "probing", "2");
  scene.elapse(20_000, "m-2", "m-3", "m-4");
  scene.command(id, "abort");
  expect(await said(id)).toEqual({ outcome: "aborted; m-1 may run 2: it was assigned it, and is not heard", underWay: false });
  await scene.join("m-1");
  expect(await said(id)).toEqual({ outcome: "aborted; m-1 is on its way to 2", underWay: true });
});

test("one that could not go back before a newer deployment took the rollback's place has no turn", async () => {
  await deployed("1");
  const id = await deployed("2");
  scene.command(id, "rollback");
  await scene.tell("m-1", "failed", "");
  scene.engine.orders.labelMachine("m-1" as never, { set: { role: "other" }, remove: [] }, "anna");
  scene.deploy("3", { waves: [ALL], maxUnavailable: count(4), onConflict: "supersede" });
  for (const machine of ["m-2", "m-3", "m-4"]) await scene.tell(machine, "healthy", "3");
  expect((await said(id)).outcome).toBe("superseded before all had gone back; m-1 could not go back: exited with code 1");
});

test("one that is lost in a rollback, and that a newer deployment waits for, gets that when it is heard", async () => {
  await deployed("1");
  const id = await deployed("2");
  scene.elapse(20_000, "m-1", "m-2", "m-4");
  scene.command(id, "rollback");
  for (const machine of ["m-1", "m-2", "m-4"]) await scene.tell(machine, "healthy", "1");
  expect((await said(id)).outcome).toBe("rolled back, except 1 unreachable: m-3 may still run 2, and goes back when it is heard");
  scene.deploy("3", { waves: [ALL], maxUnavailable: count(4) });
  for (const machine of ["m-1", "m-2", "m-4"]) await scene.tell(machine, "healthy", "3");
  expect((await said(id)).outcome).toBe("rolled back, except 1 unreachable: m-3 may still run 2, and gets what a newer deployment has for it when it is heard");
});

test.each(["abort", "supersede"])("one that had answered, was lost, and is heard again after the %s has answered", async (how) => {
  await deployed("1");
  const id = scene.deploy("2", { waves: [wave(count(2)), ALL], maxUnavailable: count(9), offline: { kind: "wait", forMs: HOUR }, maxFailures: count(9) });
  await scene.tell("m-1", "healthy", "2");
  await scene.tell("m-2", "probing", "2");
  scene.elapse(20_000, "m-2", "m-3", "m-4");
  if (how === "abort") scene.command(id, "abort");
  else scene.deploy("3", { targets: "role=web", onConflict: "supersede", waves: [{ ...wave(count(1)), afterMs: 10 * HOUR }, ALL], maxUnavailable: count(1) });
  await scene.tell("m-2", "healthy", "2");
  await scene.join("m-1");
  scene.elapse(2 * HOUR, ...FOUR);
  const { outcome, underWay } = await said(id);
  expect([underWay, outcome.includes("on its way")]).toEqual([false, false]);
  if (how === "abort") expect(outcome).toContain("m-1 was lost and is heard again, and runs 2");
});
