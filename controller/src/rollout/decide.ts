/**
 * What one event means for one rollout. Pure; O(1) an event of a machine, O(targets) an order of a person.
 *
 * `decide` says what an event changes at once; `advance` (advance.ts) then says, step by step, what follows from the state. A report of an older
 * generation, a doubled timer or a late answer changes nothing.
 */
import type { Generation, MachineId } from "@muster/proto/ids.ts";
import type { Plan, PlannedTarget } from "../plan/plan.ts";
import { askedAnew, repeatsAlarm } from "./alarms.ts";
import { repeating, type Verdict } from "./asking.ts";
import type { RolloutChange } from "./change.ts";
import { decideCommand, type CommandEvent } from "./command.ts";
import { evidenceOf, runsAsLeft, wasLost } from "./evidence.ts";
import { measuredAnew, repeatsGate } from "./gates.ts";
import { type Heirs, leaveTo, onLeft, onLeftAgain, onOvertaken } from "./leave.ts";
import { type AgentPhase, isEnded, isMoving, isOvertaken, isSupersededBack, wentBack, type RolloutReason, type RolloutState, type Target, type TargetState } from "./state.ts";

export type RolloutEvent =
  | { readonly kind: "start"; readonly plan: Plan }
  | {
      readonly kind: "reported";
      readonly machine: MachineId;
      readonly generation: Generation;
      readonly phase: AgentPhase;
      readonly reason: RolloutReason | null;
      /** The version that runs there; empty: none; null: not said. */
      readonly runs: string | null;
    }
  /** Nothing heard from the machine for longer than the controller waits. */
  | { readonly kind: "fell_silent"; readonly machine: MachineId; readonly reason: RolloutReason }
  /** `answer`: the last that it said about what it is assigned now; undefined: nothing. `wasRenewed`: that has another generation than what it was told here. */
  | { readonly kind: "heard_again"; readonly machine: MachineId; readonly answer: AgentPhase | undefined; readonly wasRenewed: boolean }
  /** It has not given a final answer in its time. */
  | { readonly kind: "overdue"; readonly machine: MachineId; readonly generation: Generation; readonly reason: RolloutReason }
  /** Its labels match the selector of the deployment no longer, or again. */
  | { readonly kind: "unmatched"; readonly machine: MachineId; readonly reason: RolloutReason }
  | { readonly kind: "matched"; readonly machine: MachineId }
  /** A newer rollout of the app has machines among its targets, and has told them nothing yet. */
  | { readonly kind: "left"; readonly heirs: Heirs }
  /** A newer rollout of the app has told the machine something. */
  | { readonly kind: "overtaken"; readonly machine: MachineId; readonly reason: RolloutReason }
  /** The newer rollout that it was left to has told it nothing, and has ended, or lets it go: it is to go back. */
  | { readonly kind: "left_again"; readonly machine: MachineId }
  /** Another deployment decided about the machine after this one began, and that stands. */
  | { readonly kind: "decided_since"; readonly machine: MachineId; readonly reason: RolloutReason }
  /** Its agent remembers nothing of what it answered: its disk is another one. */
  | { readonly kind: "began_anew"; readonly machine: MachineId }
  /** What runs on the machine is stopped; it is cordoned. */
  | { readonly kind: "drained"; readonly machine: MachineId }
  /** It was drained while nobody drove the rollout, and is assigned what it ran before. */
  | { readonly kind: "given_back"; readonly machine: MachineId }
  /** Another deployment assigned it something while nobody drove the rollout. */
  | { readonly kind: "reassigned"; readonly machine: MachineId }
  /** Rollouts keep away from it. */
  | { readonly kind: "cordoned"; readonly machine: MachineId }
  | { readonly kind: "uncordoned"; readonly machine: MachineId }
  /** The machine is no part of the fleet any more. */
  | { readonly kind: "removed"; readonly machine: MachineId; readonly reason: RolloutReason; /** As `evidenceOf` has it. */ readonly leftWell: boolean; /** The version that runs there as the machine had said in answer to what it was assigned last; empty: nothing. Default null: it had not. */ readonly runs?: string | null }
  /** A machine came that the plan did not know, after the rollout had succeeded. */
  | { readonly kind: "joined"; readonly target: PlannedTarget }
  | {
      readonly kind: "gate_answered";
      readonly wave: number;
      readonly gate: number;
      readonly attempt: number;
      readonly verdict: Verdict;
      readonly said: string;
    }
  | { readonly kind: "alarm_answered"; readonly alarm: number; readonly attempt: number; readonly verdict: Verdict; readonly said: string }
  /** Nobody had looked for a while, and somebody does again. */
  | { readonly kind: "gap_over" }
  /** `heirs`: the machines of the newer one. Default: none. */
  | { readonly kind: "supersede"; readonly reason: RolloutReason; readonly heirs?: Heirs }
  | CommandEvent;

