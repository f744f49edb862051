/**
 * What one event means for one rollout. Pure, and O(1) an event.
 *
 * `decide` says what an event changes at once; `advance` (advance.ts) then says, step by step, what follows from the state. A report of an older
 * generation, a doubled timer or a late answer changes nothing.
 */
import type { Generation, MachineId } from "@muster/proto/ids.ts";
import type { Plan } from "../plan/plan.ts";
import type { RolloutChange } from "./change.ts";
import { type AgentPhase, isEnded, type RolloutReason, type RolloutState, type Target, type TargetState } from "./state.ts";

export type RolloutEvent =
  | { readonly kind: "start"; readonly plan: Plan }
  | {
      readonly kind: "reported";
      readonly machine: MachineId;
      readonly generation: Generation;
      readonly phase: AgentPhase;
      readonly reason: RolloutReason | null;
    }
  /** Nothing heard from the machine for longer than the controller waits. */
  | { readonly kind: "fell_silent"; readonly machine: MachineId; readonly reason: RolloutReason }
  | { readonly kind: "heard_again"; readonly machine: MachineId }
  | { readonly kind: "pause"; readonly reason: RolloutReason }
  | { readonly kind: "resume"; readonly reason: RolloutReason }
  | { readonly kind: "abort"; readonly reason: RolloutReason }
  | { readonly kind: "rollback"; readonly reason: RolloutReason }
  | { readonly kind: "supersede"; readonly reason: RolloutReason };

export function decide(state: RolloutState, event: RolloutEvent): readonly RolloutChange[] {
  switch (event.kind) {
    case "start":
      return [{ kind: "rollout_started", plan: event.plan }, ...(event.plan.waves.length > 0 ? [{ kind: "wave_started", wave: 0 } as const] : [])];
    case "reported":
      return onReport(state, event.machine, event.generation, event.phase, event.reason);
    case "fell_silent":
      return onSilence(state, event.machine, event.reason);
    case "heard_again":
      return onVoice(state, event.machine);
    case "pause":
      return [{ kind: "phase_changed", phase: "paused", reason: event.reason }];
    case "resume":
      return [...acknowledgeFailures(state), { kind: "phase_changed", phase: "rolling", reason: null }];
    case "abort":
      return [{ kind: "phase_changed", phase: "aborted", reason: event.reason }];
    case "rollback":
      return [{ kind: "phase_changed", phase: "rolling_back", reason: event.reason }];
    case "supersede":
      return [{ kind: "phase_changed", phase: "superseded", reason: event.reason }];
  }
}

/** Why an operator's command can't be carried out now; undefined when it can. */
export function refusal(state: RolloutState, command: "pause" | "resume" | "abort" | "rollback"): string | undefined {
  const { phase } = state;
  switch (command) {
    case "pause":
      return phase === "rolling" ? undefined : `it is ${phase}; only a rolling deployment can be paused`;
    case "resume":
      return phase === "paused" ? undefined : `it is ${phase}; only a paused deployment can be resumed`;
    case "abort":
      return isEnded(phase) ? `it has ended (${phase})` : undefined;
    case "rollback":
      switch (phase) {
        case "pending":
          return "it has not begun; abort it instead";
        case "rolling_back":
          return "it is being rolled back already";
        case "rolled_back":
          return "it has been rolled back already";
        case "superseded":
          return "a newer deployment of the app has taken its place; roll that back instead";
        case "rolling":
        case "paused":
        case "succeeded":
        case "failed":
        case "aborted":
          return hasChangedAny(state) ? undefined : "it changed no machine, so there is nothing to take back";
      }
  }
}

function hasChangedAny({ waves }: RolloutState): boolean {
  return waves.some(({ targets, counts }) => counts.pending < targets.length);
}

function onReport(
  state: RolloutState,
  machine: MachineId,
  generation: Generation,
  phase: AgentPhase,
  reason: RolloutReason | null,
): readonly RolloutChange[] {
  const target = state.targets.get(machine);
  if (target === undefined || target.purpose === null || generation !== target.generation) return [];
  const to = targetStateOf(target, phase);
  if (to === undefined || to === target.state) return [];
  return [{ kind: "target_changed", machine, state: to, reason: to === "failed" ? reason : failureOf(target) }];
}

/** Undefined: the phase says nothing about where the target stands. */
export function targetStateOf(target: Pick<Target, "purpose" | "state">, phase: AgentPhase): TargetState | undefined {
  const update = target.purpose === "update";
  switch (phase) {
    case "healthy":
      return update ? "healthy" : "reverted";
    case "removed":
      return update ? undefined : "reverted";
    case "unhealthy":
    case "reverted":
    case "failed":
      return "failed";
    case "reverting":
      return undefined;
    case "pulling":
    case "staged":
    case "activating":
    case "probing":
    case "removing":
      return target.state === "unreachable" ? underWay(target) : undefined;
  }
}

/** Why the release failed on a target, kept while and after it goes back. */
function failureOf(target: Target): RolloutReason | null {
  return target.purpose === "revert" && target.reason?.code !== "silent" ? target.reason : null;
}

function onSilence(state: RolloutState, machine: MachineId, reason: RolloutReason): readonly RolloutChange[] {
  if (isEnded(state.phase) || !state.moving.has(machine)) return [];
  return [{ kind: "target_changed", machine, state: "unreachable", reason }];
}

function onVoice(state: RolloutState, machine: MachineId): readonly RolloutChange[] {
  const target = state.targets.get(machine);
  if (isEnded(state.phase) || target?.state !== "unreachable") return [];
  return [{ kind: "target_changed", machine, state: underWay(target), reason: failureOf(target) }];
}

function underWay(target: Pick<Target, "purpose">): TargetState {
  return target.purpose === "revert" ? "reverting" : "updating";
}

function acknowledgeFailures(state: RolloutState): readonly RolloutChange[] {
  return state.waves.flatMap(({ counts, acknowledgedFailures }, wave) =>
    counts.failed > acknowledgedFailures ? [{ kind: "failures_acknowledged", wave, failures: counts.failed } as const] : [],
  );
}
