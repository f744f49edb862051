/**
 * The way forward: from turn to turn and from wave to wave, through the gates.
 */
import { durationText } from "@muster/proto/duration.ts";
import type { Instant } from "@muster/proto/ids.ts";
import type { RolloutChange } from "./change.ts";
import { waveOf } from "./change.ts";
import { type AlarmState, dueAlarm, nextAlarmAt, ringing } from "./alarms.ts";
import { stepOf } from "./gates.ts";
import { endsAt, hasEnough, isDeserted, type RolloutReason, type RolloutState, type WaveState } from "./state.ts";
import { change, notBefore, type Step, turnStep } from "./step.ts";
import type { Surroundings } from "./surroundings.ts";
import { activeAlarmReason, alarmText, failuresReason, gateText, machines, names, nothingToDo, progressReason, some, unreachableReason } from "./words.ts";

export function rollingStep(state: RolloutState, world: Surroundings, now: Instant): Step {
  if (isDeserted(state)) return change({ kind: "phase_changed", ...nothingToDo(state) });
  const tripped = tripReason(state) ?? alarmReason(state);
  if (tripped !== undefined) return change(onFailure(state, tripped));
  const due = dueAlarm(alarmsOf(state), now);
  if (due !== undefined) return change({ kind: "alarm_asked", alarm: due, attempt: state.alarms[due]!.attempts + 1 });
  const step = alarmStep(state) ?? forwardStep(state, world, now);
  const alarmAt = nextAlarmAt(alarmsOf(state), now);
  if (step.kind === "hold") return { ...step, until: earlier(step.until, alarmAt) };
  // After a hold the clock begins anew with the first start.
  const isLate = state.hold === null && now >= endsAt(state);
  if (isLate && !isPastWork(step)) return change(onFailure(state, progressReason(state, waveOf(state, state.wave))));
  return step.kind === "wait" ? { kind: "wait", until: earlier(earlier(step.until, alarmAt), endsAt(state)) } : step;
}

/** Whoever skips the gates that are left skips its alarms, too. */
function alarmsOf({ promoted, alarms }: RolloutState): readonly AlarmState[] {
  return promoted ? [] : alarms;
}

/** Nobody has a turn before every alarm was quiet once. */
function alarmStep(state: RolloutState): Step | undefined {
  const index = alarmsOf(state).findIndex(({ isClear }) => !isClear);
  if (index < 0) return undefined;
  const isIdle = state.moving.size === 0;
  return isIdle ? { kind: "hold", hold: { kind: "alarm", message: alarmText(state, index) }, until: undefined } : { kind: "wait", until: undefined };
}

function alarmReason(state: RolloutState): RolloutReason | undefined {
  const index = ringing(alarmsOf(state));
  return index === undefined ? undefined : activeAlarmReason(state, index);
}

function forwardStep(state: RolloutState, world: Surroundings, now: Instant): Step {
  const turn = isPendingInBegun(state) ? (turnStep(state, world, updateWindow(state), now) ?? WAIT) : undefined;
  if (!hasEnough(waveOf(state, state.wave))) {
    if (turn !== undefined) return turn;
    if (state.moving.size > 0) return WAIT;
    return passStep(state, now);
  }
  // The others go on beside the gates, and have their turn first.
  if (turn?.kind === "change") return turn;
  const step = passStep(state, now);
  if (step.kind === "change" || turn?.until === undefined) return step;
  return { ...step, until: step.until === undefined ? turn.until : earlier(step.until, turn.until) };
}

const WAIT: Step = { kind: "wait", until: undefined };

/** On from the wave under way, which need not wait for anybody on the move. */
function passStep(state: RolloutState, now: Instant): Step {
  const wave = waveOf(state, state.wave);
  if (wave.startedAt === null) return beginStep(state, state.wave, now);
  if (wave.finishedAt !== null) return beginStep(state, state.wave + 1, now);
  return offlineStep(state, wave, now) ?? gateStep(state, wave, now) ?? lastStep(state);
}

/** Waves before the current one have pending targets when machines came back. */
function isPendingInBegun({ waves, wave }: RolloutState): boolean {
  for (let index = 0; index <= wave; index += 1) {
    const { counts, startedAt } = waves[index]!;
    if (counts.pending > 0 && startedAt !== null) return true;
  }
  return false;
}

function beginStep(state: RolloutState, index: number, now: Instant): Step {
  const wave = waveOf(state, index);
  const before = index === 0 ? undefined : state.waves[index - 1];
  // Nothing has happened to a rollout before its first wave: its clock began when it did.
  const after = before === undefined ? wave.changedAt : (before.finishedAt ?? now);
  const at = Math.max(wave.at ?? 0, wave.afterMs === 0 ? 0 : after + wave.afterMs) as Instant;
  if (state.promoted || now >= at) return change({ kind: "wave_started", wave: index });
  return { kind: "hold", hold: { kind: "begin", message: notBefore(at, `wave ${index + 1} to begin`) }, until: at };
}

