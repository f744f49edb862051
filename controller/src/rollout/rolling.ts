/**
 * The way forward: from turn to turn and from wave to wave, through the gates.
 */
import type { Instant } from "@muster/proto/ids.ts";
import { counted } from "@muster/proto/text.ts";
import { letGoStep, lostStep, suspicionStep } from "./lost.ts";
import { isSuspicious } from "./suspicion.ts";
import { attendedSince, dueAt, later, type Moment } from "./moment.ts";
import type { RolloutChange } from "./change.ts";
import { waveOf } from "./change.ts";
import { nextQuestion } from "./asking.ts";
import { type AlarmState, dueAlarm, nextAlarmAt, overdueAlarm, ringing } from "./alarms.ts";
import { type GateState, measuredAnew, saidOfSkipped, soakOver, stepOf, whySkipped } from "./gates.ts";
import { endsAt, failuresOf, hasEnough, isAway, isDeserted, isLate, isWayBack, newCount, type RolloutReason, type RolloutState, type Target, type WaveState } from "./state.ts";
import { change, earlier, notBefore, type Pace, settlingHold, settlingStep, type Step, turnStep } from "./step.ts";
import type { Surroundings } from "./surroundings.ts";
import { hasLeftWith, isUnmatched } from "./evidence.ts";
import { activeAlarmReason, alarmText, awayText, cordonedOf, cordonedText, failuresReason, gateText, type Known, lostReason, nobodyMatches, nothingToDo, owedReason, owedText, progressReason, soakText, unansweredText, unreachableReason } from "./words.ts";

export function rollingStep(state: RolloutState, world: Surroundings, now: Moment): Step {
  if (isDeserted(state)) return change({ kind: "phase_changed", ...nothingToDo(state) });
  const tripped = tripReason(state) ?? alarmReason(state);
  if (tripped !== undefined) return change(onFailure(state, tripped));
  const due = dueAlarm(alarmsOf(state), now);
  if (due !== undefined) return change({ kind: "alarm_asked", alarm: due, ...nextQuestion(state.alarms[due]!) });
  const step = alarmStep(state, now) ?? forwardStep(state, world, now);
  const alarmAt = nextAlarmAt(alarmsOf(state), now);
  if (step.kind === "hold" && step.hold.kind === "reports" && isOwedTooLong(state, now) && !isWayBack(state)) return change(onFailure(state, owedReason(state, step.hold)));
  if (step.kind === "hold") return { ...step, until: earlier(step.until, alarmAt) };
  // A deployment of an older release is not given up because no machine can take it now.
  if (isLate(state, now) && !isWayBack(state) && !isPastWork(step)) return change(onFailure(state, isSuspicious(state) ? lostReason(state) : progressReason(state, waveOf(state, state.wave), knownOf(state, world))));
  if (step.kind === "change") return step;
  const until = earlier(step.until, alarmAt);
  return { kind: "wait", until: isWayBack(state) ? until : earlier(until, endsAt(state, now)) };
}

/** The agent's newest reason says more than the one noted when the target changed last. */
function knownOf({ app }: RolloutState, world: Surroundings): Known {
  return ({ machine, reason }) => world.said(machine, app) ?? reason;
}

/** Skipping the gates that are left skips the alarms, too. */
function alarmsOf({ promoted, alarms }: RolloutState): readonly AlarmState[] {
  return promoted ? [] : alarms;
}

/** Nobody has a turn, and nothing passes, before every alarm was quiet once, nor while the answer of one is overdue. */
function alarmStep(state: RolloutState, now: Moment): Step | undefined {
  const unclear = alarmsOf(state).findIndex(({ isClear }) => !isClear);
  const index = unclear < 0 ? overdueAlarm(alarmsOf(state), now) : unclear;
  if (index === undefined) return undefined;
  const isIdle = state.moving.size === 0;
  return isIdle ? { kind: "hold", hold: { kind: "alarm", message: alarmText(state, index) }, until: undefined } : { kind: "wait", until: undefined };
}

