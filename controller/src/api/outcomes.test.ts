/** After the end: what is said of machines that were lost, and of machines that went wrong since. */
import { beforeEach, describe, expect, test } from "vitest";
import { DeploymentPhase, TargetState } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { DeploymentId, Instant, MachineId } from "@muster/proto/ids.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { deployedToFour, FOUR, sceneOfFour } from "../history/four.fixture.ts";
import type { Scene } from "../history/history.fixture.ts";
import { deploymentAt } from "./deployment-at.ts";
import { viewsOf } from "./views.fixture.ts";
import type { DeploymentViews } from "./views.ts";


let scene: Scene;
let views: DeploymentViews;

beforeEach(async () => {
  scene = await sceneOfFour();
  views = viewsOf(scene);
});

const deployed = (version: string) => deployedToFour(scene, version);

const seen = async (id: DeploymentId) => (await views.one(id))!;
const seenWhole = async (id: DeploymentId) => (await views.withTargets(id))!;

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
    expect(await seen(id)).toMatchObject({
      outcome: "rolled back, except 1 unreachable: m-3 may still run 2, and goes back when it is heard",
      outstanding: { count: 1, machines: [{ machine: "m-3", state: TargetState.UNREACHABLE, text: "m-3 may still run 2, and goes back when it is heard" }] },
    });
  });

  test("is not asked for again: what is left comes by itself", async () => {
    const id = await rolledBack();
    expect(scene.command(id, "rollback")).toMatchObject({ ok: false, refusal: { message: `${id} can't be rolled back: it has been rolled back already; m-3 goes back when it is heard` } });
    await scene.join("m-3");
    expect(scene.command(id, "rollback")).toMatchObject({ ok: false, refusal: { message: `${id} can't be rolled back: it has been rolled back already; m-3 is on its way back` } });
  });

  test("is a plain one when it has been heard and has gone back", async () => {
    const id = await rolledBack();
    await scene.join("m-3");
    expect((await seen(id)).outcome).toBe("rolled back, except 1 under way: m-3 is on its way back");
    await scene.tell("m-3", "healthy", "1");
    expect(await seen(id)).toMatchObject({ outcome: "rolled back", outstanding: undefined });
  });

  test("says no more of it when a later deployment decides about the machine", async () => {
    const id = await rolledBack();
    const later = scene.deploy("3", { waves: [ALL], maxUnavailable: count(4) });
    for (const machine of ["m-1", "m-2", "m-4"]) await scene.tell(machine, "healthy", "3");
    expect((await seen(later)).outcome).toBe("succeeded on 3 of 4; m-3 is unreachable and gets it when it is heard");
    await scene.join("m-3");
    await scene.tell("m-3", "healthy", "3");
    expect([(await seen(id)).outcome, (await seen(later)).outcome]).toEqual(["rolled back", "succeeded"]);
  });
});

test("a success without a machine that is cordoned names it, until it has the release", async () => {
  scene.engine.orders.cordon("m-4" as MachineId, { drain: false, force: false }, { by: "anna", reason: "" });
  const id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(4) });
  for (const machine of ["m-1", "m-2", "m-3"]) await scene.tell(machine, "healthy", "1");
  expect(await seen(id)).toMatchObject({ outcome: "succeeded on 3 of 4; m-4 is cordoned and gets it after muster uncordon m-4", outstanding: { count: 1 } });
  scene.engine.orders.uncordon("m-4" as MachineId, { by: "anna", reason: "" });
  await scene.tell("m-4", "healthy", "1");
  expect(await seen(id)).toMatchObject({ outcome: "succeeded", outstanding: undefined });
});

test("an abort names those that were still on their way", async () => {
  await deployed("1");
  const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(2) });
  await scene.tell("m-1", "healthy", "2");
  scene.command(id, "abort");
  expect(await seen(id)).toMatchObject({ outcome: "aborted; 1 machine kept 2; m-2 and m-3 are on their way to 2", outstanding: { count: 2 } });
  for (const machine of ["m-2", "m-3"]) await scene.tell(machine, "healthy", "2");
  expect(await seen(id)).toMatchObject({ outcome: "aborted; 3 machines kept 2", outstanding: undefined });
});

