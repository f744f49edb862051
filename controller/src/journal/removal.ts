/**
 * What the removal of a machine means for deployments that have ended, and may be taken up again: one row says it of all of them. Rollouts that are in memory decide for
 * themselves, with rows of their own. What the machine said of the release stays known.
 *
 * The same in SQL, for the tables: removals.ts.
 */
import { evidenceOf, runsAsLeft } from "../rollout/evidence.ts";
import type { RolloutPhase, RolloutReason, RolloutState } from "../rollout/state.ts";
import type { JournalRow, MachineRemoved, RolloutEntry } from "./entry.ts";

/** Ended, and somebody may still retry them or roll them back, or they still wait for a machine to go back. */
export const MAY_COME_BACK: readonly RolloutPhase[] = ["succeeded", "failed", "aborted", "rolled_back"];

export function removalReason({ by, reason }: Pick<MachineRemoved, "by" | "reason">): RolloutReason {
  return { code: "removed", message: `${by === "" ? "an operator" : by} removed it from the fleet${reason === "" ? "" : `: ${reason}`}` };
}

/** The rows that say of this deployment what the removal said of all. None when they were taken already. */
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