function alarmReason(state: RolloutState): RolloutReason | undefined {
  const index = ringing(alarmsOf(state));
  return index === undefined ? undefined : activeAlarmReason(state, index);
}

function forwardStep(state: RolloutState, world: Surroundings, now: Moment): Step {
  const known = letGoStep(state, now);
  if (known !== undefined) return known;
  const turn = isPendingInBegun(state) ? (suspicionStep(state, now) ?? withSoakAnew(state, turnStep(state, world, paceOf(state), now)) ?? settlingStep(state) ?? WAIT) : undefined;
  if (!hasEnough(waveOf(state, state.wave))) {
    if (turn !== undefined) return turn;
    if (state.moving.size > 0) return WAIT;
    return passStep(state, world, now);
  }
  // Targets beyond the threshold go on beside the gates, and come first.
  if (turn?.kind === "change") return turn;
  const step = passStep(state, world, now);
  if (step.kind === "change" || turn?.until === undefined) return step;
  return { ...step, until: step.until === undefined ? turn.until : earlier(step.until, turn.until) };
}

const WAIT: Step = { kind: "wait", until: undefined };

/** Passes the wave under way, which need not wait for any target on the move. */
function passStep(state: RolloutState, world: Surroundings, now: Moment): Step {
  const wave = waveOf(state, state.wave);
  if (wave.startedAt === null) return beginStep(state, state.wave, world, now);
  const lost = lostStep(state, now);
  if (lost !== undefined) return lost;
  if (wave.finishedAt !== null) return beginStep(state, state.wave + 1, world, now);
  return gateStep(state, wave, world, now) ?? owedStep(state, wave, world, now) ?? lastStep(state);
}

/** Waves before the current one have pending targets when machines came back. */
function isPendingInBegun({ waves, wave }: RolloutState): boolean {
  for (let index = 0; index <= wave; index += 1) {
    const { counts, startedAt } = waves[index]!;
    if (counts.pending > 0 && startedAt !== null) return true;
  }
  return false;
}

function beginStep(state: RolloutState, index: number, world: Surroundings, now: Moment): Step {
  const wave = waveOf(state, index);
  const before = index === 0 ? undefined : state.waves[index - 1];
  // Before its first wave nothing has happened to a rollout: the wait counts from its start.
  const after = before === undefined ? wave.changedAt : (before.finishedAt ?? now);
  const at = Math.max(wave.at ?? 0, wave.afterMs === 0 ? 0 : dueAt(after, wave.afterMs, now)) as Instant;
  if (state.promoted || now.at >= at) return (before === undefined ? undefined : owedStep(state, before, world, now)) ?? change({ kind: "wave_started", wave: index });
  return { kind: "hold", hold: { kind: "begin", message: notBefore(at, `wave ${index + 1} to begin`), until: at }, until: at };
}

function gateStep(state: RolloutState, wave: WaveState, world: Surroundings, now: Moment): Step | undefined {
  const index = wave.gates.findIndex((gate) => gate.state !== "open");
  const gate = wave.gates[index];
  if (gate === undefined) return undefined;
  const at = { wave: state.wave, gate: index } as const;
  if (state.promoted) return change({ kind: "gate_opened", ...at, said: saidOfSkipped("the deployment was promoted") });
  const stopped = wave.gates.findIndex((each) => each.state === "reached" && each.failed > 0 && stepOf(each, wave.changedAt, state.strategy.progressDeadlineMs, now).kind === "stop");
  if (stopped > index) return stopStep(state, stopped, wave.gates[stopped]!.said);
  const interrupted = wave.gates.findIndex((each) => isInterrupted(wave, each));
  if (interrupted >= 0) return change({ kind: "gate_reached", wave: state.wave, gate: interrupted }, ...(measuredAnew(gate) ? [{ kind: "gate_reached", ...at, isAnew: true } as const] : []));
  if (gate.state !== "reached") return change({ kind: "gate_reached", ...at });
  const away = awayStep(state, wave, gate);
  if (away !== undefined) return away;
  const step = stepOf(gate, wave.changedAt, state.strategy.progressDeadlineMs, now);
  switch (step.kind) {
    case "open":
      return unseenStep(state, wave, gate, now) ?? owedStep(state, wave, world, now) ?? unheardStep(state, wave, gate, world, now) ?? change({ kind: "gate_opened", ...at, said: isUnwatched(wave, gate) ? saidOfSkipped("no machine of the wave was healthy when it was over") : step.said });
    case "stop":
      return stopStep(state, index, step.said);
    case "ask":
      return change({ kind: "gate_asked", ...at, ...nextQuestion(gate) });
    case "wait":
      return { kind: "hold", hold: { kind: gate.gate.kind, message: gateText(state, gate, step.until), ...(gate.gate.kind === "soak" ? { until: step.until ?? null } : {}) }, until: step.until };
  }
}