function offlineStep(state: RolloutState, wave: WaveState, now: Instant): Step | undefined {
  const { offline } = state.strategy;
  const { unreachable } = wave.counts;
  if (offline.kind === "skip" || wave.waitedOut || unreachable === 0 || state.promoted || hasEnough(wave)) return undefined;
  const until = state.hold?.kind === "offline" && offline.forMs !== null ? ((state.hold.since + offline.forMs) as Instant) : undefined;
  if (until !== undefined && now >= until) return change({ kind: "offline_passed", wave: state.wave });
  const silent = names(some(wave, "unreachable", 3), unreachable);
  const message = `${silent} to be heard from (offline: ${offline.forMs === null ? "wait" : `wait:${durationText(offline.forMs)}`})`;
  // Asked once more right after the hold has begun, and then the end of it is known.
  return { kind: "hold", hold: { kind: "offline", message }, until };
}

function gateStep(state: RolloutState, wave: WaveState, now: Instant): Step | undefined {
  const index = wave.gates.findIndex((gate) => gate.state !== "open");
  const gate = wave.gates[index];
  if (gate === undefined) return undefined;
  const at = { wave: state.wave, gate: index } as const;
  if (state.promoted) return change({ kind: "gate_opened", ...at, said: "skipped: the deployment was promoted" });
  if (gate.state !== "reached") return change({ kind: "gate_reached", ...at });
  const step = stepOf(gate, wave.changedAt, state.strategy.progressDeadlineMs, now);
  switch (step.kind) {
    case "open":
      return change({ kind: "gate_opened", ...at, said: step.said });
    case "stop":
      return change({ kind: "gate_stopped", ...at, said: step.said }, onFailure(state, stoppedReason(state, gate.gate.kind, step.said)));
    case "ask":
      return change({ kind: "gate_asked", ...at, attempt: gate.attempts + 1 });
    case "wait":
      return { kind: "hold", hold: { kind: gate.gate.kind, message: gateText(state, gate, step.until) }, until: step.until };
  }
}

/** A rollout in which nobody has answered has shown nothing, and waits. */
function lastStep(state: RolloutState): Step {
  const finished = { kind: "wave_finished", wave: state.wave } as const;
  if (state.wave < state.waves.length - 1) return change(finished);
  if (!hasEvidence(state)) return { kind: "wait", until: undefined };
  const { phase, reason } = outcome(state);
  const ended = { kind: "phase_changed", phase, reason } as const;
  return phase === "succeeded" ? change(finished, ...acceptFailures(state), ended) : change(ended);
}

/**
 * A wave in which every machine is silent holds nobody up, but has shown nothing either: until some machine has answered, those of later waves take
 * their turn one at a time.
 */
function updateWindow(state: RolloutState): number {
  return state.wave === 0 || hasEvidence(state) ? state.maxUnavailable : 1;
}

/** Some machine has said how the release does there. */
function hasEvidence({ waves, wave }: RolloutState): boolean {
  for (let index = 0; index <= wave; index += 1) {
    const { healthy, failed } = waves[index]!.counts;
    if (healthy + failed > 0) return true;
  }
  return false;
}

function tripReason(state: RolloutState): RolloutReason | undefined {
  const { waves } = state;
  for (const [index, { counts, acknowledgedFailures, acknowledgedUnreachable, maxFailures, maxUnreachable }] of waves.entries()) {
    if (counts.failed - acknowledgedFailures > maxFailures) return failuresReason(state, index);
    if (maxUnreachable !== null && counts.unreachable - acknowledgedUnreachable > maxUnreachable) return unreachableReason(state, index);
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

/** Failures that were allowed or acknowledged do not keep a rollout from succeeding, unless they are all there is. */
function outcome(state: RolloutState): { readonly phase: "succeeded" | "failed"; readonly reason: RolloutReason | null } {
  const sum = (name: "healthy" | "failed") => state.waves.reduce((counted, { counts }) => counted + counts[name], 0);
  if (sum("healthy") > 0 || sum("failed") === 0) return { phase: "succeeded", reason: null };
  return { phase: "failed", reason: { code: "failures_exceeded", message: `it failed on each of ${machines(sum("failed"))} that took it` } };
}

/** What a rollout succeeded with is known: only machines that come later can trip its tail. */
function acceptFailures({ waves }: RolloutState): readonly RolloutChange[] {
  return waves.flatMap(({ counts: { failed, unreachable }, acknowledgedFailures }, wave) =>
    failed > acknowledgedFailures ? [{ kind: "failures_acknowledged", wave, failures: failed, unreachable } as const] : [],
  );
}

/** What ends or passes a wave is no start, and never too late. */
function isPastWork(step: Step): boolean {
  return step.kind === "change" && step.changes.every(({ kind }) => kind !== "target_assigned" && kind !== "target_changed");
}

function earlier(a: Instant | undefined, b: Instant | undefined): Instant | undefined {
  return a === undefined || (b !== undefined && b < a) ? b : a;
}
