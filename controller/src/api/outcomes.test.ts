/** After the end: what is said of machines that were lost, and of machines that went wrong since. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DeploymentPhase, TargetState } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { Scene } from "../history/history.fixture.ts";
import { DeploymentViews } from "./views.ts";

const FOUR = ["m-1", "m-2", "m-3", "m-4"];

let scene: Scene;
let views: DeploymentViews;

beforeEach(async () => {
  scene = new Scene();
  views = new DeploymentViews(scene.journal.db, (id) => scene.engine.waitingOn(id), (id) => scene.engine.rollout(id), scene.engine);
  await scene.join(...FOUR);
});

afterEach(() => {
  scene.engine.stop();
  scene.journal.close();
});

/** All have it, and say so. */
async function deployed(version: string): Promise<DeploymentId> {
  const id = scene.deploy(version, { waves: [ALL], maxUnavailable: count(4) });
  for (const machine of FOUR) await scene.tell(machine, "healthy", version);
  return id;
}

const seen = (id: DeploymentId, withTargets = false) => views.one(id, withTargets)!;

describe("a rollback without a machine that is lost", () => {
  async function rolledBack(): Promise<DeploymentId> {
    await deployed("1");
    const id = await deployed("2");
    scene.elapse(20_000, "m-1", "m-2", "m-4");
    scene.command(id, "rollback");
    for (const machine of ["m-1", "m-2", "m-4"]) await scene.tell(machine, "healthy", "1");
    return id;
  }

  test("says who may still run the release", async () => {
    const id = await rolledBack();
    expect(seen(id)).toMatchObject({
      outcome: "rolled back, except 1 unreachable: m-3 may still run 2, and goes back when it is heard",
      outstanding: { count: 1, machines: [{ machine: "m-3", state: TargetState.UNREACHABLE, text: "m-3 may still run 2, and goes back when it is heard" }] },
    });
  });

  test("is a plain one when it has been heard and has gone back", async () => {
    const id = await rolledBack();
    await scene.join("m-3");
    expect(seen(id).outcome).toBe("rolled back, except 1 under way: m-3 is on its way back");
    await scene.tell("m-3", "healthy", "1");
    expect(seen(id)).toMatchObject({ outcome: "rolled back", outstanding: undefined });
  });

  test("says no more of it when a later deployment decides about the machine", async () => {
    const id = await rolledBack();
    const later = scene.deploy("3", { waves: [ALL], maxUnavailable: count(4) });
    for (const machine of ["m-1", "m-2", "m-4"]) await scene.tell(machine, "healthy", "3");
    expect(seen(later).outcome).toBe("succeeded on 3 of 4; m-3 is unreachable and gets it when it is heard");
    await scene.join("m-3");
    await scene.tell("m-3", "healthy", "3");
    expect([seen(id).outcome, seen(later).outcome]).toEqual(["rolled back", "succeeded"]);
  });
});

test("a success without a machine that is cordoned names it, until it has the release", async () => {
  scene.engine.orders.cordon("m-4" as MachineId, { drain: false, force: false }, { by: "anna", reason: "" });
  const id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(4) });
  for (const machine of ["m-1", "m-2", "m-3"]) await scene.tell(machine, "healthy", "1");
  expect(seen(id)).toMatchObject({ outcome: "succeeded on 3 of 4; m-4 is cordoned and gets it after muster uncordon m-4", outstanding: { count: 1 } });
  scene.engine.orders.uncordon("m-4" as MachineId, { by: "anna", reason: "" });
  await scene.tell("m-4", "healthy", "1");
  expect(seen(id)).toMatchObject({ outcome: "succeeded", outstanding: undefined });
});

test("an abort names those that were still on their way", async () => {
  await deployed("1");
  const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(2) });
  await scene.tell("m-1", "healthy", "2");
  scene.command(id, "abort");
  expect(seen(id)).toMatchObject({ outcome: "aborted; 1 machine kept 2; m-2 and m-3 are on their way to 2", outstanding: { count: 2 } });
  for (const machine of ["m-2", "m-3"]) await scene.tell(machine, "healthy", "2");
  expect(seen(id)).toMatchObject({ outcome: "aborted; 3 machines kept 2", outstanding: undefined });
});