test("who was not heard at its turn has none any more once the rollout has ended otherwise", async () => {
  await deployed("1");
  scene.elapse(20_000, "m-1", "m-2", "m-3");
  const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(4) });
  expect((await seenWhole(id)).targets[3]?.reason?.message).toBe("nothing is heard from the machine; it has its turn when it is back");
  scene.command(id, "abort");
  expect((await seenWhole(id)).targets[3]).toMatchObject({ machine: "m-4", reason: { code: "silent", message: "nothing was heard from the machine at its turn, and d-2 ended without it" } });
});

describe("machines that went wrong after a success", () => {
  test("are counted beside it, with what they say", async () => {
    const id = await deployed("1");
    expect((await seen(id)).now).toEqual({ machines: 4, healthy: 4, bad: 0, text: "", lateWaitsFor: "" });
    for (const machine of FOUR) await scene.tell(machine, "unhealthy", "1");
    expect(await seen(id)).toMatchObject({
      outcome: "succeeded",
      counts: { healthy: 4 },
      now: { machines: 4, healthy: 0, bad: 4, text: "0 of 4 healthy: m-1, m-2 and m-3 unhealthy: exited with code 1; and 1 more", lateWaitsFor: "app@1 to be healthy where it runs: 0 of 4 are now" },
    });
    expect((await seenWhole(id)).targets[0]).toMatchObject({ state: TargetState.HEALTHY, now: "unhealthy: exited with code 1" });
  });

  test("are those that are not heard, too", async () => {
    const id = await deployed("1");
    scene.elapse(20_000, "m-1", "m-2");
    expect((await seen(id)).now).toMatchObject({ machines: 4, healthy: 2, bad: 2, text: "2 of 4 healthy: m-3 and m-4 not heard" });
  });

  test("are told from those that an operator drained", async () => {
    const id = await deployed("1");
    scene.engine.orders.cordon("m-1" as MachineId, { drain: true, force: true }, { by: "anna", reason: "" });
    expect(await seenWhole(id)).toMatchObject({ now: { machines: 4, healthy: 3, bad: 0, text: "3 of 4 healthy: m-1 draining" }, targets: [{ now: "draining" }, { now: "" }, { now: "" }, { now: "" }] });
    await scene.tell("m-1", "removed");
    expect(await seenWhole(id)).toMatchObject({ now: { machines: 4, healthy: 3, bad: 0, text: "3 of 4 healthy: m-1 drained" } });
  });

  test("are nothing new when they had failed before the end", async () => {
    const id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(4), maxFailures: count(1) });
    for (const machine of ["m-1", "m-2", "m-3"]) await scene.tell(machine, "healthy", "1");
    await scene.tell("m-4", "failed");
    expect(await seen(id)).toMatchObject({ outcome: "succeeded on 3 of 4; m-4 failed: exited with code 1", now: { machines: 4, healthy: 3, text: "" } });
  });

  test("are no matter of a deployment after which another decided", async () => {
    const first = await deployed("1");
    const second = await deployed("2");
    for (const machine of FOUR) await scene.tell(machine, "unhealthy", "2");
    expect((await seen(first)).now).toBeUndefined();
    expect((await seenWhole(first)).targets[0]).toMatchObject({ now: "d-2 decides" });
    expect((await seen(second)).now).toMatchObject({ healthy: 0 });
  });
});

