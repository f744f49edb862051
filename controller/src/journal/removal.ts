/**
 * What the removal of a machine means for deployments that have ended, and may be taken up again: one row says it of all of them. Rollouts that are in memory decide for
 * themselves, with rows of their own. What the machine said of the release stays known.
 */
import type { Database } from "better-sqlite3";
import type { AppName, DeploymentId } from "@muster/proto/ids.ts";
import type { ReasonCode } from "@muster/proto/reason.ts";
import { forgottenFailure, forgottenIn } from "../rollout/acknowledge.ts";
import { evidenceOf } from "../rollout/evidence.ts";
import type { Moment } from "../rollout/moment.ts";
import type { Strategy } from "../plan/strategy.ts";
import type { RolloutPhase, RolloutReason, RolloutState, Target } from "../rollout/state.ts";
import type { JournalRow, MachineRemoved, RolloutEntry } from "./entry.ts";

/** Ended, and somebody may still retry them or roll them back, or they still wait for a machine to go back. */
const MAY_COME_BACK: readonly RolloutPhase[] = ["succeeded", "failed", "aborted", "rolled_back"];

export function removalReason({ by, reason }: Pick<MachineRemoved, "by" | "reason">): RolloutReason {
  return { code: "removed", message: `${by === "" ? "an operator" : by} removed it from the fleet${reason === "" ? "" : `: ${reason}`}` };
}

interface Touched extends Pick<Target, "wave" | "state" | "purpose" | "letGo" | "leftAs" | "firstTold"> {
  readonly deployment: DeploymentId;
  readonly app: AppName;
  readonly phase: RolloutPhase;
  readonly reasonCode: ReasonCode | null;
  readonly offline: Strategy["offline"]["kind"];
  readonly acknowledgedFailures: number;
  readonly acknowledgedUnreachable: number;
}

/**
 * Changes the targets of the machine in the tables of deployments that have ended, all in one statement: they may be hundreds. Returns what else it means for these deployments, as the rows that would say
 * so, to be projected one after another as those are.
 */
export function prepareRemoval(db: Database): (removed: MachineRemoved, at: Moment) => readonly RolloutEntry[] {
  const phases = MAY_COME_BACK.map((phase) => `'${phase}'`).join(", ");
  const touched = db.prepare(
    // CROSS JOIN keeps SQLite from beginning with all targets. One deployment that can't be read keeps no machine in the fleet.
    `SELECT d.id AS deployment, d.app, d.phase, CASE WHEN json_valid(d.strategy) THEN d.strategy ->> '$.offline.kind' END AS offline, t.wave, t.state, t.purpose, t.reason_code AS reasonCode, t.let_go AS letGo, t.left_as AS leftAs, t.first_told AS firstTold, w.acknowledged_failures AS acknowledgedFailures, w.acknowledged_unreachable AS acknowledgedUnreachable
     FROM deployments d CROSS JOIN targets t ON t.deployment = d.id AND t.machine = @machine JOIN waves w ON w.deployment = t.deployment AND w.wave = t.wave
     WHERE (d.phase IN (${phases}) OR (d.phase = 'superseded' AND (d.back_seq IS NOT NULL OR d.id IN (SELECT value FROM json_each(@lostWith))))) AND t.state <> 'removed' ORDER BY d.number`,
  );
  const counts = db.prepare(
    // As `isCounted` has it.
    `SELECT count(*) FILTER (WHERE state = 'failed' OR left_as = 'failed') + (SELECT gone_failed FROM waves WHERE deployment = @deployment AND wave = @wave) AS failures,
       count(*) FILTER (WHERE left_as = 'lost' OR (state = 'unreachable' AND let_go IS NOT 'excused' AND (@offline = 'skip' OR let_go IS NOT NULL))) AS unreachable
     FROM targets WHERE deployment = @deployment AND wave = @wave`,
  );
  const remove = db.prepare(
    // Of what it had stopped it runs nothing, whatever it said before.
    `UPDATE targets SET state = 'removed', runs = CASE WHEN (SELECT app FROM deployments WHERE id = targets.deployment) IN (SELECT value FROM json_each(@stopped)) THEN '' ELSE runs END, purpose = NULL, since = @at, since_attended = @attended, let_go = NULL, left_as = (SELECT value ->> 'as' FROM json_each(@left) WHERE value ->> 'deployment' = targets.deployment), reason_code = @code, reason_message = @message,
       confirmed_seq = coalesce(confirmed_seq, CASE WHEN state = 'healthy' THEN (SELECT finished_seq FROM waves w WHERE w.deployment = targets.deployment AND w.wave = targets.wave) END)
     WHERE machine = @machine AND deployment IN (SELECT value FROM json_each(@deployments))`,
  );
  return (removed, { at, attended }) => {
    const { machine, lostWith = [], stopped = [] } = removed;
    const found = touched.all({ machine, lostWith: JSON.stringify(lostWith) }) as Touched[];
    const left = found.flatMap(({ deployment, phase, reasonCode, ...target }) => {
      const as = evidenceOf(phase, { ...target, reason: reasonCode === null ? null : { code: reasonCode, message: "" } }, !lostWith.includes(deployment));
      return as === null ? [] : [{ deployment, as }];
    });
    const stay = new Set(left.map(({ deployment }) => deployment));
    const forgotten = found
      .filter(({ deployment, acknowledgedFailures, acknowledgedUnreachable }) => !stay.has(deployment) && (acknowledgedFailures > 0 || acknowledgedUnreachable > 0))
      .flatMap(({ deployment, app, offline, ...target }) => {
        const counted = counts.get({ deployment, wave: target.wave, offline }) as { failures: number; unreachable: number };
        return forgottenIn({ ...target, ...counted }, { strategy: { offline: { kind: offline } } }, target).map((change) => ({ ...change, deployment, app }));
      });
    remove.run({ machine, at, attended, ...removalReason(removed), left: JSON.stringify(left), stopped: JSON.stringify(stopped), deployments: JSON.stringify(found.map(({ deployment }) => deployment)) });
    return forgotten;
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
  const changed = { kind: "target_changed", deployment, app, machine: entry.machine, state: "removed", reason: removalReason(entry), runs: entry.stopped?.includes(app) === true ? "" : null } as const;
  if (leftAs !== null) return [{ ...stamp, entry: { ...changed, leftAs } }];
  const forgotten = forgottenFailure(state, target).map((change) => ({ ...change, deployment, app }));
  return [changed, ...forgotten].map((each) => ({ ...stamp, entry: each }));
}

