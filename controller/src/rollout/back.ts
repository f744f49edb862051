/**
 * The way back: newest wave first, in the same window and lanes, each machine to its own last good release. Never a matter of time, of gates or of freezes.
 */
import type { Instant } from "@muster/proto/ids.ts";
import { blockers, hasPlace } from "./place.ts";
import { endsAt, type RolloutReason, type RolloutState, type Target, waveGoingBack } from "./state.ts";
import { assignment, change, type Step } from "./step.ts";
import type { Surroundings } from "./surroundings.ts";
import { budgetHold, machines, stuckBackReason, whoRunsWhat } from "./words.ts";

export function backStep(state: RolloutState, world: Surroundings, now: Instant): Step {
  const interrupted = updatingTargets(state);
  if (interrupted.length > 0) return { kind: "change", changes: interrupted.map((target) => assignment(state, target, "revert", world)) };

  const next = state.turnsBack.next(blockers(state, world, "revert"));
  const returning = waveGoingBack(state);
  const budget = next === undefined && state.moving.size === 0 ? state.turnsBack.parkedBehind : undefined;
  if (budget !== undefined) return { kind: "hold", hold: budgetHold(budget), until: undefined };
  if (next === undefined && returning === undefined) return change({ kind: "phase_changed", ...outcome(state) });
  if (now >= endsAt(state) && state.hold === null) return change({ kind: "phase_changed", phase: "failed", reason: stuckBackReason(state) });
  // The wave that goes back is done before an older one begins.
  const isItsTurn = next !== undefined && (returning === undefined || next.wave >= state.waves.indexOf(returning));
  if (isItsTurn && hasPlace(state, next, state.maxUnavailable)) return change(assignment(state, next, "revert", world));
  return { kind: "wait", until: endsAt(state) };
}

/** Those under way when the rollback began, and machines that come back from silence before their turn. Scans `moving` only if there are any. */
function updatingTargets(state: RolloutState): readonly Target[] {
  const updating: Target[] = [];
  if (state.waves.every(({ counts }) => counts.updating === 0)) return updating;
  for (const machine of state.moving) {
    const target = state.targets.get(machine);
    if (target?.purpose === "update") updating.push(target);
  }
  return updating;
}

function outcome(state: RolloutState): { readonly phase: "rolled_back" | "failed"; readonly reason: RolloutReason | null } {
  const failed = [...state.targets.values()].filter((target) => target.state === "failed");
  if (failed.length === 0) return { phase: "rolled_back", reason: state.reason };
  const cause = state.reason === null ? "" : `; it was being rolled back because ${state.reason.message}`;
  const message = `${machines(failed.length)} could not go back to what ${failed.length === 1 ? "it" : "they"} ran before: ${whoRunsWhat(failed)}${cause}`;
  return { phase: "failed", reason: { code: "revert_failed", message } };
}