test("a machine that fails after the end, when it is used again, is named: the success is no plain one", async () => {
  scene.engine.orders.cordon("m-4" as MachineId, { drain: false, force: false }, { by: "anna", reason: "" });
  const id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(4) });
  for (const machine of ["m-1", "m-2", "m-3"]) await scene.tell(machine, "healthy", "1");
  scene.engine.orders.uncordon("m-4" as MachineId, { by: "anna", reason: "" });
  await scene.tell("m-4", "reverted");
  expect(await seen(id)).toMatchObject({
    outcome: "succeeded on 3 of 4; m-4 failed: exited with code 1",
    outstanding: { count: 1, machines: [{ machine: "m-4", state: TargetState.FAILED, text: "m-4 failed: exited with code 1" }] },
    remedies: { rollback: true, rollbackTo: "", retry: true },
  });
  expect(await scene.whyDeployment(id)).toContain("d-1 (app@1) succeeded: 3 of 4 machines run it; m-4 failed: exited with code 1.");
  await deployed("2");
  expect(await seen(id)).toMatchObject({ outcome: "succeeded on 3 of 4; m-4 failed, and d-2 has decided about it since", outstanding: undefined, overtaken: { count: 1 } });
});

describe("a machine that was drained and removed", () => {
  const drained = async (answers: boolean): Promise<DeploymentId> => {
    await deployed("1");
    const id = await deployed("2");
    scene.engine.orders.cordon("m-4" as MachineId, { drain: true, force: true }, { by: "anna", reason: "" });
    if (answers) await scene.tell("m-4", "removed");
    scene.remove("m-4");
    scene.command(id, "rollback");
    for (const machine of ["m-1", "m-2", "m-3"]) await scene.tell(machine, "healthy", "1");
    return id;
  };

  test("leaves no doubt when it had said that nothing runs there", async () => {
    const id = await drained(true);
    expect(await seen(id)).toMatchObject({ outcome: "rolled back", outstanding: undefined });
    scene.startEngine();
    expect(await seen(id)).toMatchObject({ outcome: "rolled back", outstanding: undefined });
  });

  test("leaves one when it had not", async () => {
    expect((await seen(await drained(false))).outcome).toBe("rolled back, except 1 removed: m-4 was removed from the fleet, and may still run 2");
  });

  test("leaves none when that happened while the rollout was under way", async () => {
    await deployed("1");
    const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(4) });
    for (const machine of ["m-1", "m-2", "m-4"]) await scene.tell(machine, "healthy", "2");
    scene.engine.orders.cordon("m-4" as MachineId, { drain: true, force: true }, { by: "anna", reason: "" });
    await scene.tell("m-4", "removed");
    scene.remove("m-4");
    scene.command(id, "rollback");
    for (const machine of ["m-1", "m-2", "m-3"]) await scene.tell(machine, "healthy", "1");
    expect(await seen(id)).toMatchObject({ outcome: "rolled back", outstanding: undefined });
  });
});

