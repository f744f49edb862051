/** `muster status` of deployments whose steps are in the archive: of now it says what today's tables say, and of then what was so, or that it is not known. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Target } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { DeploymentId, Instant, MachineId } from "@muster/proto/ids.ts";
import { Scene } from "../history/history.fixture.ts";
import { hasArchivedTargets } from "../journal/archived-targets.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { FRAMES_BACK_MAX } from "../history/rows.ts";
import { archivedTargetsNow, deploymentAt } from "./deployment-at.ts";
import { DeploymentViews } from "./views.ts";

const DAY_MS = 86_400_000;
const THREE = ["a", "b", "c"];

let scene: Scene;
let views: DeploymentViews;
beforeEach(async () => {
  scene = new Scene();
  scene.engine.archiving.stop();
  scene.clock.wall = Date.UTC(2026, 9, 20);
  scene.clock.advance(1000);
  await scene.join(...THREE);
  openViews();
});
afterEach(() => {
  scene.engine.stop();
  scene.journal.close();
});

function openViews(): void {
  views = new DeploymentViews(scene.journal.db, (id) => scene.engine.waitingOn(id), (id) => scene.engine.rollout(id), scene.engine);
}

async function deployed(version: string): Promise<DeploymentId> {
  const id = scene.deploy(version, { waves: [wave(count(2), { successThreshold: count(1) }), ALL], maxUnavailable: count(9) });
  for (const machine of THREE) await scene.tell(machine, "healthy", version);
  scene.elapse(15_000, ...THREE);
  expect(scene.phase(id)).toBe("succeeded");
  return id;
}

/** Sixty days pass, and what is old goes to the archive. */
async function archived(...present: readonly string[]): Promise<void> {
  scene.age(60 * DAY_MS);
  scene.pass(2000, ...present);
  // The newest row of all never leaves the database.
  scene.label({ role: "web", seen: "today" }, "a");
  await scene.engine.archiving.sweep();
  expect(scene.journal.archive.extent().rows).toBeGreaterThan(0);
}

const briefly = (targets: readonly Target[]) =>
  targets.map(({ machine, state, runningVersion, now }) => ({ machine, state, runningVersion, now }));

test("the targets of an old deployment stand beside what today's tables say of their machines", async () => {
  const first = await deployed("1");
  scene.elapse(60_000, ...THREE);
  await deployed("2");
  scene.elapse(60_000, "a", "b");
  const before = briefly((await views.withTargets(first))!.targets);
  expect(before).toMatchObject([{ machine: "a", runningVersion: "2", now: "d-2 decides" }, {}, { machine: "c" }]);
  await archived("a", "b");
  expect(hasArchivedTargets(scene.journal.db, first)).toBe(true);
  expect(briefly(await archivedTargetsNow(scene.journal, first))).toEqual(before);
});

test("so many machines as a success threshold asks for are counted of all targets, also of those in the archive", async () => {
  const first = await deployed("1");
  scene.elapse(60_000, ...THREE);
  await deployed("2");
  expect((await views.one(first))!.waves[0]).toMatchObject({ successThreshold: 1, successThresholdOf: 2 });
  await archived(...THREE);
  openViews();
  expect(hasArchivedTargets(scene.journal.db, first)).toBe(true);
  expect((await views.one(first))!.waves[0]).toMatchObject({ successThreshold: 1, successThresholdOf: 2 });
});

