/**
 * What every fleet must be able to do once nothing goes wrong any more, whatever it has been through: rest, take a good release, give late and absent machines what they
 * missed, and be rid of a bad one.
 */
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import type { Strategy } from "@muster/controller/src/plan/strategy.ts";
import type { Machine } from "./machine.ts";
import { nameOf } from "./oracle/going-back.ts";
import { plainStrategy, waveOf } from "./strategies.ts";
import { type Invariant, Violation } from "./violation.ts";
import type { World } from "./world.ts";

/** Of virtual time: a good release, and one that is taken back again. */
const PATIENCE_MS = 600_000;
const APP = "web";

interface Sight {
  readonly machine: MachineId;
  readonly is: string;
  /** It went back by itself. */
  readonly hasLeft: boolean;
}

/** Nothing changes on any host, also when the controller starts anew: nobody decides anything by that. */
export async function rest(world: World, forMs: number): Promise<void> {
  const before = pictureOf(world);
  const since = world.timeline.now;
  await pass(world, forMs / 2);
  world.controller.kill();
  world.controller.start();
  await pass(world, forMs / 2);
  const after = pictureOf(world);
  for (const [key, { machine, is }] of before) {
    const { is: becomes, hasLeft } = after.get(key) ?? { is: undefined, hasLeft: false };
    // A late machine gets what stands when the window of that opens, or when it is well again where it runs.
    if (becomes === is || hasLeft || world.oracle.waitsForItsWindow(machine) || world.oracle.waitedForOthers(machine, since)) continue;
    throw new Violation("rest_stays", `after ${forMs} ms in which nobody did anything ${key} is ${becomes}, and was ${is}`);
  }
}

/** What is linked, and what was decided for each app; not that it was confirmed, which changes no app; nor whether it is up: a release that crashes once an hour does so. Nor what a host leaves by itself because it has died there before it was confirmed. */
function pictureOf({ machines }: World): Map<string, Sight> {
  const picture = new Map<string, Sight>();
  for (const { id, disk, isRemoved } of machines.values()) {
    // What is none of the fleet any more goes on with what it was told last.
    if (isRemoved) continue;
    for (const [app, artifact] of disk.links) {
      const phase = disk.apps.get(app)?.phase;
      // What it went back to may be unwell by now.
      const hasLeft = phase?.kind === "reverting" || phase?.kind === "reverted" || (phase?.kind === "unhealthy" && phase.revertedFor !== undefined);
      picture.set(`${app} on ${id}`, { machine: id, is: nameOf(artifact), hasLeft });
    }
    picture.set(`the assignment of ${id}`, { machine: id, is: (disk.assignment?.apps ?? []).map(({ app, generation }) => `${app} ${generation}`).toSorted().join(", "), hasLeft: false });
  }
  return picture;
}

export async function examine(world: World): Promise<void> {
  const machines = [...world.machines.values()].filter(({ isGone, isRemoved }) => !isGone && !isRemoved);
  if (machines.length === 0) machines.push(world.join({ role: "web", zone: "a" }));
  const [absent] = machines.length > 2 ? machines : [];
  if (absent !== undefined) world.network.cut(absent.id, { toMachine: true, toController: true });
  await pass(world, 60_000);
  const present = machines.filter((machine) => machine !== absent);
  const good = deploy(world, "exam", { kind: "good", readyMs: 500 }, {});
  await settle(world, good, "succeeded", "good_succeeds");
  mustServe(present, "exam", "good_succeeds");
  if (absent !== undefined) {
    world.network.mend(absent.id);
    await until(world, () => serves(absent, "exam"), "catches_up", () => `${absent.id} is back, and does not get what it missed`);
  }
  const late = world.join({ role: "web", zone: "a" });
  await until(world, () => serves(late, "exam"), "catches_up", () => `${late.id} joined later, and does not get what stands`);
  // Until what they got is the last good there, too.
  await pass(world, 30_000);
  await expelBad(world, [...machines, late]);
}

/** It fails on its canary, and that is all of it. */
async function expelBad(world: World, machines: readonly Machine[]): Promise<void> {
  const waves = [waveOf({ kind: "count", count: 1 }), waveOf({ kind: "percent", percent: 100 })];
  const bad = deploy(world, "exam-bad", { kind: "broken", how: "start_failed" }, { waves });
  await settle(world, bad, "rolled_back", "bad_contained");
  const { artifact } = world.releases.release(APP, "exam-bad");
  const touched = machines.filter((machine) => machine.serving(APP).mishaps.some((mishap) => mishap.artifact === artifact));
  if (touched.length > 1) throw new Violation("bad_contained", `a bad release came to ${touched.map(({ id }) => id).join(", ")}; one was allowed`);
  mustServe(machines, "exam", "bad_contained");
}

function deploy(world: World, version: string, character: Parameters<World["releases"]["define"]>[2], changes: Partial<Strategy>): DeploymentId {
  const release = world.releases.define(APP, version, character);
  const strategy = { ...plainStrategy(), targets: "role in (web,db)", maxUnavailable: { kind: "percent", percent: 100 } as const, maxFailures: { kind: "count", count: 0 } as const, onFailure: "rollback" as const, healthyDeadlineMs: 120_000, ...changes };
  const answer = world.desk.deploy(APP, release, strategy);
  if (answer?.ok !== true) throw new Violation("good_succeeds", `the last deployment is refused: ${answer?.refusal.message ?? "no answer"}`);
  return answer.value.deployment as DeploymentId;
}

async function settle(world: World, id: DeploymentId, phase: string, invariant: Invariant): Promise<void> {
  await until(world, () => world.oracle.phaseOf(id) !== "rolling" && world.oracle.phaseOf(id) !== "rolling_back" && world.oracle.phaseOf(id) !== "pending", invariant, () => `${id} is ${world.oracle.phaseOf(id)}: it waits for ${world.controller.waitingOn(id)}`);
  if (world.oracle.phaseOf(id) !== phase) throw new Violation(invariant, `${id} is ${world.oracle.phaseOf(id)} (${world.oracle.reasonOf(id)})`);
}

function mustServe(machines: readonly Machine[], version: string, invariant: Invariant): void {
  const missing = machines.find((machine) => !serves(machine, version));
  if (missing !== undefined) throw new Violation(invariant, `${missing.id} does not serve ${version}`);
}

function serves(machine: Machine, version: string): boolean {
  const current = machine.serving(APP).current(machine.now);
  return current !== undefined && nameOf(current.artifact) === `${APP}@${version}`;
}

async function until(world: World, isSo: () => boolean, invariant: Invariant, what: () => string): Promise<void> {
  const end = world.timeline.now + PATIENCE_MS;
  while (!isSo()) {
    if (world.timeline.now > end) throw new Violation(invariant, what());
    await world.step();
  }
}

export async function pass(world: World, ms: number): Promise<void> {
  const end = world.timeline.now + ms;
  while ((world.timeline.nextAt ?? Infinity) <= end) await world.step();
  world.timeline.idleUntil(end);
}