describe("a deployment that has ended while machines are on their way", () => {
  test("is under way until they have answered, or are not heard any more", async () => {
    await deployed("1");
    const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(2) });
    scene.command(id, "abort");
    expect(await seen(id)).toMatchObject({ phase: DeploymentPhase.ABORTED, underWay: true });
    await scene.tell("m-1", "healthy", "2");
    expect((await seen(id)).underWay).toBe(true);
    scene.elapse(20_000, "m-1", "m-3", "m-4");
    expect((await seen(id)).underWay).toBe(false);
  });

  test.each(["aborted", "superseded"] as const)("and %s, is so until a newer deployment has told its machines something else", async (end) => {
    await deployed("1");
    const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(2) });
    await scene.tell("m-1", "probing");
    if (end === "aborted") scene.command(id, "abort");
    const newer = scene.deploy("3", { waves: [wave(count(1)), ALL], maxUnavailable: count(4), onConflict: end === "superseded" ? "supersede" : "queue" });
    expect((await seen(id)).underWay).toBe(true);
    for (const machine of FOUR) await scene.tell(machine, "healthy", "3");
    scene.elapse(10_000, ...FOUR);
    for (const machine of FOUR) await scene.tell(machine, "healthy", "3");
    expect([(await seen(newer)).phase, (await seen(id)).underWay, (await views.withTargets(id))!.targets.some(({ state }) => state === TargetState.UPDATING)]).toEqual([DeploymentPhase.SUCCEEDED, false, true]);
  });

  test("is not so by a machine that is drained: it stops what goes back there", async () => {
    await deployed("1");
    const id = await deployed("2");
    scene.command(id, "rollback");
    scene.command(id, "abort");
    expect((await seen(id)).underWay).toBe(true);
    for (const machine of FOUR) scene.engine.orders.cordon(machine as MachineId, { drain: true, force: true }, { by: "anna", reason: "" });
    expect((await seen(id)).underWay).toBe(false);
  });

  test("is not so by machines that a rollback did not take down any more", async () => {
    await deployed("1");
    const id = await deployed("2");
    scene.steer(id, { kind: "set_max_unavailable", size: count(1) });
    scene.command(id, "rollback");
    const first = FOUR.find((machine) => scene.wanted(machine) === "1")!;
    expect((await seen(id)).underWay).toBe(false);
    await scene.tell(first, "failed");
    scene.elapse(1_000, ...FOUR);
    expect(await seen(id)).toMatchObject({ phase: DeploymentPhase.ABORTED, outcome: `aborted; 3 machines kept 2; ${first} could not go back`, underWay: false });
  });

  test("is so after a retry, until what failed has been tried again", async () => {
    const id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(1), maxFailures: count(2) });
    for (const machine of ["m-1", "m-2"]) await scene.tell(machine, "healthy", "1");
    for (const machine of ["m-3", "m-4"]) await scene.tell(machine, "failed");
    expect(await seen(id)).toMatchObject({ phase: DeploymentPhase.SUCCEEDED, underWay: false });
    expect(scene.command(id, "retry")).toMatchObject({ ok: true });
    for (const machine of ["m-3", "m-4"]) {
      expect((await seen(id)).underWay).toBe(true);
      await scene.tell(machine, "healthy", "1");
    }
    expect(await seen(id)).toMatchObject({ outcome: "succeeded", underWay: false });
  });
});

describe("what is advised", () => {
  /** 1 runs, 2 came and is down everywhere, and 2 again failed on the first. */
  async function deployedAgain(): Promise<readonly [DeploymentId, DeploymentId]> {
    await deployed("1");
    const bad = await deployed("2");
    for (const machine of FOUR) await scene.tell(machine, "unhealthy", "2");
    expect((await seen(bad)).remedies).toEqual({ rollback: true, rollbackTo: "", retry: false });
    const again = scene.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(4), onFailure: "abort" });
    await scene.tell("m-1", "failed", "2");
    expect((await seen(again)).phase).toBe(DeploymentPhase.FAILED);
    return [bad, again];
  }

  const refusalOf = (id: DeploymentId, kind: "rollback" | "retry") => {
    const answer = scene.command(id, kind);
    return answer.ok ? "" : answer.refusal.message;
  };

  test("is the release before, where a repetition of the file keeps a plain rollback from being carried out, or would be taken back to the same", async () => {
    const [bad, again] = await deployedAgain();
    expect((await seen(bad)).remedies).toEqual({ rollback: false, rollbackTo: "1", retry: false });
    expect(await scene.whyDeployment(bad)).toContain("muster rollback d-2 --to 1 takes it back");
    expect(refusalOf(bad, "rollback")).toBe("d-2 can't be rolled back: d-3 of app has been carried out since; muster rollback d-2 --to 1 deploys 1 again");
    expect(refusalOf(bad, "retry")).toContain("muster rollback d-2 --to 1 takes them back, ");
    expect((await seen(again)).remedies).toEqual({ rollback: false, rollbackTo: "1", retry: true });
    expect(refusalOf(again, "rollback")).toBe("d-3 can't be rolled back: its machines ran app@2 before it, too; muster rollback d-3 --to 1 deploys 1 again");
    expect(scene.engine.operators.rollbackTo(bad, "1", { by: "anna", reason: "" })).toMatchObject({ ok: true });
    for (const machine of FOUR) await scene.tell(machine, "healthy", "1");
    expect(FOUR.map((machine) => scene.wanted(machine))).toEqual(["1", "1", "1", "1"]);
    expect((await seen(bad)).remedies).toBeUndefined();
  });

  test("is no release of which the files are gone", async () => {
    const [bad] = await deployedAgain();
    scene.journal.db.prepare("DELETE FROM artifacts").run();
    expect((await seen(bad)).remedies).toEqual({ rollback: false, rollbackTo: "", retry: false });
    expect(refusalOf(bad, "rollback")).toBe("d-2 can't be rolled back: d-3 of app has been carried out since; deploy the release that is to run there");
    expect(await scene.whyDeployment(bad)).not.toContain("takes it back");
  });
});

