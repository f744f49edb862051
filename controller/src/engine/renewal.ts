/**
 * A drain, and its end, give every app of a machine a new generation, and with it the word to stop, or to run again. A release that was never confirmed on the machine gives way to the one that was, whatever has
 * become of its rollout: the end of a drain starts nothing that nobody has called good (ADR 25).
 */
import type { AppName, DeploymentId, Generation, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import { RENEWED } from "../journal/confirmed.ts";
import { wentBack } from "../journal/standing.ts";
import { statement } from "../journal/statement.ts";
import type { Moment } from "../rollout/moment.ts";
import type { WayBack } from "../rollout/surroundings.ts";
import type { Loop } from "./loop.ts";
import type { Append } from "./rollouts.ts";

type Own = Pick<Loop, "facts" | "journal" | "rollouts" | "world">;

export function renewAssignments(loop: Own, machine: MachineId, append: Append, now: Moment): void {
  const { facts, world } = loop;
  for (const app of facts.assignedApps(machine)) {
    const assigned = world.availabilities.assignedTo(machine, app);
    const before = assigned?.release ?? null;
    const { release, asLate } = renewed(loop, machine, app, assigned?.deployment);
    if (release !== before && assigned !== undefined) closeTarget(loop, assigned.deployment, app, machine, append);
    const { seq } = append({ kind: "assignment_renewed", machine, app, ...(release === before ? {} : { release, ...(asLate ? { asLate } : {}) }) });
    if (assigned !== undefined) world.assigned(machine, app, { ...assigned, release, generation: seq as Generation }, now.attended);
  }
}

/** Where nothing was good on the machine it keeps what stands for machines like it, if that is what it has; else it has nothing, and waits for its turn like those that come late. */
function renewed({ facts, journal }: Own, machine: MachineId, app: AppName, deployment: DeploymentId | undefined): WayBack {
  const { assigned, renewed: release } = statement(journal.db, RENEWED).get({ machine, app }) as { readonly assigned: ReleaseId | null; readonly renewed: ReleaseId | null };
  const given = deployment === undefined ? undefined : facts.givenBy(deployment);
  const isLate = assigned !== null && (release === null || facts.isAsLate(machine, app));
  if (!isLate || given === undefined) return { release, asLate: false };
  // What it has stays, whether or not that is well elsewhere.
  const stands = facts.wayBack(machine, app, { id: deployment!, release: given.release }, true);
  return { release: stands.release === assigned ? assigned : null, asLate: true };
}

/** Of a rollout that ended with the machine on its way, or lost on it: nothing that it says will be about that any more. One that is in memory was told of the drain; in one that goes back, who is lost stays so. */
function closeTarget({ journal, rollouts }: Own, deployment: DeploymentId, app: AppName, machine: MachineId, append: Append): void {
  if (rollouts.get(deployment) !== undefined) return;
  const sql = `SELECT t.state = 'unreachable' AND t.let_go IS NOT 'excused' AND t.reason_code IS NOT 'not_taken' FROM targets t JOIN deployments d ON d.id = t.deployment
    WHERE t.deployment = ? AND t.machine = ? AND (t.state = 'updating' OR (t.state = 'unreachable' AND t.purpose = 'update')) AND NOT ${wentBack("d")}`;
  const isLost = statement(journal.db, sql).pluck().get(deployment, machine) as 0 | 1 | undefined;
  if (isLost === undefined) return;
  append({ kind: "target_changed", deployment, app, machine, state: "skipped", reason: { code: "cordoned", message: "the machine was drained" }, runs: null, ...(isLost === 1 ? { leftAs: "lost" } : {}) });
}
