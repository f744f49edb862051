/**
 * What the removal of a machine means for deployments that have ended, and may be taken up again: one row says it of all of them. Rollouts that are in memory decide for
 * themselves, with rows of their own.
 */
import type { Database } from "better-sqlite3";
import type { Instant } from "@muster/proto/ids.ts";
import { forgottenIn } from "../rollout/acknowledge.ts";
import type { RolloutPhase, RolloutReason, RolloutState } from "../rollout/state.ts";
import type { JournalRow, MachineRemoved, RolloutEntry } from "./entry.ts";

/** Ended, and somebody may still retry them or roll them back. */
const MAY_COME_BACK: readonly RolloutPhase[] = ["succeeded", "failed", "aborted"];

export function removalReason({ by, reason }: Pick<MachineRemoved, "by" | "reason">): RolloutReason {
  return { code: "removed", message: `${by === "" ? "an operator" : by} removed it from the fleet${reason === "" ? "" : `: ${reason}`}` };
}

/** The same in the tables: prepared once. A failure that an operator had acknowledged and that is none any more must not stand in for a new one. */
export function prepareRemoval(db: Database): (removed: MachineRemoved, at: Instant) => void {
  const phases = MAY_COME_BACK.map((phase) => `'${phase}'`).join(", ");
  const touched = db.prepare(
    // CROSS JOIN keeps SQLite from beginning with all targets.
    `SELECT t.deployment, t.wave, t.state FROM deployments d CROSS JOIN targets t ON t.deployment = d.id AND t.machine = ?
     WHERE d.phase IN (${phases}) AND t.state <> 'removed'`,
  );
  const leave = db.prepare("UPDATE targets SET state = 'removed', purpose = NULL, since = @at, reason_code = @code, reason_message = @message WHERE deployment = @deployment AND machine = @machine");
  const count = (state: string): string => `(SELECT count(*) FROM targets t WHERE t.deployment = waves.deployment AND t.wave = waves.wave AND t.state = '${state}')`;
  const forget = db.prepare(
    `UPDATE waves SET acknowledged_failures = min(acknowledged_failures, ${count("failed")}), acknowledged_unreachable = min(acknowledged_unreachable, ${count("unreachable")})
     WHERE deployment = ? AND wave = ? AND (acknowledged_failures > 0 OR acknowledged_unreachable > 0)`,
  );
  return (removed, at) => {
    const { machine } = removed;
    const reason = removalReason(removed);
    for (const { deployment, wave, state } of touched.all(machine) as { deployment: string; wave: number; state: string }[]) {
      leave.run({ deployment, machine, at, ...reason });
      if (state === "failed" || state === "unreachable") forget.run(deployment, wave);
    }
  };
}

/** The same for a rollout as history keeps it: the rows that say of this deployment what the removal said of all. */
export function removalIn(state: RolloutState | undefined, { seq, at, entry }: JournalRow): readonly (JournalRow & { readonly entry: RolloutEntry })[] {
  if (entry.kind !== "machine_removed" || state === undefined || !MAY_COME_BACK.includes(state.phase)) return [];
  const target = state.targets.get(entry.machine);
  if (target === undefined || target.state === "removed") return [];
  const { id: deployment, app } = state;
  const changed = { kind: "target_changed", deployment, app, machine: entry.machine, state: "removed", reason: removalReason(entry), runs: null } as const;
  const forgotten = forgottenIn(state.waves[target.wave]!, target).map((change) => ({ ...change, deployment, app }));
  return [changed, ...forgotten].map((each) => ({ seq, at, entry: each }));
}

