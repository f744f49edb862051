/**
 * What the removal of a machine means for deployments that have ended, and may be taken up again: one row says it of all of them. Rollouts that are in memory decide for
 * themselves, with rows of their own.
 */
import type { Database } from "better-sqlite3";
import type { AppName, DeploymentId } from "@muster/proto/ids.ts";
import { forgottenIn } from "../rollout/acknowledge.ts";
import { failuresOf, type RolloutPhase, type RolloutReason, type RolloutState, type TargetState } from "../rollout/state.ts";
import type { JournalRow, MachineRemoved, RolloutEntry } from "./entry.ts";

/** Ended, and somebody may still retry them or roll them back, or they still wait for a machine to go back. */
const MAY_COME_BACK: readonly RolloutPhase[] = ["succeeded", "failed", "aborted", "rolled_back"];

export function removalReason({ by, reason }: Pick<MachineRemoved, "by" | "reason">): RolloutReason {
  return { code: "removed", message: `${by === "" ? "an operator" : by} removed it from the fleet${reason === "" ? "" : `: ${reason}`}` };
}

interface Touched {
  readonly deployment: DeploymentId;
  readonly app: AppName;
  readonly wave: number;
  readonly state: TargetState;
  readonly acknowledgedFailures: number;
  readonly acknowledgedUnreachable: number;
  readonly failures: number;
  readonly unreachable: number;
}

/** What it means for the deployments in the tables that have ended, as the rows that would say so. To be projected one after another, as those are. */
export function prepareRemoval(db: Database): (removed: MachineRemoved) => readonly RolloutEntry[] {
  const phases = MAY_COME_BACK.map((phase) => `'${phase}'`).join(", ");
  const count = (which: string): string => `(SELECT count(*) FROM targets o WHERE o.deployment = t.deployment AND o.wave = t.wave AND ${which})`;
  const touched = db.prepare(
    // CROSS JOIN keeps SQLite from beginning with all targets.
    `SELECT t.deployment, d.app, t.wave, t.state, w.acknowledged_failures AS acknowledgedFailures, w.acknowledged_unreachable AS acknowledgedUnreachable,
       ${count("o.state = 'failed'")} + ${count("o.state IN ('removed', 'skipped') AND o.left_as = 'failed'")} AS failures,
       ${count("o.state = 'unreachable'")} + ${count("o.state IN ('removed', 'skipped') AND o.left_as = 'lost'")} AS unreachable
     FROM deployments d CROSS JOIN targets t ON t.deployment = d.id AND t.machine = ? JOIN waves w ON w.deployment = t.deployment AND w.wave = t.wave
     WHERE d.phase IN (${phases}) AND t.state <> 'removed' ORDER BY d.number`,
  );
  return (removed) => {
    const { machine } = removed;
    const reason = removalReason(removed);
    return (touched.all(machine) as Touched[]).flatMap(({ deployment, app, ...target }) => {
      const changed = { kind: "target_changed", deployment, app, machine, state: "removed", reason, runs: null } as const;
      return [changed, ...forgottenIn(target, target).map((change) => ({ ...change, deployment, app }))];
    });
  };
}

/** The same for a rollout as history keeps it: the rows that say of this deployment what the removal said of all. */
export function removalIn(state: RolloutState | undefined, { entry, ...stamp }: JournalRow): readonly (JournalRow & { readonly entry: RolloutEntry })[] {
  if (entry.kind !== "machine_removed" || state === undefined || !MAY_COME_BACK.includes(state.phase)) return [];
  const target = state.targets.get(entry.machine);
  if (target === undefined || target.state === "removed") return [];
  const { id: deployment, app } = state;
  const changed = { kind: "target_changed", deployment, app, machine: entry.machine, state: "removed", reason: removalReason(entry), runs: null } as const;
  const wave = state.waves[target.wave]!;
  const left = wave.targets.filter(({ leftAs }) => leftAs === "lost").length;
  const forgotten = forgottenIn({ ...wave, failures: failuresOf(wave), unreachable: wave.counts.unreachable + left }, target).map((change) => ({ ...change, deployment, app }));
  return [changed, ...forgotten].map((each) => ({ ...stamp, entry: each }));
}

