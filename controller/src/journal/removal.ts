/**
 * What the removal of a machine means for deployments that have ended, and may be taken up again: one row says it of all of them. Rollouts that are in memory decide for
 * themselves, with rows of their own. What the machine said of the release stays known.
 */
import type { Database } from "better-sqlite3";
import type { AppName, DeploymentId } from "@muster/proto/ids.ts";
import type { ReasonCode } from "@muster/proto/reason.ts";
import { evidenceOf, runsAsLeft } from "../rollout/evidence.ts";
import type { Moment } from "../rollout/moment.ts";
import type { RolloutPhase, RolloutReason, RolloutState, Target } from "../rollout/state.ts";
import type { JournalRow, MachineRemoved, RolloutEntry } from "./entry.ts";

/** Ended, and somebody may still retry them or roll them back, or they still wait for a machine to go back. */
const MAY_COME_BACK: readonly RolloutPhase[] = ["succeeded", "failed", "aborted", "rolled_back"];

export function removalReason({ by, reason }: Pick<MachineRemoved, "by" | "reason">): RolloutReason {
  return { code: "removed", message: `${by === "" ? "an operator" : by} removed it from the fleet${reason === "" ? "" : `: ${reason}`}` };
}

interface Touched extends Pick<Target, "state" | "purpose" | "letGo" | "leftAs" | "firstTold" | "attempts"> {
  readonly deployment: DeploymentId;
  readonly app: AppName;
  readonly phase: RolloutPhase;
  readonly reasonCode: ReasonCode | null;
  readonly isOnTrial: 0 | 1;
}

/** Changes the targets of the machine in the tables of deployments that have ended: they may be thousands. */
export function prepareRemoval(db: Database): (removed: MachineRemoved, at: Moment) => void {
  const phases = MAY_COME_BACK.map((phase) => `'${phase}'`).join(", ");
  const touched = db.prepare(
    // CROSS JOIN keeps SQLite from beginning with all targets. One deployment that can't be read keeps no machine in the fleet.
    `SELECT d.id AS deployment, d.app, d.phase, t.state, t.purpose, t.reason_code AS reasonCode, t.let_go AS letGo, t.left_as AS leftAs, t.first_told AS firstTold, t.attempts, t.on_trial AS isOnTrial
     FROM deployments d CROSS JOIN targets t ON t.deployment = d.id AND t.machine = @machine
     WHERE (d.phase IN (${phases}) OR (d.phase = 'superseded' AND (d.back_seq IS NOT NULL OR d.id IN (SELECT value FROM json_each(@lostWith))))) AND t.state <> 'removed' ORDER BY d.number`,
  );
  const remove = db.prepare(
    // As `runsAsLeft` has it. What it said last counts, whatever it said before. It stays known, as `staysKnown` has it.
    `UPDATE targets SET state = 'removed', runs = coalesce(CASE WHEN attempts = 0 THEN NULL WHEN state = 'reverted' AND reason_code IS NOT 'cordoned' THEN coalesce(runs, '') ELSE @runs END, runs), purpose = NULL, since = @at, since_attended = @attended, let_go = NULL, left_as = @left,
       is_known = is_known AND CASE WHEN state = 'failed' OR left_as = 'failed' THEN 'failed' ELSE 'lost' END IS @left, reason_code = @code, reason_message = @message,
       confirmed_seq = coalesce(confirmed_seq, CASE WHEN state = 'healthy' THEN (SELECT finished_seq FROM waves w WHERE w.deployment = targets.deployment AND w.wave = targets.wave) END)
     WHERE deployment = @deployment AND machine = @machine`,
  );
  return (removed, { at, attended }) => {
    const { machine, lostWith = [], runs = {} } = removed;
    const found = touched.all({ machine, lostWith: JSON.stringify(lostWith) }) as Touched[];
    const common = { machine, at, attended, ...removalReason(removed) };
    for (const { deployment, app, phase, reasonCode, isOnTrial, ...target } of found) {
      const left = evidenceOf(phase, { ...target, onTrial: isOnTrial === 1, reason: reasonCode === null ? null : { code: reasonCode, message: "" } }, !lostWith.includes(deployment));
      remove.run({ ...common, deployment, left, runs: runs[app] ?? null });
    }
  };
}

/** The same for a rollout as history keeps it: the rows that say of this deployment what the removal said of all. */
export function removalIn(state: RolloutState | undefined, { entry, ...stamp }: JournalRow): readonly (JournalRow & { readonly entry: RolloutEntry })[] {
  if (entry.kind !== "machine_removed" || state === undefined) return [];
  const isLost = entry.lostWith?.includes(state.id) === true;
  if (!MAY_COME_BACK.includes(state.phase) && !(state.phase === "superseded" && (isLost || state.beganBack))) return [];
  const target = state.targets.get(entry.machine);
  if (target === undefined || target.state === "removed") return [];
  const { id: deployment, app } = state;
  const leftAs = evidenceOf(state.phase, target, !isLost);
  const changed = { kind: "target_changed", deployment, app, machine: entry.machine, state: "removed", reason: removalReason(entry), runs: runsAsLeft(target, entry.runs?.[app] ?? null) } as const;
  return [{ ...stamp, entry: leftAs === null ? changed : { ...changed, leftAs } }];
}