describe("a deployment that found nothing to do", () => {
  async function takenBack(): Promise<readonly [DeploymentId, DeploymentId]> {
    await deployed("1");
    const changed = await deployed("2");
    const idle = scene.deploy("2", { waves: [ALL] });
    expect(await seen(idle)).toMatchObject({ counts: { unchanged: 4 }, reason: { message: "every machine ran it already" }, now: { machines: 4, healthy: 4, text: "" } });
    scene.command(changed, "rollback");
    for (const machine of FOUR) await scene.tell(machine, "healthy", "1");
    return [changed, idle];
  }

  test("says so when what it found is not so any more, and advises nothing", async () => {
    const [, idle] = await takenBack();
    const text = "0 of 4 healthy: m-1, m-2 and m-3 back on 1 since d-2 was taken back; and 1 more";
    expect(await seen(idle)).toMatchObject({ now: { machines: 4, healthy: 0, bad: 0, text }, remedies: { rollback: false, rollbackTo: "", retry: false } });
    expect((await seenWhole(idle)).targets[0]).toMatchObject({ machine: "m-1", state: TargetState.UNCHANGED, previousVersion: "2", runningVersion: "1", now: "back on 1 since d-2 was taken back" });
    expect((await views.list({ app: "", activeOnly: false, limit: 1 }))[0]).toMatchObject({ id: idle, now: { machines: 4, healthy: 0, text } });
    expect(await scene.whyDeployment(idle)).toContain(`Now ${text}.`);
  });

  test("is not the one that decided about a machine, and gives nothing to those that come late", async () => {
    const [changed, idle] = await takenBack();
    expect((await scene.whyMachine("m-1")).split("\n")[0]).toBe("m-1 is back on app@1: d-2 (app@2) was taken back.");
    expect((await scene.whyMachine("m-1", idle)).split("\n")[0]).toBe("m-1 ran app@2 already: d-3 left it out. Now d-2 decides there: it is to run app@1, since d-2 was taken back.");
    await scene.join("late");
    await scene.tell("late", "healthy", "1");
    expect((await scene.whyMachine("late")).split("\n")[0]).toBe("late runs app@1: it became healthy in wave 1 of d-1.");
    expect((await scene.whyMachine("late", idle)).split("\n")[0]).not.toContain("has not had its turn");
    expect(changed).toBe("d-2");
  });

  test("counts machines that are down since, and none that a later deployment decides about", async () => {
    await deployed("1");
    const idle = scene.deploy("1", { waves: [ALL] });
    await scene.tell("m-1", "unhealthy", "1");
    expect((await seen(idle)).now).toMatchObject({ machines: 4, healthy: 3, bad: 1, text: "3 of 4 healthy: m-1 unhealthy: exited with code 1" });
    await deployed("2");
    expect((await seen(idle)).now).toBeUndefined();
  });
});

