/** Failures of a deployment stay its failures when a newer one decides about those machines. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { TargetState } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { Scene } from "../history/history.fixture.ts";
import { DeploymentViews } from "./views.ts";

const SIX = ["m-0", "m-1", "m-2", "m-3", "m-4", "m-5"];

let scene: Scene;
let views: DeploymentViews;

beforeEach(async () => {
  scene = new Scene();
  views = new DeploymentViews(scene.journal.db, (id) => scene.engine.waitingOn(id), (id) => scene.engine.rollout(id), scene.engine);
  await scene.join(...SIX);
});

afterEach(() => {
  scene.engine.stop();
  scene.journal.close();
});

const seen = async (id: DeploymentId) => (await views.one(id))!;

/** Those that are named fail. */
async function deployed(version: string, ...failing: readonly string[]): Promise<DeploymentId> {
  const id = scene.deploy(version, { waves: [ALL], maxUnavailable: count(6), maxFailures: count(2), onFailure: "pause" });
  for (const machine of SIX) await (failing.includes(machine) ? scene.tell(machine, "reverted", "1") : scene.tell(machine, "healthy", version));
  return id;
}

/** What is said of it after the newer one has decided, but for what is under way now. */
const past = async (id: DeploymentId) => {
  const { outcome, outstanding, overtaken, counts } = await seen(id);
  return { outcome, outstanding, overtaken: overtaken?.count, counts };
};

test("machines that failed are named in the past, with who has decided about them since", async () => {
  await deployed("1");
  const id = await deployed("2", "m-0", "m-4");
  expect(await seen(id)).toMatchObject({ outcome: "succeeded on 4 of 6; m-0 and m-4 failed", outstanding: { count: 2 }, overtaken: undefined });
  await deployed("3");
  expect(await seen(id)).toMatchObject({
    outcome: "succeeded on 4 of 6; m-0 and m-4 failed, and d-3 has decided about them since",
    outstanding: undefined,
    overtaken: { count: 2, machines: [{ machine: "m-0", state: TargetState.FAILED, text: "m-0 failed, and d-3 has decided about it since" }, { machine: "m-4" }] },
  });
  expect((await scene.whyDeployment(id)).split("\n")[0]).toBe("d-2 (app@2) succeeded: 4 of 6 machines ran it; m-0 and m-4 failed, and d-3 has decided about them since.");
});

test("where the newer one has some of them alone, the others are still to be mended", async () => {
  await deployed("1");
  const id = await deployed("2", "m-0", "m-4");
  scene.label({ role: "web", zone: "a" }, "m-4");
  scene.deploy("3", { targets: "zone=a", waves: [ALL] });
  await scene.tell("m-4", "healthy", "3");
  expect(await seen(id)).toMatchObject({ outcome: "succeeded on 4 of 6; m-0 failed: exited with code 1; m-4 failed, and d-3 has decided about it since", outstanding: { count: 1 }, overtaken: { count: 1 } });
  expect((await scene.whyDeployment(id)).split("\n")[0]).toBe("d-2 (app@2) succeeded: 4 of 6 machines run it; m-0 failed: exited with code 1; m-4 failed, and d-3 has decided about it since.");
});

test("machines that were passed over are told as they were, and nothing more is promised to them", async () => {
  scene.engine.orders.cordon("m-4" as MachineId, { drain: false, force: false }, { by: "anna", reason: "" });
  const id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(6) });
  const others = SIX.filter((machine) => machine !== "m-4");
  for (const machine of others) await scene.tell(machine, "healthy", "1");
  expect(await seen(id)).toMatchObject({ outstanding: { count: 1 }, overtaken: undefined });
  scene.deploy("2", { waves: [ALL], maxUnavailable: count(6) });
  for (const machine of others) await scene.tell(machine, "healthy", "2");
  expect(await past(id)).toMatchObject({ outcome: "succeeded on 5 of 6; m-4 did not get it, and d-2 has decided about it since", outstanding: undefined, overtaken: 1 });
});

test("machines whose labels match no more were not missed then, and are not now", async () => {
  scene.engine.orders.cordon("m-4" as MachineId, { drain: false, force: false }, { by: "anna", reason: "" });
  const id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(6) });
  for (const machine of SIX.filter((each) => each !== "m-4")) await scene.tell(machine, "healthy", "1");
  scene.label({ role: "db" }, "m-4");
  scene.engine.orders.uncordon("m-4" as MachineId, { by: "anna", reason: "" });
  await deployed("2");
  expect(await past(id)).toMatchObject({ outstanding: undefined, overtaken: undefined });
});

test("of one whose targets are in the archive as many are missing", async () => {
  const DAY = 86_400_000;
  scene.engine.archiving.stop();
  await deployed("1");
  const id = await deployed("2", "m-0", "m-4");
  await deployed("3");
  scene.age(60 * DAY);
  const before = await past(id);
  await scene.engine.archiving.sweep();
  expect(await past(id)).toEqual({ ...before, outcome: "succeeded on 4 of 6; 2 failed" });
  expect((await scene.whyDeployment(id)).split("\n")[0]).toBe("d-2 (app@2) succeeded: 4 of 6 machines ran it; m-0 and m-4 failed, and d-3 has decided about them since.");
});

test("machines that were removed are in no number, and that is said", async () => {
  const id = await deployed("1");
  for (const machine of ["m-1", "m-2", "m-3"]) scene.remove(machine);
  expect((await scene.whyDeployment(id)).split("\n")[0]).toBe("d-1 (app@1) succeeded: 3 of 3 machines run it; 3 more were removed from the fleet.");
});
