/**
 * What can happen to a rollout. `decide` and `advance` return these; each becomes one row of the journal, and `apply` and the projection into
 * tables both read nothing else.
 */
import { noteAcknowledged, noteKnown, staysKnown } from "./known.ts";
import { adoptPlan, emptyWave, newTarget } from "./adopt-plan.ts";
import type { Generation, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import type { Plan, PlannedTarget } from "../plan/plan.ts";
import { type AlarmChange, applyAlarm, resetAlarm } from "./alarms.ts";
import { applyGate, type GateChange } from "./gates.ts";
import { addTurns, aimBack, enterState, leave, letGo } from "./derived.ts";
import type { Attended, Moment } from "./moment.ts";
import { takenDownAfter } from "./taken-down.ts";
import {
  failedTargets,
  type Hold,
  isChangeOf,
  isHeldBesideMoves,
  isStuckBack,
  type LeftAs,
  type LetGo,
  outstanding,
  type Purpose,
  type RolloutPhase,
  type RolloutReason,
  type RolloutState,
  type Target,
  type TargetState,
  type WaveState,
} from "./state.ts";

export type RolloutChange =
  /** Somebody has said that it may begin. `said`: who, and why. */
  | { readonly kind: "start_approved"; readonly said: string }
  | { readonly kind: "rollout_started"; readonly plan: Plan }
  | { readonly kind: "wave_started"; readonly wave: number }
  /** Its targets have settled, or enough of them are healthy, and its gates are open. */
  | { readonly kind: "wave_finished"; readonly wave: number }
  /** The machine's assignment changes; the sequence of this row is its new generation. A null release removes the app. */
  | {
      readonly kind: "target_assigned";
      readonly machine: MachineId;
      readonly purpose: Purpose;
      readonly release: ReleaseId | null;
      readonly state: "updating" | "reverting";
      readonly reason: RolloutReason | null;
      /** What the machine goes back to, should the release fail. */
      readonly previous: ReleaseId | null;
      /** That is what stands for machines like it, as those that come late get it: nothing was good there. Default false. */
      readonly isPreviousAsLate?: boolean;
      /** It serves, and is told to go back. Default false. */
      readonly isTakenDown?: boolean;
    }
  /** To `pending`: it has its turn again. `runs`: the version that its agent says it runs, when it said. */
  | {
      readonly kind: "target_changed";
      readonly machine: MachineId;
      readonly state: TargetState;
      readonly reason: RolloutReason | null;
      readonly runs: string | null;
      /** Unreachable, and nobody waits for it from the first. Default false. */
      readonly isLetGo?: boolean;
      /** Of one that is skipped or removed. Default null. */
      readonly leftAs?: LeftAs;
    }
  /** An unreachable target is waited for no longer; that it, or one that has left, was lost, is excused. */
  | { readonly kind: "target_let_go"; readonly machine: MachineId; readonly why: LetGo }
  /** All that have failed have their turn again: one row, however many they are. */
  | { readonly kind: "targets_retried" }
  /** A person goes on without all that are waited for or lost: as `target_let_go` of each, in one row. */
  | { readonly kind: "targets_excused" }
  /** These are left to a newer deployment: as `target_changed` to skipped of each, in one row. */
  | { readonly kind: "targets_left"; readonly machines: readonly MachineId[]; readonly reason: RolloutReason }
  /** A machine that came later has its turn in the last wave; one that came after another of its name was removed, in the place of that. */
  | { readonly kind: "target_joined"; readonly target: PlannedTarget }
  /** All failures and silences of the wave that count are known from here on. How many there are is for readers. */
  | { readonly kind: "failures_acknowledged"; readonly wave: number; readonly failures: number; readonly unreachable: number; /** Silences count on. Default false. */ readonly areSilentLeft?: boolean; /** Nor do machines that were lost, and whose names others have by now. Default false. */ readonly isGoneExcused?: boolean }
  /** It goes no further, and this is why; null: nothing outside holds it. */
  | { readonly kind: "held"; readonly hold: Hold | null }
  /** All gates that are left are skipped. */
  | { readonly kind: "promoted" }
  | { readonly kind: "max_unavailable_changed"; readonly maxUnavailable: number }
  | GateChange
  | AlarmChange
  | { readonly kind: "phase_changed"; readonly phase: RolloutPhase; readonly reason: RolloutReason | null };

/** Where a change stands in the journal. */
export interface Stamp extends Moment {
  readonly seq: number;
}

/** The only function that changes a rollout. */
export function apply(state: RolloutState, change: RolloutChange, { seq, at: wall, attended }: Stamp): void {
  const at: Moment = { at: wall, attended };
  switch (change.kind) {
    case "start_approved":
      state.startApproved = true;
      return;
    case "rollout_started":
      adoptPlan(state, change.plan, at);
      state.phase = "rolling";
      state.reason = null;
      state.progressAt = attended;
      return;
    case "wave_started": {
      const wave = waveOf(state, change.wave);
      state.wave = change.wave;
      wave.startedAt = wall;
      state.progressAt = attended;
      addTurns(state, wave);
      endHold(state, at);
      return;
    }
    case "wave_finished":
      waveOf(state, change.wave).finishedAt = at;
      endHold(state, at);
      return;
    case "target_assigned": {
      const target = targetOf(state, change.machine);
      target.purpose = change.purpose;
      target.previous = change.previous;
      target.isPreviousAsLate = change.isPreviousAsLate === true;
      if (change.purpose === "update") target.takenDown = null;
      else if (change.isTakenDown === true) target.takenDown = "going";
      target.generation = seq as Generation;
      target.attempts += 1;
      if (change.purpose === "update" && target.firstTold === 0) target.firstTold = target.generation;
      moveTarget(state, target, change.state, change.reason, at);
      return;
    }
    case "target_changed": {
      const target = targetOf(state, change.machine);
      if (change.state === "healthy" || change.state === "reverted") state.progressAt = attended;
      if (change.state === "healthy") target.wasHealthy = true;
      if (change.state === "pending" || change.state === "skipped" || change.state === "removed") target.purpose = null;
      if (change.runs !== null) target.runs = change.runs;
      moveTarget(state, target, change.state, change.reason, at, change.leftAs);
      if (change.isLetGo === true) letGo(state, waveOf(state, target.wave), target, "tolerated");
      return;
    }
    case "target_let_go": {
      const target = targetOf(state, change.machine);
      letGo(state, waveOf(state, target.wave), target, change.why);
      return;
    }
    case "targets_retried":
      for (const target of failedTargets(state)) {
        target.purpose = null;
        moveTarget(state, target, "pending", null, at);
      }
      return;
    case "targets_excused":
      for (const target of outstanding(state)) letGo(state, waveOf(state, target.wave), target, "excused");
      return;
    case "targets_left":
      for (const machine of change.machines) {
        const target = targetOf(state, machine);
        target.purpose = null;
        moveTarget(state, target, "skipped", change.reason, at);
      }
      return;
    case "target_joined":
      join(state, change.target, at);
      return;
    case "failures_acknowledged":
      noteAcknowledged(state, waveOf(state, change.wave), change);
      return;
    case "held":
      if (change.hold === null) return endHold(state, at);
      if (change.hold.kind === "offline" && state.hold?.kind !== "offline") endHold(state, at);
      state.hold = { ...change.hold, until: change.hold.until ?? null, since: state.hold?.kind === change.hold.kind ? state.hold.since : at };
      return;
    case "promoted":
      state.promoted = true;
      return;
    case "max_unavailable_changed":
      state.maxUnavailable = change.maxUnavailable;
      return;
    case "gate_reached":
    case "gate_asked":
    case "gate_answered":
      applyGate(gateOf(state, change), change, at);
      return;
    case "gate_opened":
    case "gate_stopped":
      applyGate(gateOf(state, change), change, at);
      endHold(state, at);
      return;
    case "alarm_asked":
    case "alarm_answered":
      applyAlarm(state.alarms[change.alarm]!, change, at);
      return;
    case "phase_changed":
      if (change.phase === "rolling") for (const alarm of state.alarms) resetAlarm(alarm);
      state.phase = change.phase;
      if (change.phase === "rolling_back") state.beganBack = true;
      state.reason = change.reason;
      state.progressAt = attended;
      endHold(state, at);
      if (change.phase === "rolling_back") beginBack(state);
      return;
  }
}

/** Those whose way back failed in an earlier rollback try again, and what it showed counts no more. */
function beginBack(state: RolloutState): void {
  for (const { targets } of state.waves) {
    for (const target of targets) {
      if (isStuckBack(target)) target.purpose = null;
      target.takenDown = null;
    }
  }
  state.stuckBack.clear();
  state.cameBack.clear();
  aimBack(state);
}

function moveTarget(state: RolloutState, target: Target, to: TargetState, reason: RolloutReason | null, at: Moment, leftAs: LeftAs | null = null): void {
  const wave = waveOf(state, target.wave);
  if (isChangeOf(wave, to)) wave.changedAt = at;
  if (to === "pending" && takesItAnew(target)) Object.assign(target, { firstTold: 0, wasHealthy: false });
  target.reason = reason;
  target.since = at;
  target.takenDown = takenDownAfter(target, to);
  const isStillKnown = staysKnown(target, to, leftAs);
  noteKnown(wave, target, false);
  enterState(state, wave, target, to, leftAs);
  noteKnown(wave, target, isStillKnown);
  if ((to === "updating" || to === "reverting") && !isHeldBesideMoves(state)) endHoldByMove(state, at);
}

/** What a target that starts again had to do with the release before. A drain, or a silence, does not end that. */
function takesItAnew({ state }: Target): boolean {
  return state === "failed" || state === "updating" || state === "healthy";
}

function join(state: RolloutState, planned: PlannedTarget, at: Moment): void {
  leaveOutNoMore(state, planned.machine);
  const before = state.targets.get(planned.machine);
  if (before !== undefined) return succeed(state, before, planned, at);
  const wave = state.waves.at(-1) ?? emptyWave(state, at);
  const target = newTarget(state, planned, state.waves.length - 1, (wave.targets.at(-1)?.position ?? -1) + 1, at);
  wave.targets.push(target);
  wave.counts.pending += 1;
  wave.changedAt = at;
  addTurns(state, { targets: [target] });
}

/** One of its name was left out, and removed since. */
function leaveOutNoMore(state: RolloutState, machine: MachineId): void {
  if (!state.unchanged.has(machine)) return;
  state.unchanged = new Set([...state.unchanged].filter((each) => each !== machine));
  for (const those of Object.values(state.availability.leftOut)) those.delete(machine);
}

/** Nothing of the machine that was removed goes over to the one that takes its place. What it says of the release stays with the wave. */
function succeed(state: RolloutState, before: Target, planned: PlannedTarget, at: Moment): void {
  const { wave: index, position } = before;
  const wave = waveOf(state, index);
  if (before.leftAs === "failed") wave.goneFailed += 1;
  if (before.leftAs === "lost") wave.goneLost += 1;
  if (before.isKnown && before.leftAs === "failed") {
    wave.goneKnown += 1;
    wave.acknowledgedFailures += 1;
  }
  noteKnown(wave, before, false);
  leave(state, wave, before, null);
  const target = newTarget(state, planned, index, position, at);
  wave.targets[wave.targets.indexOf(before)] = target;
  wave.counts.removed -= 1;
  if (before.onTrial) wave.countsOnTrial.removed -= 1;
  wave.counts.pending += 1;
  if (isChangeOf(wave, target.state)) wave.changedAt = at;
  state.turns.giveBack(target);
}

/** From the moment at which nothing holds it any more, progress is expected again. */
function endHold(state: RolloutState, { attended }: Moment): void {
  if (state.hold === null) return;
  state.hold = null;
  state.progressAt = attended;
}

/** A target is on the move. Machines that are waited for, heard and lost again and again wind nothing up: what was left when the wait began is left after it. */
function endHoldByMove(state: RolloutState, at: Moment): void {
  const { hold, progressAt } = state;
  endHold(state, at);
  if (hold?.kind === "offline") state.progressAt = (progressAt + at.attended - Math.max(progressAt, hold.since.attended)) as Attended;
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

function gateOf(state: RolloutState, { wave, gate }: { readonly wave: number; readonly gate: number }) {
  const found = waveOf(state, wave).gates[gate];
  if (found === undefined) throw new Error(`${state.id} has no gate ${gate + 1} in wave ${wave + 1}`);
  return found;
}