test("a deployment is seen at each time as it was seen before its steps went to the archive", async () => {
  const first = await deployed("1");
  const times: Instant[] = [scene.clock.now()];
  scene.elapse(60_000, ...THREE);
  const second = await deployed("2");
  scene.elapse(60_000, ...THREE);
  times.push(scene.clock.now());
  scene.elapse(60_000, "a", "b");
  times.push(scene.clock.now());
  scene.elapse(1000, "a", "b");
  await scene.join("c");
  scene.elapse(5000, ...THREE);
  times.push(scene.clock.now());
  const look = async () => {
    const seen: Record<string, unknown> = {};
    for (const id of [first, second]) for (const at of times.slice(id === second ? 1 : 0)) seen[`${id} at ${at}`] = await deploymentAt(scene.journal, id, at, true);
    return seen;
  };
  const before = await look();
  expect(before[`${second} at ${times[2]}`]).toMatchObject({ now: { healthy: 2, text: "2 of 3 healthy: c not heard" } });
  scene.age(60 * DAY_MS);
  scene.pass(2000, ...THREE);
  expect(await look()).toEqual(before);
  await deployed("3");
  await archived(...THREE);
  expect(await look()).toEqual(before);
});

test("whether machines were heard is said to be not known where the steps of then are too far back in the archive", async () => {
  const id = await deployed("1");
  const then = scene.clock.now();
  scene.elapse(60_000, ...THREE);
  const second = await deployed("2");
  await archived(...THREE);
  // So much was archived before that time, and nothing of it says that they fell silent or were heard.
  const { archive } = scene.journal;
  const backFrom = archive.backFrom.bind(archive);
  archive.backFrom = function* (seq: number) {
    yield* backFrom(seq);
    for (let frame = 0; frame < FRAMES_BACK_MAX + 1; frame += 1) yield [];
  };
  const seen = await deploymentAt(scene.journal, id, then, true);
  expect(seen.now).toMatchObject({ machines: 3, healthy: 0, bad: 0, text: "of 3 machines it is not known whether they were heard: those steps are in the archive" });
  expect(seen.targets.map(({ now }) => now)).toEqual(THREE.map(() => "not known whether it was heard"));
  // Of today it is.
  expect((await deploymentAt(scene.journal, second, scene.clock.now(), false)).now).toMatchObject({ machines: 3, healthy: 3, text: "" });
});

test("a machine that has left since is looked for in its deployment all the same", async () => {
  const first = await deployed("1");
  scene.elapse(60_000, ...THREE);
  await deployed("2");
  await archived(...THREE);
  scene.engine.orders.removeMachine("b" as MachineId, { by: "anna", reason: "" });
  expect(briefly(await archivedTargetsNow(scene.journal, first))).toMatchObject([{ machine: "a" }, { machine: "b", runningVersion: "", now: "" }, { machine: "c" }]);
});

test("a machine that was let go, and those that kept an aborted release, are counted in the archive, too", async () => {
  await deployed("1");
  const letGo = scene.deploy("2", { waves: [wave(count(2)), ALL], maxUnavailable: count(9) });
  scene.label({ role: "db" }, "c");
  for (const machine of ["a", "b"]) await scene.tell(machine, "healthy", "2");
  const kept = scene.deploy("3", { waves: [{ ...ALL, gates: [{ kind: "soak", forMs: 600_000 }] }], maxUnavailable: count(9) });
  for (const machine of ["a", "b"]) await scene.tell(machine, "healthy", "3");
  scene.command(kept, "abort");
  scene.deploy("4", { waves: [ALL], maxUnavailable: count(9) });
  for (const machine of ["a", "b"]) await scene.tell(machine, "healthy", "4");
  scene.elapse(60_000, ...THREE);
  const outcomes = async () => [(await views.one(letGo))!.outcome, (await views.one(kept))!.outcome];
  expect(await outcomes()).toEqual(["succeeded on 2 of 3; c was let go, since its labels match no more", "aborted; 2 machines kept 3, and newer deployments have decided about them since"]);
  await archived(...THREE);
  expect([letGo, kept].map((id) => hasArchivedTargets(scene.journal.db, id))).toEqual([true, true]);
  openViews();
  expect(await outcomes()).toEqual(["succeeded on 2 of 3; 1 was let go, since its labels match no more", "aborted; 2 machines kept 3, and newer deployments have decided about them since"]);
  expect((await scene.whyDeployment(letGo)).split("\n")[0]).toMatch(/; c was let go, since its labels match no more\.$/);
});
