/**
 * The steps that a rollout can take, and those that all of its phases share: the turn of the next target.
 */
import type { Instant } from "@muster/proto/ids.ts";
import type { RolloutChange } from "./change.ts";
import { blockers, hasPlace, opening } from "./place.ts";
import type { Hold, Purpose, RolloutReason, RolloutState, Target } from "./state.ts";
import type { Surroundings } from "./surroundings.ts";
import { budgetHold, timeText } from "./words.ts";

export type Step =
  | { readonly kind: "change"; readonly changes: readonly RolloutChange[] }
  /** Nothing is on the move that is waited for, and something outside must change first. `until`: look again then. */
  | { readonly kind: "hold"; readonly hold: Hold; readonly until: Instant | undefined }
  /** For reports of those on the move, or for the end of patience. */
  | { readonly kind: "wait"; readonly until: Instant | undefined };

export function change(...changes: readonly RolloutChange[]): Step {
  return { kind: "change", changes };
}

/**
 * The next of the pending targets of the waves that have begun: is passed over, is told, or has to wait. `window`: how many may be unavailable. Undefined: there is none
 * that could have its turn as long as others are on the move.
 */
export function turnStep(state: RolloutState, world: Surroundings, window: number, now: Instant): Step | undefined {
  const target = state.turns.next(blockers(state, world, "update"));
  if (target !== undefined) {
    const passed = passedOver(target, world);
    if (passed !== undefined) return change(passed);
  }
  const open = opening(state, world, now);
  if (!open.open) {
    const until = open.opensAt ?? undefined;
    return state.moving.size > 0 ? { kind: "wait", until } : { kind: "hold", hold: { kind: open.kind, message: open.message }, until };
  }
  if (target === undefined) {
    const budget = state.turns.parkedBehind;
    return state.moving.size > 0 || budget === undefined ? undefined : { kind: "hold", hold: budgetHold(budget), until: undefined };
  }
  return hasPlace(state, target, window) ? change(assignment(state, target, "update", world)) : undefined;
}

/** A machine that can't be changed now is not told, so that it takes its turn in the window when it is back. */
function passedOver(target: Target, world: Surroundings): RolloutChange | undefined {
  if (world.isCordoned(target.machine)) {
    return { kind: "target_changed", machine: target.machine, state: "skipped", reason: CORDONED, runs: null };
  }
  if (world.isSilent(target.machine)) return { kind: "target_changed", machine: target.machine, state: "unreachable", reason: SILENT, runs: null };
  return undefined;
}

export function assignment(state: RolloutState, target: Target, purpose: Purpose, world: Surroundings): RolloutChange {
  const silent = purpose === "revert" && world.isSilent(target.machine);
  const failure = purpose === "revert" && target.state === "failed" ? target.reason : null;
  return {
    kind: "target_assigned",
    machine: target.machine,
    purpose,
    release: purpose === "update" ? state.release : target.previous,
    state: silent ? "unreachable" : purpose === "update" ? "updating" : "reverting",
    reason: silent ? SILENT : failure,
  };
}

export function notBefore(at: Instant, what: string): string {
  return `${what} at ${timeText(at)}`;
}

const SILENT: RolloutReason = { code: "silent", message: "nothing is heard from the machine; it has its turn when it is back" };
const CORDONED: RolloutReason = { code: "cordoned", message: "the machine is cordoned; it has its turn when that ends" };
