/**
 * An alarm of a rollout: asked again and again while the rollout goes forward, at its gates too. Nobody is told of the release before each of them has been quiet
 * once; one that goes off stops the rollout.
 */
import type { Instant } from "@muster/proto/ids.ts";
import type { Alarm } from "../plan/strategy.ts";
import type { Verdict } from "./gates.ts";

export interface AlarmState {
  readonly alarm: Alarm;
  /** Questions asked. */
  attempts: number;
  /** A question is under way. */
  isAsked: boolean;
  /** Of the last question or answer; 0: it is to be asked at once. */
  askedAt: Instant;
  /** Answers `stop`, and questions without an answer, in a row. */
  rung: number;
  unanswered: number;
  /** It was quiet at least once since the rollout goes forward, or its silence is put up with. */
  isClear: boolean;
  /** The last answer. */
  said: string;
}

/** `alarm`: index into the strategy's. */
export type AlarmChange =
  | { readonly kind: "alarm_asked"; readonly alarm: number; readonly attempt: number }
  | { readonly kind: "alarm_answered"; readonly alarm: number; readonly attempt: number; readonly verdict: Verdict; readonly said: string };

export function quietAlarm(alarm: Alarm): AlarmState {
  return { alarm, attempts: 0, isAsked: false, askedAt: 0 as Instant, rung: 0, unanswered: 0, isClear: false, said: "" };
}

/** The rollout goes forward again: what an alarm said before counts no more. */
export function resetAlarm(state: AlarmState): void {
  Object.assign(state, { ...quietAlarm(state.alarm), attempts: state.attempts });
}

export function applyAlarm(state: AlarmState, change: AlarmChange, at: Instant): void {
  state.askedAt = at;
  state.isAsked = change.kind === "alarm_asked";
  if (change.kind === "alarm_asked") {
    state.attempts = change.attempt;
    return;
  }
  const { verdict, said } = change;
  state.said = said;
  state.unanswered = verdict === "silent" ? state.unanswered + 1 : 0;
  if (verdict === "go") state.rung = 0;
  if (verdict === "stop") state.rung += 1;
  if (verdict === "go" || (isSilent(state) && state.alarm.onSilence === "go")) state.isClear = true;
}

/** The first alarm that has gone off. */
export function ringing(alarms: readonly AlarmState[]): number | undefined {
  const index = alarms.findIndex((state) => state.rung > state.alarm.failureLimit || (isSilent(state) && state.alarm.onSilence === "stop"));
  return index < 0 ? undefined : index;
}

/** The first alarm that is to be asked now. */
export function dueAlarm(alarms: readonly AlarmState[], now: Instant): number | undefined {
  const index = alarms.findIndex((state) => !state.isAsked && now >= askedNextAt(state, now));
  return index < 0 ? undefined : index;
}

/** When the next one is to be asked; undefined: all are being asked, or there are none. */
export function nextAlarmAt(alarms: readonly AlarmState[], now: Instant): Instant | undefined {
  let next: Instant | undefined;
  for (const state of alarms) {
    const at = askedNextAt(state, now);
    if (!state.isAsked && (next === undefined || at < next)) next = at;
  }
  return next;
}

export function isSilent({ unanswered, alarm }: AlarmState): boolean {
  return unanswered > alarm.retries;
}

/** A question that lies ahead was asked before the clock was set back. */
function askedNextAt({ askedAt, alarm }: AlarmState, now: Instant): Instant {
  return (askedAt === 0 || askedAt > now ? 0 : askedAt + alarm.intervalMs) as Instant;
}
