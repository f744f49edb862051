/**
 * The steps that a rollout can take, and those that all of its phases share: the start of the next target.
 */
import type { Instant, MachineId } from "@muster/proto/ids.ts";
import type { RolloutChange } from "./change.ts";
import { costsNothing } from "./derived.ts";
import type { Moment } from "./moment.ts";
import { blockers, fullBudget, fullOfOthers, hasPlace, opening } from "./place.ts";
import type { Hold, Purpose, RolloutReason, RolloutState, Target } from "./state.ts";
import type { Surroundings } from "./surroundings.ts";
import { budgetHold, settlingText, timeText, unmatchedReason } from "./words.ts";

export type Step =
  | { readonly kind: "change"; readonly changes: readonly RolloutChange[] }
  /** Nothing is on the move that is waited for, and something outside must change first. `until`: look again then. */
  | { readonly kind: "hold"; readonly hold: Hold; readonly until: Instant | undefined }
  /** For reports of those on the move, or for the end of patience. */
  | { readonly kind: "wait"; readonly until: Instant | undefined };

export function change(...changes: readonly RolloutChange[]): Step {
  return { kind: "change", changes };
}

/** `one`: one at a time, those that do not serve already included. */
export type Pace = "window" | "one";

/**
 * The next of the pending targets of the waves that have begun: is passed over, starts, or has to wait. Machines that do not serve come first. Undefined: there is none
 * that could start as long as others are on the move.
 */
export function turnStep(state: RolloutState, world: Surroundings, pace: Pace, now: Moment): Step | undefined {
  const target = (pace === "window" ? nextFirst(state, world) : undefined) ?? state.turns.next(blockers(state, world, "update"));
  if (target !== undefined) {
    const passed = passedOver(state, target, world);
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
  const fits = pace === "one" ? state.availability.changing.size === 0 : hasPlace(state, target, state.maxUnavailable, "update");
  return fits ? change(assignment(state, target, "update", world)) : undefined;
}

/** The window, or a lane, is full of machines that are changing by no step of this rollout that could still go well: they go back by themselves, or another deployment changes them. Each has its time for that. */
export function settlingStep(state: RolloutState): Step | undefined {
  const { changing, leftOut } = state.availability;
  return state.moving.size > 0 ? undefined : settlingHold(state, [...changing, ...leftOut.changing]);
}

/** Undefined: there is none of them. */
export function settlingHold(state: RolloutState, machines: readonly MachineId[]): Step | undefined {
  return machines.length === 0 ? undefined : { kind: "hold", hold: { kind: "settling", message: settlingText(state, machines) }, until: undefined };
}

/** Those that cannot start now are set aside until their lane has room, or dropped; all are looked at in their order as well. */
function nextFirst(state: RolloutState, world: Surroundings): Target | undefined {
  for (const target of state.startFirst) {
    if (isFree(state, target, world)) return instead(state, target, world) ?? target;
    setAside(state, target);
  }
  return undefined;
}

function setAside(state: RolloutState, target: Target): void {
  state.startFirst.delete(target);
  if (target.state !== "pending" || !costsNothing(state, target)) return;
  for (const key of fullOfOthers(state, target) ?? []) {
    const behind = state.startFirstBehind.get(key);
    if (behind === undefined) state.startFirstBehind.set(key, new Set([target]));
    else behind.add(target);
  }
}

/** A window that is full of those that change is so for everybody but one of these. O(window). */
function instead(state: RolloutState, first: Target, world: Surroundings): Target | undefined {
  const { changing } = state.availability;
  if (changing.size !== state.maxUnavailable || changing.has(first.machine)) return undefined;
  for (const machine of changing) {
    const target = state.targets.get(machine)!;
    if (state.startFirst.has(target) && isFree(state, target, world)) return target;
  }
  return undefined;
}

function isFree(state: RolloutState, target: Target, world: Surroundings): boolean {
  return target.state === "pending" && costsNothing(state, target) && fullOfOthers(state, target) === undefined && fullBudget(state, target, world, "update") === undefined;
}

/**
 * A machine that can't be changed now is not told, so that it takes its turn in the window when it is back. One that the deployment selects no longer is let go, however it came to its turn; but what goes back to an older
 * release takes back whatever it was planned for. One that ran the release before, and was silent before its wave began, may have been so for long.
 */
function passedOver(state: RolloutState, target: Target, world: Surroundings): RolloutChange | undefined {
  const { machine, onTrial } = target;
  const { strategy } = state;
  if (strategy.isWayBack !== true && !world.isSelected(machine, strategy.targets)) return { kind: "target_changed", machine, state: "skipped", reason: unmatchedReason(strategy), runs: null };
  const newer = state.phase === "succeeded" && target.attempts === 0 ? world.overruledBy(state, machine) : undefined;
  if (newer !== undefined) return { kind: "target_changed", machine, state: "skipped", reason: { code: "superseded", message: `${newer} has decided about it since` }, runs: null };
  if (world.isCordoned(machine)) return { kind: "target_changed", machine, state: "skipped", reason: CORDONED, runs: null };
  if (!world.isSilent(machine)) return undefined;
  return { kind: "target_changed", machine, state: "unreachable", reason: onTrial || target.firstTold > 0 ? { ...SILENT, code: "not_taken" } : SILENT, runs: null, ...(strategy.offline.kind === "skip" ? { isLetGo: true } : {}) };
}

export function assignment(state: RolloutState, target: Target, purpose: Purpose, world: Surroundings): Extract<RolloutChange, { readonly kind: "target_assigned" }> {
  const { machine } = target;
  const isFirst = target.attempts === 0 && purpose === "update";
  const { previous: known, isPreviousAsLate } = target;
  // What stood for machines like it may have been taken back from them since.
  const isAnew = isPreviousAsLate && purpose === "revert";
  const { release: previous, asLate } = isFirst || isAnew ? world.wayBack(state, machine, isAnew) : { release: known, asLate: isPreviousAsLate };
  return {
    kind: "target_assigned",
    machine,
    purpose,
    release: purpose === "update" ? state.release : previous,
    state: purpose === "update" ? "updating" : "reverting",
    reason: purpose === "revert" && target.state === "failed" ? target.reason : null,
    previous,
    ...(asLate ? { isPreviousAsLate: true } : {}),
    ...(purpose === "revert" && !costsNothing(state, target) ? { isTakenDown: true } : {}),
  };
}

export function notBefore(at: Instant, what: string): string {
  return `${what} at ${timeText(at)}`;
}

export function earlier(a: Instant | undefined, b: Instant | undefined): Instant | undefined {
  return a === undefined || (b !== undefined && b < a) ? b : a;
}

const SILENT: RolloutReason = { code: "silent", message: "nothing is heard from the machine; it has its turn when it is back" };
const CORDONED: RolloutReason = { code: "cordoned", message: "the machine is cordoned; it has its turn when that ends" };