export function decide(state: RolloutState, event: RolloutEvent): readonly RolloutChange[] {
  switch (event.kind) {
    case "start":
      return [{ kind: "rollout_started", plan: event.plan }];
    case "reported":
      return onReport(state, event);
    case "fell_silent":
      return onSilence(state, event.machine, event.reason);
    case "heard_again":
      return onVoice(state, event);
    case "overdue":
      return onOverdue(state, event);
    case "unmatched":
      return onUnmatched(state, event.machine, event.reason);
    case "matched":
      return onBack(state, event.machine, "unmatched");
    case "left":
      return onLeft(state, event.heirs);
    case "overtaken":
      return onOvertaken(state, event.machine, event.reason);
    case "left_again":
      return onLeftAgain(state, event.machine);
    case "decided_since":
      return onDecidedSince(state, event);
    case "began_anew":
      return onBeganAnew(state, event.machine);
    case "drained":
      return onDrained(state, event.machine);
    case "given_back":
      return onGivenBack(state, event.machine);
    case "reassigned":
      return onReassigned(state, event.machine);
    case "cordoned":
      return onCordoned(state, event.machine);
    case "uncordoned":
      return onBack(state, event.machine, "cordoned");
    case "removed":
      return onRemoved(state, event);
    case "joined":
      return state.phase !== "succeeded" || isThere(state, event.target.machine) ? [] : [{ kind: "target_joined", target: event.target }];
    case "gate_answered":
      return onAnswer(state, event);
    case "alarm_answered":
      return onAlarm(state, event);
    case "gap_over":
      return onGapOver(state);
    case "supersede":
      return [{ kind: "phase_changed", phase: "superseded", reason: event.reason }, ...(event.heirs === undefined ? [] : leaveTo(state, event.heirs))];
    case "pause":
    case "resume":
    case "abort":
    case "rollback":
    case "approve":
    case "promote":
    case "retry":
    case "set_max_unavailable":
      return decideCommand(state, event);
  }
}

type Reported = Extract<RolloutEvent, { readonly kind: "reported" }>;

function onReport(state: RolloutState, { machine, generation, phase, reason, runs }: Reported): readonly RolloutChange[] {
  const target = state.targets.get(machine);
  if (target === undefined || target.purpose === null || generation !== target.generation) return [];
  // What becomes of a target after the end, where it stood, is what the release is like now (availability.ts), and no failure of those that come later.
  if ((state.phase === "succeeded" && target.state === "healthy") || (state.phase === "rolled_back" && target.state === "reverted" && !isStoppedByDrain(target))) return [];
  const to = startsAnew(state, target, phase) ? "updating" : targetStateOf(target, phase);
  if (to === undefined || (isMoving({ state: to }) && isOver(state))) return [];
  // A failure is known before it is known what runs afterwards.
  const isMore = to === "failed" && reason !== null && ((runs !== null && runs !== target.runs) || reason.message !== target.reason?.message);
  const isStarted = phase === "healthy" && target.state === "reverted" && isStoppedByDrain(target);
  if (to === target.state && !isMore && !isStarted) return [];
  return [{ kind: "target_changed", machine, state: to, reason: to === "failed" ? reason : failureOf(target), runs }];
}