function stopStep(state: RolloutState, gate: number, said: string): Step {
  const { kind } = waveOf(state, state.wave).gates[gate]!.gate;
  return change({ kind: "gate_stopped", wave: state.wave, gate, said }, onFailure(state, stoppedReason(state, kind, said)));
}

/** A soak has passed, another gate has not, and a target of the wave has changed since: the wave is not as it was any more. One that somebody skipped stays so. */
function isInterrupted({ changedAt }: WaveState, gate: GateState): boolean {
  return gate.gate.kind === "soak" && gate.state === "open" && gate.since !== null && changedAt.attended > gate.since.attended && whySkipped(gate) === undefined;
}

/** A target starts in the middle of a soak: the soak's patience, which is for targets that keep changing, begins anew. In a wave that need not wait for all, the soak goes on beside it. */
function withSoakAnew(state: RolloutState, step: Step | undefined): Step | undefined {
  const [first] = step?.kind === "change" ? step.changes : [];
  if (first?.kind !== "target_assigned") return step;
  const index = state.targets.get(first.machine)!.wave;
  const { gates, successThreshold } = waveOf(state, index);
  const gate = gates.findIndex(({ state: stands }) => stands !== "open");
  if (successThreshold !== null || gates[gate]?.gate.kind !== "soak" || gates[gate].state !== "reached") return step;
  return change(first, { kind: "gate_reached", wave: index, gate });
}

/** No target that the gate would watch still has the release: until one of them is back, excused or not, only a person opens the gate. A target that never took the release has left no soak unfinished. */
function awayStep(state: RolloutState, wave: WaveState, { gate }: GateState): Step | undefined {
  if (gate.kind === "approval" || newCount(wave, "healthy") > 0 || newCount(wave, "skipped") + newCount(wave, "unreachable") + newCount(wave, "removed") === 0) return undefined;
  const away = wave.targets.filter((target) => !target.onTrial && (isAway(target) || hasLeftWith(target)));
  return away.length === 0 ? undefined : { kind: "hold", hold: { kind: gate.kind, message: awayText(state, away) }, until: undefined };
}

/** A soak has shown nothing if no healthy target ran through it, which can be in a wave that need not wait for all. */
function unseenStep(state: RolloutState, wave: WaveState, { gate }: GateState, now: Moment): Step | undefined {
  if (gate.kind !== "soak" || wave.successThreshold === null || newCount(wave, "healthy") === 0) return undefined;
  const healthySince = wave.targets.filter(({ state: stands, onTrial }) => stands === "healthy" && !onTrial).map(({ since }) => since);
  const first = healthySince.reduce((a, b) => (b.attended < a.attended ? b : a));
  if (attendedSince(first, now) >= gate.forMs) return undefined;
  const until = dueAt(first, gate.forMs, now);
  return { kind: "hold", hold: { kind: "soak", message: soakText(state, until), until }, until };
}

/** A soak is over, and none of the targets that it watched is left. */
function isUnwatched({ counts }: WaveState, { gate }: GateState): boolean {
  return gate.kind === "soak" && counts.healthy === 0;
}