describe("machines that went wrong after a success", () => {
  test("are counted beside it, with what they say", async () => {
    const id = await deployed("1");
    expect(seen(id).now).toEqual({ machines: 4, healthy: 4, bad: 0, text: "", lateWaitsFor: "" });
    for (const machine of FOUR) await scene.tell(machine, "unhealthy", "1");
    expect(seen(id)).toMatchObject({
      outcome: "succeeded",
      counts: { healthy: 4 },
      now: { machines: 4, healthy: 0, bad: 4, text: "0 of 4 healthy: m-1, m-2 and m-3 unhealthy: exited with code 1; and 1 more", lateWaitsFor: "app@1 to be healthy where it runs: 0 of 4 are now" },
    });
    expect(seen(id, true).targets[0]).toMatchObject({ state: TargetState.HEALTHY, now: "unhealthy: exited with code 1" });
  });

  test("are those that are not heard, too", async () => {
    const id = await deployed("1");
    scene.elapse(20_000, "m-1", "m-2");
    expect(seen(id).now).toMatchObject({ machines: 4, healthy: 2, bad: 2, text: "2 of 4 healthy: m-3 and m-4 not heard" });
  });

  test("are told from those that an operator drained", async () => {
    const id = await deployed("1");
    scene.engine.orders.cordon("m-1" as MachineId, { drain: true, force: true }, { by: "anna", reason: "" });
    expect(seen(id, true)).toMatchObject({ now: { machines: 4, healthy: 3, bad: 0, text: "3 of 4 healthy: m-1 drained" }, targets: [{ now: "drained" }, { now: "" }, { now: "" }, { now: "" }] });
  });

  test("are nothing new when they had failed before the end", async () => {
    const id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(4), maxFailures: count(1) });
    for (const machine of ["m-1", "m-2", "m-3"]) await scene.tell(machine, "healthy", "1");
    await scene.tell("m-4", "failed");
    expect(seen(id)).toMatchObject({ outcome: "succeeded on 3 of 4; 1 failed", now: { machines: 4, healthy: 3, text: "" } });
  });

  test("are no matter of a deployment after which another decided", async () => {
    const first = await deployed("1");
    const second = await deployed("2");
    for (const machine of FOUR) await scene.tell(machine, "unhealthy", "2");
    expect(seen(first).now).toBeUndefined();
    expect(seen(first, true).targets[0]).toMatchObject({ now: "d-2 decides" });
    expect(seen(second).now).toMatchObject({ healthy: 0 });
  });
});

describe("a deployment of which the tables can't be read", () => {
  test("hides no other, and is shown with what can be read of it", async () => {
    const other = await deployed("1");
    const broken = await deployed("2");
    scene.journal.db.prepare("UPDATE deployments SET strategy = '{', alarms = '{' WHERE id = ?").run(broken);
    const unreadable = { id: broken, version: "2", phase: seen(other).phase, targetsSelector: "role=web", notes: [expect.stringContaining("through a fault of the controller itself") as string] };
    expect(views.list({ app: "", activeOnly: false, limit: 10 })).toMatchObject([unreadable, { id: other, version: "1", notes: [] }]);
    expect(seen(broken, true)).toMatchObject(unreadable);
    await scene.join("late");
    expect(await scene.whyMachine("late", other)).toContain(other);
    expect(await scene.whyMachine("late")).toContain(broken);
  });

  test("says what machines that come late wait for", async () => {
    await deployed("1");
    const broken = await deployed("2");
    scene.journal.db.prepare("UPDATE deployments SET lanes = '{' WHERE id = ?").run(broken);
    scene.startEngine();
    views = new DeploymentViews(scene.journal.db, (id) => scene.engine.waitingOn(id), (id) => scene.engine.rollout(id), scene.engine);
    expect(seen(broken).now?.lateWaitsFor).toContain("a fault of the controller itself to be mended (d-2: ");
    expect(await scene.whyDeployment(broken)).toContain("machines that come late wait for a fault of the controller itself to be mended (d-2: ");
  });
});

describe("a rollback that a newer deployment took the place of", () => {
  /** m-4 has nothing that serves, so the newer one begins with it. */
  async function superseded(): Promise<readonly [DeploymentId, DeploymentId]> {
    await deployed("1");
    const second = await deployed("2");
    scene.steer(second, { kind: "set_max_unavailable", size: count(1) });
    scene.command(second, "rollback");
    return [second, scene.deploy("3", { waves: [ALL], maxUnavailable: count(1), onConflict: "supersede" })];
  }

  test("says who may still run the release, and that it goes back if the newer one ends without it", async () => {
    const [second] = await superseded();
    expect(seen(second)).toMatchObject({
      phase: DeploymentPhase.SUPERSEDED,
      outcome: "superseded before all had gone back; m-1, m-2 and m-3 may still run 2: a newer deployment has them, and they go back if that ends without telling them anything",
      outstanding: { count: 3 },
    });
    expect(await scene.whyDeployment(second)).toContain("3 machines are still to go back, and go back where the newer one decides nothing");
    expect(await scene.whyMachine("m-2", second)).toContain("m-2 was still to go back from app@2 in d-2: d-3 (app@3) goes on with it.");
  });

  test("says that they go back, and is plain when they are back", async () => {
    const [second, third] = await superseded();
    scene.command(third, "abort");
    expect(seen(second).outcome).toBe("superseded before all had gone back; m-1, m-2 and m-3 may still run 2, and go back in their turn");
    expect(await scene.whyDeployment(second)).toContain("m-1, m-2 and m-3 go back in their turn, at most 1 at once");
    await scene.tell("m-4", "healthy", "3");
    for (const machine of ["m-3", "m-2", "m-1"]) await scene.tell(machine, "healthy", "1");
    expect(seen(second)).toMatchObject({ outcome: "superseded", outstanding: undefined });
  });

  test("is plain when the newer one has told them all", async () => {
    const [second] = await superseded();
    for (const _ of FOUR) for (const machine of FOUR) await scene.tell(machine, "healthy", "3");
    expect(seen(second)).toMatchObject({ outcome: "superseded", outstanding: undefined });
  });
});