/** A drain has stopped it on its way back: what it goes back to starts when that ends, and whether it can is not known. */
function isStoppedByDrain({ reason, runs, previous }: Target): boolean {
  return previous !== null && (reason?.code === "cordoned" || runs === "");
}

/** A healthy target is under way again: its host or its agent was restarted. */
function startsAnew(state: RolloutState, target: Target, phase: AgentPhase): boolean {
  return target.state === "healthy" && isWatched(state) && ["pulling", "staged", "activating", "probing"].includes(phase);
}

/** Undefined: the phase says nothing about where the target stands. A drain that stops what could not go back does not bring it back. */
export function targetStateOf(target: Pick<Target, "purpose" | "state" | "previous">, phase: AgentPhase): TargetState | undefined {
  const update = target.purpose === "update";
  switch (phase) {
    case "healthy":
      return update ? "healthy" : "reverted";
    case "removed":
      return update || (target.state === "failed" && target.previous !== null) ? undefined : "reverted";
    case "unhealthy":
    case "reverted":
    case "failed":
      return "failed";
    // The release has failed, whatever becomes of going back.
    case "reverting":
      return update ? "failed" : undefined;
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
  const code = target.reason?.code;
  return target.purpose === "revert" && code !== "silent" && code !== "not_taken" && code !== "cordoned" ? target.reason : null;
}

/** A healthy target may be lost, too, and because of the release. */
function onSilence(state: RolloutState, machine: MachineId, reason: RolloutReason): readonly RolloutChange[] {
  const target = state.targets.get(machine);
  if (target === undefined) return [];
  const isDrained = target.reason?.code === "cordoned" && target.attempts > 0;
  // The target had the release when it was drained, and has not said that it left it.
  if (isDrained && target.state === "skipped" && target.leftAs === null && reason.code === "silent" && !wentBack(state)) {
    return [{ kind: "target_changed", machine, state: "skipped", reason: target.reason, runs: null, leftAs: "lost" }];
  }
  const isSaidToBeBack = isDrained && target.state === "reverted";
  if (!(isMoving(target) || isSaidToBeBack || isOnTrialToStart(state, target) || (reason.code === "silent" && isToTakeItAgain(state, target)) || (target.state === "healthy" && isWatched(state)))) return [];
  return [{ kind: "target_changed", machine, state: "unreachable", reason, runs: null }];
}

/** The target runs the release already, by an earlier deployment, and is to be told of it in a wave that has begun: if it is lost now, it is lost with the release. */
function isOnTrialToStart({ phase, waves }: RolloutState, { onTrial, state, attempts, wave }: Target): boolean {
  return onTrial && state === "pending" && attempts === 0 && (phase === "rolling" || phase === "paused") && waves[wave]!.startedAt !== null;
}

/** The target took the release, was drained, and is used again: it has its turn again, and has answered nothing since. */
function isToTakeItAgain(state: RolloutState, { state: stands, firstTold }: Target): boolean {
  return isForward(state) && stands === "pending" && firstTold > 0;
}

/** In these phases the rollout's next step depends on which targets are still there. */
function isWatched({ phase }: RolloutState): boolean {
  return phase === "rolling" || phase === "paused" || phase === "rolling_back";
}

type HeardAgain = Extract<RolloutEvent, { readonly kind: "heard_again" }>;

function onVoice(state: RolloutState, { machine, answer, wasRenewed }: HeardAgain): readonly RolloutChange[] {
  const target = state.targets.get(machine);
  // A drained target that is heard again was not silenced for good by the release.
  if (target?.state === "skipped" && wasLost(target)) return [{ kind: "target_changed", machine, state: "skipped", reason: target.reason, runs: null }];
  if (target?.state !== "unreachable" || isOver(state)) return [];
  const to = stateWhenHeard(state, target, answer, wasRenewed);
  return [{ kind: "target_changed", machine, state: to, reason: failureOf(target), runs: null }, ...soakGoesOn(state, target)];
}

/** A target of the wave, or of one before, was waited for in the middle of a soak: that time is no part of the soak's patience, which is for targets that keep changing. */
function soakGoesOn({ phase, hold, wave, waves, strategy }: RolloutState, target: Target): readonly RolloutChange[] {
  const gate = (waves[wave]?.gates ?? []).findIndex(({ state }) => state !== "open");
  const { gate: asked, state, since } = waves[wave]?.gates[gate] ?? {};
  if (phase !== "rolling" || strategy.offline.kind !== "wait" || target.letGo !== null || asked?.kind !== "soak" || state !== "reached" || since === null || since === undefined) return [];
  // Others may have been waited for before it, and something else may have held the rollout meanwhile. What was left out for those that came back before is left out already.
  const waited = hold?.kind === "offline" && hold.since.attended < target.since.attended ? hold.since : target.since;
  return [{ kind: "gate_reached", wave, gate, waitedSince: waited.attended < since.attended ? since : waited }];
}

function stateWhenHeard({ phase, beganBack }: RolloutState, target: Target, answer: AgentPhase | undefined, wasRenewed: boolean): TargetState {
  const isBack = phase === "rolling_back" || phase === "rolled_back" || isSupersededBack({ phase, beganBack });
  if (target.purpose === null || wasRenewed) return isBack && target.attempts > 0 ? "failed" : "pending";
  return (answer === undefined ? undefined : targetStateOf(target, answer)) ?? underWay(target);
}

type Overdue = Extract<RolloutEvent, { readonly kind: "overdue" }>;

function onOverdue(state: RolloutState, { machine, generation, reason }: Overdue): readonly RolloutChange[] {
  const target = state.targets.get(machine);
  if (target === undefined || target.generation !== generation || !isMoving(target)) return [];
  return [{ kind: "target_changed", machine, state: "failed", reason, runs: null }];
}

/** The target is not to start, the first time or again. What it has taken counts, and is taken back with the others. */
function onUnmatched(state: RolloutState, machine: MachineId, reason: RolloutReason): readonly RolloutChange[] {
  const target = state.targets.get(machine);
  // A deployment of an older release goes to every machine that it was planned for.
  if (state.strategy.isWayBack === true || target === undefined || !isToStart(state, target) || target.reason?.code === "unmatched" || isLeftForGood(state, target)) return [];
  return [{ kind: "target_changed", machine, state: "skipped", reason, runs: null, ...leftLost(state, target) }];
}

/** A target that was lost with the release before its turn stays so, whatever keeps it from that turn. */
function leftLost(state: RolloutState, target: Target): { readonly leftAs?: "lost" } {
  return target.state === "unreachable" && evidenceOf(state.phase, target, false) === "lost" ? { leftAs: "lost" } : {};
}

/** The target waits to start, or is kept from it, and nothing that it says counts until then. */
function isToStart({ phase }: RolloutState, { state, attempts, purpose }: Target): boolean {
  const isSilentAtItsTurn = state === "unreachable" && purpose === null;
  if (attempts === 0) return state === "pending" || state === "skipped" || isSilentAtItsTurn;
  if (phase !== "rolling" && phase !== "paused" && phase !== "succeeded") return false;
  // A target that was drained with the release may still turn out to be lost, as long as that counts.
  return state === "pending" || isSilentAtItsTurn || (state === "skipped" && phase === "succeeded");
}

/** A target that is to start, or is kept from it, is left to the other deployment for good. */
function onDecidedSince(state: RolloutState, { machine, reason }: Extract<RolloutEvent, { readonly kind: "decided_since" }>): readonly RolloutChange[] {
  const target = state.targets.get(machine);
  if (target === undefined || target.purpose !== null || target.leftAs === "failed" || target.leftAs === "lost" || isOvertaken(target)) return [];
  if (target.state !== "pending" && target.state !== "unreachable" && target.state !== "skipped") return [];
  return [{ kind: "target_changed", machine, state: "skipped", reason, runs: null }];
}

/** A new instance of the agent has to say again how the target ended. */
function onBeganAnew(state: RolloutState, machine: MachineId): readonly RolloutChange[] {
  const target = state.targets.get(machine);
  if (target === undefined || !isWatched(state) || !(target.state === "healthy" || target.state === "reverted")) return [];
  return [{ kind: "target_changed", machine, state: underWay(target), reason: failureOf(target), runs: null }];
}

/**
 * A target on its way back will be back when the drain ends. One that is lost with what is taken back stays lost, and goes back when it is heard. A target on its way forward, or healthy in a wave that has not passed, is given back what it had, so that the
 * end of the drain starts nothing that nobody has called good; it starts again then. A deployment of an older release does not give the newer one back.
 */
function onDrained(state: RolloutState, machine: MachineId): readonly RolloutChange[] {
  const target = state.targets.get(machine);
  if (target === undefined) return [];
  if (target.state === "reverting") return [{ kind: "target_changed", machine, state: "reverted", reason: DRAINED, runs: null }];
  if (isToldAndSilent(target) && (state.phase === "rolling_back" || wentBack(state))) return [];
  const isUnproven = target.state === "healthy" && isForward(state) && state.waves[target.wave]?.finishedAt === null;
  if (target.state !== "updating" && !isUnproven && !isToldAndSilent(target)) return [];
  const skipped = skippedByDrain(state, target);
  if (state.strategy.isWayBack === true) return [skipped];
  const { previous, isPreviousAsLate } = target;
  return [{ kind: "target_assigned", machine, purpose: "revert", release: previous, state: "reverting", reason: null, previous, ...(isPreviousAsLate ? { isPreviousAsLate } : {}) }, skipped];
}

/** The drain has decided what the machine runs. The target starts again like any other that was drained. */
function onGivenBack(state: RolloutState, machine: MachineId): readonly RolloutChange[] {
  const target = state.targets.get(machine);
  if (target === undefined) return [];
  const isHealthy = target.state === "healthy" && isForward(state);
  return target.state === "updating" || isHealthy || isToldAndSilent(target) ? [skippedByDrain(state, target)] : [];
}

/** The machine was assigned something else, and reports about that. The target starts again, unless it had failed before. */
function onReassigned(state: RolloutState, machine: MachineId): readonly RolloutChange[] {
  const target = state.targets.get(machine);
  if (target === undefined || !isForward(state) || !(target.state === "updating" || target.state === "healthy" || isToldAndSilent(target))) return [];
  return [{ kind: "target_changed", machine, state: "pending", reason: null, runs: null }];
}

function skippedByDrain(state: RolloutState, target: Target): Extract<RolloutChange, { readonly kind: "target_changed" }> {
  const leftAs = evidenceOf(state.phase, target, true);
  return { kind: "target_changed", machine: target.machine, state: "skipped", reason: DRAINED, runs: null, ...(leftAs === null ? {} : { leftAs }) };
}

/** The rollout goes forward, or may again. */
function isForward({ phase }: RolloutState): boolean {
  return phase === "rolling" || phase === "paused";
}

/** Nobody waits for a machine that was unreachable when it was to start, and that rollouts keep away from now. */
function onCordoned(state: RolloutState, machine: MachineId): readonly RolloutChange[] {
  const target = state.targets.get(machine);
  if (target?.state !== "unreachable" || target.purpose !== null) return [];
  return [{ kind: "target_changed", machine, state: "skipped", reason: { code: "cordoned", message: "the machine is cordoned" }, runs: null, ...leftLost(state, target) }];
}

/** Nothing is awaited of a machine that was removed. That it failed, or was lost, with the release stays known: a program that removes dead machines must not hide what kills them. */
function onRemoved(state: RolloutState, { machine, reason, leftWell, runs = null }: Extract<RolloutEvent, { readonly kind: "removed" }>): readonly RolloutChange[] {
  const target = state.targets.get(machine);
  if (target === undefined || target.state === "removed") return [];
  const leftAs = evidenceOf(state.phase, target, leftWell);
  const changed = { kind: "target_changed", machine, state: "removed", reason, runs: runsAsLeft(target, runs) } as const;
  return [leftAs === null ? changed : { ...changed, leftAs }];
}

/** A target that was removed makes room for a new machine of its name. */
function isThere({ targets }: RolloutState, machine: MachineId): boolean {
  return (targets.get(machine)?.state ?? "removed") !== "removed";
}

/** The rollout can't go on again: neither a tail nor a retry needs to know which machines are there. */
function isOver({ phase, beganBack }: RolloutState): boolean {
  return isEnded(phase) && !isSupersededBack({ phase, beganBack }) && phase !== "succeeded" && phase !== "failed" && phase !== "rolled_back";
}

/** A lost target that was told the release: its next assignment has another generation, so what it says about this one counts for nothing. */
function isToldAndSilent({ state, purpose }: Target): boolean {
  return state === "unreachable" && purpose === "update";
}

/** The cordon or the labels that kept a target from starting do so no more. */
function onBack(state: RolloutState, machine: MachineId, from: "cordoned" | "unmatched"): readonly RolloutChange[] {
  const target = state.targets.get(machine);
  if (target?.state !== "skipped" || isLeftForGood(state, target)) return [];
  // The machine is uncordoned and still not heard: until it is, it is lost with what it took.
  if (target.leftAs === "lost") return [];
  const isUnmatched = target.reason?.code === "unmatched";
  if (isUnmatched !== (from === "unmatched")) return [];
  return [{ kind: "target_changed", machine, state: "pending", reason: null, runs: null }];
}

/** A tail asks again when the newer deployment ends without the target. A rollout that is retried does not. */
function isLeftForGood(state: RolloutState, target: Target): boolean {
  return isForward(state) && isOvertaken(target);
}

function underWay(target: Pick<Target, "purpose">): TargetState {
  return target.purpose === "revert" ? "reverting" : "updating";
}

function onAnswer(state: RolloutState, { wave, gate: index, attempt, verdict, said }: Extract<RolloutEvent, { readonly kind: "gate_answered" }>): readonly RolloutChange[] {
  const gate = state.waves[wave]?.gates[index];
  if (gate === undefined || gate.state !== "reached" || !gate.isAsked || gate.attempts !== attempt || isEnded(state.phase)) return [];
  return [{ kind: "gate_answered", wave, gate: index, attempt, verdict, said, ...repeating(repeatsGate(gate, verdict)) }];
}

function onAlarm(state: RolloutState, event: Extract<RolloutEvent, { readonly kind: "alarm_answered" }>): readonly RolloutChange[] {
  const alarm = state.alarms[event.alarm];
  if (state.phase !== "rolling" || alarm?.isAsked !== true || alarm.attempts !== event.attempt) return [];
  return [{ ...event, ...repeating(repeatsAlarm(alarm, event.verdict)) }];
}

/** What alarms and metrics said before says nothing of the time since. */
function onGapOver({ phase, promoted, alarms, waves, wave }: RolloutState): readonly RolloutChange[] {
  if (promoted || (phase !== "rolling" && phase !== "paused")) return [];
  const gate = waves[wave]?.gates.findIndex(measuredAnew) ?? -1;
  // One that is paused asks its alarms anew when it goes on.
  return [...(phase === "rolling" ? askedAnew(alarms) : []), ...(gate < 0 ? [] : [{ kind: "gate_reached", wave, gate, isAnew: true } as const])];
}

const DRAINED: RolloutReason = { code: "cordoned", message: "the machine was drained" };
