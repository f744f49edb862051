/**
 * An alarm of a rollout: asked again and again while the rollout goes forward, at its gates too. Nobody is told of the release before each of them has been quiet
 * once, nor after a gap before it has been so again, nor while an answer is overdue; one that goes off stops the rollout.
 */
import type { Instant } from "@muster/proto/ids.ts";
import type { Alarm } from "../plan/strategy.ts";
import { attendedSince, dueAt, type Moment } from "./moment.ts";
import { askedNextAt, type Asking, isSilent, noteAnswer, noteQuestion, type Repeatable, type Verdict } from "./asking.ts";

/** So much longer than the timeout a question may take: it waits for a place, and its answer for the disk. */
const LATE_MS = 5_000;

export interface AlarmState extends Asking {
  readonly alarm: Alarm;
  /** Answers `stop` in a row. */
  rung: number;
  /** It was quiet at least once since the rollout goes forward and somebody looks, or its silence is put up with. */
  isClear: boolean;
}

/** `alarm`: index into the strategy's. */
export type AlarmChange =
  | (Repeatable & { readonly kind: "alarm_asked"; readonly alarm: number; readonly attempt: number; /** Nobody had looked for a while: that it was quiet before counts no more. Default false. */ readonly isAnew?: boolean })
  | (Repeatable & { readonly kind: "alarm_answered"; readonly alarm: number; readonly attempt: number; readonly verdict: Verdict; readonly said: string });

export function quietAlarm(alarm: Alarm): AlarmState {
  return { alarm, attempts: 0, isAsked: false, askedAt: null, rung: 0, unanswered: 0, isClear: false, said: "", verdict: null };
}

/** The rollout goes forward again: what an alarm said before counts no more. */
export function resetAlarm(state: AlarmState): void {
  Object.assign(state, { ...quietAlarm(state.alarm), attempts: state.attempts });
}

export function applyAlarm(state: AlarmState, change: AlarmChange, at: Moment): void {
  if (change.kind === "alarm_asked") {
    if (change.isAnew === true) Object.assign(state, { isClear: false, said: state.rung > 0 ? state.said : "" });
    return noteQuestion(state, change.attempt, at);
  }
  const { verdict, said } = change;
  noteAnswer(state, verdict, said, at);
  if (verdict === "go") state.rung = 0;
  if (verdict === "stop") state.rung += 1;
  if (verdict === "go" || (isSilent(state, state.alarm) && state.alarm.onSilence === "go")) state.isClear = true;
}

/** Nothing follows from the answer that did not follow from the one before. */
export function repeatsAlarm(state: AlarmState, verdict: Verdict): boolean {
  if (verdict !== state.verdict) return false;
  switch (verdict) {
    case "go":
      return state.isClear && state.rung === 0;
    case "stop":
      return false;
    case "wait":
      return true;
    case "silent":
      return isSilent(state, state.alarm) && (state.isClear || state.alarm.onSilence !== "go");
  }
}

/** Those that were asked before are asked again, whether they have answered or not. That one was active counts on. */
export function askedAnew(alarms: readonly AlarmState[]): readonly AlarmChange[] {
  return alarms.flatMap(({ attempts }, alarm) => (attempts === 0 ? [] : [{ kind: "alarm_asked", alarm, attempt: attempts + 1, isAnew: true } as const]));
}

/** The first alarm that has gone off. */
export function ringing(alarms: readonly AlarmState[]): number | undefined {
  const index = alarms.findIndex((state) => state.rung > state.alarm.failureLimit || (isSilent(state, state.alarm) && state.alarm.onSilence === "stop"));
  return index < 0 ? undefined : index;
}

/** The first alarm that is to be asked now. */
export function dueAlarm(alarms: readonly AlarmState[], now: Moment): number | undefined {
  const index = alarms.findIndex((state) => !state.isAsked && now.at >= questionAt(state, now));
  return index < 0 ? undefined : index;
}

/** The first alarm whose answer is overdue, so that nobody knows how the release does. It has its time, and that of the question after it. */
export function overdueAlarm(alarms: readonly AlarmState[], now: Moment): number | undefined {
  const index = alarms.findIndex((state) => state.isAsked && state.askedAt !== null && attendedSince(state.askedAt, now) >= patienceMs(state));
  return index < 0 ? undefined : index;
}

/** When the next one is to be asked, or its answer is overdue; undefined: all are, or there are none. */
export function nextAlarmAt(alarms: readonly AlarmState[], now: Moment): Instant | undefined {
  let next: Instant | undefined;
  for (const state of alarms) {
    const at = state.isAsked ? overdueAt(state, now) : questionAt(state, now);
    if (at !== undefined && (next === undefined || at < next)) next = at;
  }
  return next;
}

function patienceMs({ alarm: { intervalMs, check } }: AlarmState): number {
  return intervalMs + check.timeoutMs + LATE_MS;
}

/** Undefined: it is. */
function overdueAt(state: AlarmState, now: Moment): Instant | undefined {
  const at = dueAt(state.askedAt ?? now, patienceMs(state), now);
  return at > now.at ? at : undefined;
}

function questionAt(state: AlarmState, now: Moment): Instant {
  return askedNextAt(state, state.alarm.intervalMs, now);
}