test("a moment in the past shows how the machines were then, as it was shown then", async () => {
  const shown = (id: DeploymentId, at: number) => deploymentAt(scene.journal, id, at as Instant, true);
  await deployed("1");
  const id = await deployed("2");
  scene.elapse(5000, ...FOUR);
  const well = scene.clock.now();
  scene.elapse(5000, ...FOUR);
  for (const machine of ["m-1", "m-2"]) await scene.tell(machine, "unhealthy", "2");
  scene.elapse(20_000, "m-1", "m-2", "m-3");
  const down = scene.clock.now();
  const { now, outcome, targets } = await seenWhole(id);
  expect(now).toMatchObject({ machines: 4, healthy: 1, bad: 3, text: "1 of 4 healthy: m-1 and m-2 unhealthy: exited with code 1; m-4 not heard" });
  scene.elapse(5000, ...FOUR);
  scene.command(id, "rollback");
  for (const machine of FOUR) await scene.tell(machine, "healthy", "1");
  expect(await shown(id, down)).toMatchObject({ now: { ...now, lateWaitsFor: "" }, outcome, targets: targets.map((target) => ({ state: target.state, now: target.now })), remedies: undefined });
  expect(await shown(id, well)).toMatchObject({ now: { machines: 4, healthy: 4, text: "" } });
  expect((await shown("d-1" as DeploymentId, down)).now).toBeUndefined();
});

describe("a deployment of which the tables can't be read", () => {
  test("is shown without the artifact when its release is another than there is", async () => {
    const broken = await deployed("1");
    scene.journal.db.prepare("UPDATE deployments SET release = '{' WHERE id = ?").run(broken);
    expect(await seen(broken)).toMatchObject({ id: broken, artifact: "", counts: { total: 4 } });
    expect(await views.list({ app: "", activeOnly: false, limit: 10 })).toMatchObject([{ id: broken }]);
  });

  test("hides no other, and is shown with what can be read of it", async () => {
    const other = await deployed("1");
    const broken = await deployed("2");
    scene.journal.db.prepare("UPDATE deployments SET strategy = '{', alarms = '{' WHERE id = ?").run(broken);
    const unreadable = { id: broken, version: "2", phase: (await seen(other)).phase, targetsSelector: "role=web", notes: [expect.stringContaining("through a fault of the controller itself") as string] };
    expect(await views.list({ app: "", activeOnly: false, limit: 10 })).toMatchObject([unreadable, { id: other, version: "1", notes: [] }]);
    expect(await seenWhole(broken)).toMatchObject(unreadable);
    await scene.join("late");
    expect(await scene.whyMachine("late", other)).toContain(other);
    expect(await scene.whyMachine("late")).toContain(broken);
  });

  test("says what machines that come late wait for", async () => {
    await deployed("1");
    const broken = await deployed("2");
    scene.journal.db.prepare("UPDATE deployments SET lanes = '{' WHERE id = ?").run(broken);
    scene.startEngine();
    views = viewsOf(scene);
    expect((await seen(broken)).now?.lateWaitsFor).toContain("a fault of the controller itself to be mended (d-2: ");
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
    expect(await seen(second)).toMatchObject({
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
    expect((await seen(second)).outcome).toBe("superseded before all had gone back; m-1, m-2 and m-3 may still run 2, and go back in their turn");
    expect(await scene.whyDeployment(second)).toContain("m-1, m-2 and m-3 go back in their turn, at most 1 at once");
    await scene.tell("m-4", "healthy", "3");
    for (const machine of ["m-3", "m-2", "m-1"]) await scene.tell(machine, "healthy", "1");
    expect(await seen(second)).toMatchObject({ outcome: "superseded", outstanding: undefined });
  });

  test("is plain when the newer one has told them all", async () => {
    const [second] = await superseded();
    for (const _ of FOUR) for (const machine of FOUR) await scene.tell(machine, "healthy", "3");
    expect(await seen(second)).toMatchObject({ outcome: "superseded", outstanding: undefined });
  });
});

test("one that is paused says how many have failed by now, and that it is paused already", async () => {
  const id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(4), onFailure: "pause" });
  await scene.tell("m-1", "reverted");
  expect((await seen(id)).reason!.message).toBe("1 machine failed in wave 1, 0 allowed: m-1: exited with code 1");
  await scene.tell("m-2", "reverted");
  expect(await seen(id)).toMatchObject({ phase: DeploymentPhase.PAUSED, reason: { message: "1 machine failed in wave 1, 0 allowed: m-1: exited with code 1; now 2 have failed" } });
  expect(scene.command(id, "pause")).toMatchObject({ ok: false, refusal: { message: `${id} is already paused` } });
});
