/** A machine is not heard any more, and what follows from that. */
import { durationText } from "@muster/proto/duration.ts";
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import type { Seen } from "./attendance.ts";
import { isBad } from "./deployments-now.ts";
import type { Loop } from "./loop.ts";
import type { Append } from "./rollouts.ts";

/** In attended time. What becomes of a machine that has stood with a release for so long says nothing of the release: hosts die, and fleets shrink. */
const STOOD_MS = 3_600_000;

export function declareLost(loop: Pick<Loop, "world" | "rollouts" | "facts">, machine: MachineId, forMs: number, append: Append, now: Seen): void {
  const { world, rollouts } = loop;
  const message = `nothing heard for ${durationText(forMs)}`;
  append({ kind: "machine_silent", machine });
  world.lost(machine, now);
  for (const state of rollouts.all()) {
    const target = state.targets.get(machine);
    if (target === undefined || world.isExcused(machine, state.app)) continue;
    rollouts.drive(state, { kind: "fell_silent", machine, reason: world.silenceReason(state.app, target, message) }, append, now);
  }
  noteInEnded(loop, machine, message, append);
}

/**
 * The same for deployments that have ended and are not in memory. A drain is an order, and no answer: whoever was drained with the release, or on its way back, and is lost before it says that it has stopped the app, is lost with what
 * it had.
 */
function noteInEnded({ world, rollouts, facts }: Pick<Loop, "world" | "rollouts" | "facts">, machine: MachineId, message: string, append: Append): void {
  for (const app of world.availabilities.appsOf(machine)) {
    const { deployment } = world.availabilities.assignedTo(machine, app)!;
    if (!world.availabilities.isDrained(machine) || world.isExcused(machine, app) || rollouts.get(deployment) !== undefined) continue;
    const drained = facts.drainedTarget(deployment, machine);
    if (drained === undefined) continue;
    const changed = { kind: "target_changed", deployment, app, machine, runs: null } as const;
    if (drained.state === "skipped") append({ ...changed, state: "skipped", reason: drained.reason, leftAs: "lost" });
    else append({ ...changed, state: "unreachable", reason: { code: "silent", message } });
  }
}

/** It was heard lately, and since the controller looks on: what it said before a gap, it said before that. */
export function isAlive({ world, attendance }: Pick<Loop, "world" | "attendance">, machine: MachineId, now: Seen): boolean {
  return world.fleet.isAlive(machine, now.watchedMs) && !attendance.awaits(machine);
}

/** Deployments whose release the machine took, and with which it is lost; of those that have ended, it may also be not well, and only since shortly after counts. */
export function lostWith(loop: Pick<Loop, "world" | "facts" | "attendance" | "rollouts">, machine: MachineId, now: Seen): readonly DeploymentId[] {
  const { world, facts, rollouts } = loop;
  const isKnownAlive = isAlive(loop, machine, now);
  return [...world.availabilities.appsOf(machine)].flatMap((app) => {
    const standing = world.standingOf(machine, app)!;
    const { deployment, release } = standing.assigned;
    const taken = facts.takenAt(deployment, machine, release);
    if (taken === undefined) return [];
    const isLost = !isKnownAlive && !world.isExcused(machine, app) && !(taken.isGivenBack && world.hasAnswered(machine, app)) && world.hasAssignment(machine, app, taken.generation);
    if (!rollouts.hasEnded(deployment)) return isLost ? [deployment] : [];
    if (!isLost && !isBad(standing)) return [];
    const since = !isLost ? facts.unwellAt(machine, app) : world.isSilent(machine) ? facts.silentAt(machine) : now.attended;
    return since === undefined || since - taken.attended > STOOD_MS ? [] : [deployment];
  });
}