/** How often it is looked whether the last machine was heard, or has said all that it had to say. */
const UNHEARD_LOOK_MS = 500;

/** Of machines that owe reports so many are named. */
const OWING_NAMED_MAX = 3;

/** Reports were waited for until `progress_deadline`. Machines that send none would be lost: these are heard, and do not say how it goes. */
function isOwedTooLong({ hold, strategy }: RolloutState, now: Moment): boolean {
  return hold?.kind === "reports" && attendedSince(hold.since, now) >= strategy.progressDeadlineMs;
}

/** A machine that owes reports vouches for nothing: it may have failed since it said that it was healthy. In a wave that need not wait for all, enough others may do so. O(machines that owe any). */
function owedStep(state: RolloutState, wave: WaveState, world: Surroundings, now: Moment): Step | undefined {
  if (state.promoted) return undefined;
  const owing: Target[] = [];
  let ofWave = 0;
  for (const machine of world.owing()) {
    const target = state.targets.get(machine);
    if (target?.state !== "healthy" || world.isDrained(machine)) continue;
    owing.push(target);
    if (target.wave === state.wave && !target.onTrial) ofWave += 1;
  }
  if (owing.length === 0 || (wave.successThreshold !== null && newCount(wave, "healthy") - ofWave >= wave.successThreshold)) return undefined;
  return { kind: "hold", hold: { kind: "reports", message: owedText(owing.slice(0, OWING_NAMED_MAX), owing.length) }, until: later(now, UNHEARD_LOOK_MS).at };
}

/** A soak has shown nothing about a machine that was not heard since it was over: it may have gone in the middle of it; nor about one that is drained. O(targets of the wave), once for each look. */
function unheardStep(state: RolloutState, wave: WaveState, gate: GateState, world: Surroundings, now: Moment): Step | undefined {
  const over = soakOver(gate, wave.changedAt);
  if (over === undefined) return undefined;
  const unheard = wave.targets.find(({ state: stands, machine }) => stands === "healthy" && (world.isDrained(machine) || world.heardAt(machine) < over.attended));
  if (unheard === undefined) return undefined;
  return { kind: "hold", hold: { kind: "soak", message: `${unheard.machine} to be heard after the soak of wave ${state.wave + 1}` }, until: later(now, UNHEARD_LOOK_MS).at };
}

/** A rollout in which nobody has answered has shown nothing, and waits. */
function lastStep(state: RolloutState): Step {
  const finished = { kind: "wave_finished", wave: state.wave } as const;
  if (state.wave < state.waves.length - 1) return change(finished);
  const settling = settlingHold(state, [...state.availability.changing].filter((machine) => state.targets.get(machine)!.state === "failed"));
  if (settling !== undefined) return settling;
  if (!hasEvidence(state)) return cordonedStep(state) ?? unmatchedStep(state) ?? silentStep(state) ?? WAIT;
  const { phase, reason } = outcome(state);
  const ended = { kind: "phase_changed", phase, reason } as const;
  return phase === "succeeded" ? change(finished, ...acceptFailures(state), ended) : change(ended);
}

/** The machines that could show how the release does are cordoned: that says nothing of the release, and no deadline runs. */
function cordonedStep(state: RolloutState): Step | undefined {
  const cordoned = cordonedOf(state);
  return cordoned.length === 0 ? undefined : { kind: "hold", hold: { kind: "cordon", message: cordonedText(cordoned) }, until: undefined };
}

/** Nobody who is there could be told of the release, since nobody is heard: that says nothing of it either. */
function silentStep(state: RolloutState): Step | undefined {
  const message = unansweredText(state);
  if (message === undefined || state.waves.some(({ targets }) => targets.some(({ attempts, state: stands }) => attempts > 0 && stands !== "removed" && stands !== "skipped"))) return undefined;
  return { kind: "hold", hold: { kind: "offline", message }, until: undefined };
}

