/**
 * What can happen to a rollout. `decide` and `advance` return these; each becomes one row of the journal, and `apply` and the projection into
 * tables both read nothing else.
 */
import type { Generation, Instant, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import type { Plan } from "../plan/plan.ts";
import {
  adoptPlan,
  type Purpose,
  type RolloutPhase,
  type RolloutReason,
  type RolloutState,
  type Target,
  type TargetState,
  type WaveState,
} from "./state.ts";

export type RolloutChange =
  | { readonly kind: "rollout_started"; readonly plan: Plan }
  | { readonly kind: "wave_started"; readonly wave: number }
  | { readonly kind: "wave_finished"; readonly wave: number }
  /** The machine's assignment changes; the sequence of this row is its new generation. A null release removes the app. */
  | {
      readonly kind: "target_assigned";
      readonly machine: MachineId;
      readonly purpose: Purpose;
      readonly release: ReleaseId | null;
      readonly state: "updating" | "reverting" | "unreachable";
      readonly reason: RolloutReason | null;
    }
  | {
      readonly kind: "target_changed";
      readonly machine: MachineId;
      readonly state: TargetState;
      readonly reason: RolloutReason | null;
    }
  | { readonly kind: "failures_acknowledged"; readonly wave: number; readonly failures: number }
  | { readonly kind: "phase_changed"; readonly phase: RolloutPhase; readonly reason: RolloutReason | null };

/** Where a change stands in the journal. */
export interface Stamp {
  readonly seq: number;
  readonly at: Instant;
}

/** The only function that changes a rollout. */
export function apply(state: RolloutState, change: RolloutChange, { seq, at }: Stamp): void {
  switch (change.kind) {
    case "rollout_started":
      adoptPlan(state, change.plan, at);
      state.phase = "rolling";
      state.reason = null;
      state.progressAt = at;
      return;
    case "wave_started":
      state.wave = change.wave;
      return;
    case "wave_finished":
      return;
    case "target_assigned": {
      const target = targetOf(state, change.machine);
      target.purpose = change.purpose;
      target.generation = seq as Generation;
      target.attempts += 1;
      moveTarget(state, target, change.state, change.reason, at);
      return;
    }
    case "target_changed":
      if (change.state === "healthy" || change.state === "reverted") state.progressAt = at;
      moveTarget(state, targetOf(state, change.machine), change.state, change.reason, at);
      return;
    case "failures_acknowledged":
      waveOf(state, change.wave).acknowledgedFailures = change.failures;
      return;
    case "phase_changed":
      state.phase = change.phase;
      state.reason = change.reason;
      state.progressAt = at;
      if (change.phase === "rolling_back") for (const wave of state.waves) aimRevert(wave, wave.targets.length - 1);
      return;
  }
}

function moveTarget(state: RolloutState, target: Target, to: TargetState, reason: RolloutReason | null, at: Instant): void {
  const wave = waveOf(state, target.wave);
  wave.counts[target.state] -= 1;
  wave.counts[to] += 1;
  target.state = to;
  target.reason = reason;
  target.since = at;
  settleTarget(state, target);
}

/** Brings what is derived from a target's state (who moves, whose turn is next) up to date. */
export function settleTarget(state: RolloutState, target: Target): void {
  const wave = waveOf(state, target.wave);
  if (target.state === "updating" || target.state === "reverting") state.moving.add(target.machine);
  else state.moving.delete(target.machine);
  while (wave.targets[wave.nextPending] !== undefined && wave.targets[wave.nextPending]!.state !== "pending") {
    wave.nextPending += 1;
  }
  if (state.phase === "rolling_back") aimRevert(wave, wave.nextRevert);
}

/** Moves a wave's turn of going back to the last target, from `from` down, that was changed and has not been told to go back. */
export function aimRevert(wave: WaveState, from: number): void {
  wave.nextRevert = from;
  while (wave.nextRevert >= 0 && !toRevert(wave.targets[wave.nextRevert]!)) wave.nextRevert -= 1;
}

function toRevert(target: Target): boolean {
  return target.purpose === "update";
}

function targetOf(state: RolloutState, machine: MachineId): Target {
  const target = state.targets.get(machine);
  if (target === undefined) throw new Error(`${machine} is not a target of ${state.id}`);
  return target;
}

export function waveOf(state: RolloutState, index: number): WaveState {
  const wave = state.waves[index];
  if (wave === undefined) throw new Error(`${state.id} has no wave ${index + 1}`);
  return wave;
}