/** No target is left that could start: the last of them have other labels now. */
function unmatchedStep(state: RolloutState): Step | undefined {
  const isGone = (target: Target): boolean => target.state === "removed" || isUnmatched(target);
  return state.waves.every(({ targets }) => targets.every(isGone)) ? change({ kind: "phase_changed", ...nobodyMatches(state) }) : undefined;
}

/**
 * A wave in which every machine is silent holds nobody up, but has shown nothing either: until some machine has answered, those of later waves take
 * their turn one at a time.
 */
function paceOf(state: RolloutState): Pace {
  const { waves, wave } = state;
  const isTaken = isProvenElsewhere(state) || waves.slice(0, wave + 1).some((each) => newCount(each, "healthy") + failuresOf(each) - each.countsOnTrial.failed > 0);
  return wave === 0 || isTaken ? "window" : "one";
}

/** The release serves on a machine that is left out, since it ran the release already, and is still to run it. */
function isProvenElsewhere({ unchanged, availability: { leftOut } }: RolloutState): boolean {
  return unchanged.size > leftOut.changing.size + leftOut.down.size + leftOut.absent.size + leftOut.other.size;
}

/** Some machine has said how the release does there, or runs it already. */
function hasEvidence(state: RolloutState): boolean {
  return isProvenElsewhere(state) || state.waves.slice(0, state.wave + 1).some((wave) => wave.counts.healthy + failuresOf(wave) > 0);
}

function tripReason(state: RolloutState): RolloutReason | undefined {
  const { waves } = state;
  for (const [index, wave] of waves.entries()) {
    const { acknowledgedFailures, acknowledgedUnreachable, maxFailures, maxUnreachable } = wave;
    if (failuresOf(wave) - acknowledgedFailures > maxFailures) return failuresReason(state, index);
    if (maxUnreachable !== null && wave.counted - acknowledgedUnreachable > maxUnreachable) return unreachableReason(state, index);
  }
  return undefined;
}

function onFailure(state: RolloutState, reason: RolloutReason): RolloutChange {
  switch (state.strategy.onFailure) {
    case "rollback":
      return { kind: "phase_changed", phase: "rolling_back", reason };
    case "pause":
      return { kind: "phase_changed", phase: "paused", reason };
    case "abort":
      return { kind: "phase_changed", phase: "failed", reason };
  }
}

function stoppedReason(state: RolloutState, kind: string, said: string): RolloutReason {
  return { code: "gate_stopped", message: `the ${kind} gate of wave ${state.wave + 1} stopped it: ${said}` };
}

/** Failures that were allowed or acknowledged do not keep a rollout from succeeding, unless they are all that those show to which the release is new. */
function outcome({ waves }: RolloutState): { readonly phase: "succeeded" | "failed"; readonly reason: RolloutReason | null } {
  const sum = (count: (wave: WaveState) => number) => waves.reduce((total, wave) => total + count(wave), 0);
  const failed = sum(failuresOf);
  const failedNew = failed - sum(({ countsOnTrial }) => countsOnTrial.failed);
  const healthy = failedNew > 0 ? sum((wave) => newCount(wave, "healthy")) : sum(({ counts }) => counts.healthy);
  if (healthy > 0 || failed === 0) return { phase: "succeeded", reason: null };
  return { phase: "failed", reason: { code: "failures_exceeded", message: `it failed on each of ${counted(failedNew > 0 ? failedNew : failed, "machine")} that took it` } };
}

/** The failures that a rollout succeeded with count no more: only machines that come later can trip its tail. */
function acceptFailures(state: RolloutState): readonly RolloutChange[] {
  return state.waves.flatMap((of, wave) => {
    const failed = failuresOf(of);
    return failed > of.acknowledgedFailures ? [{ kind: "failures_acknowledged", wave, failures: failed, unreachable: of.counted } as const] : [];
  });
}

/** A step that ends or passes a wave starts nothing, and is never too late. */
function isPastWork(step: Step): boolean {
  return step.kind === "change" && step.changes.every(({ kind }) => kind !== "target_assigned" && kind !== "target_changed");
}
