/**
 * What a gate or an alarm asks the world outside: the rollout as it stands.
 */
import type { Asker, Question, Verdict } from "../gates/verdict.ts";
import type { Check } from "../plan/strategy.ts";
import type { RolloutChange } from "../rollout/change.ts";
import type { RolloutEvent } from "../rollout/decide.ts";
import { emptyCounts, type RolloutState, TARGET_STATES } from "../rollout/state.ts";
import type { Attendance } from "./attendance.ts";

export function askerOf(change: Extract<RolloutChange, { readonly kind: "gate_asked" | "alarm_asked" }>): Asker {
  return change.kind === "gate_asked" ? { kind: "gate", wave: change.wave, gate: change.gate } : { kind: "alarm", alarm: change.alarm };
}

/** Whose answer is waited for, whatever comes in between: alarms and metrics are asked anew after each gap. */
export function askersOf({ waves, wave }: RolloutState): readonly Asker[] {
  const gate = waves[wave]?.gates.findIndex(({ isAsked, gate: { kind } }) => isAsked && kind === "webhook") ?? -1;
  return gate < 0 ? [] : [{ kind: "gate", wave, gate }];
}

/**
 * Silence is what was not said while the controller listened. A question that found no answer over a time in which it was held up is asked again, as the same one, and counts as nothing; so it
 * is asked at most once more than there were such times.
 */
export async function askListening(question: Question, ask: (question: Question) => Promise<Verdict>, attendance: Attendance): Promise<Verdict> {
  for (;;) {
    const since = attendance.now();
    const verdict = await ask(question);
    if (verdict.kind !== "silent" || !attendance.wasHeldUpSince(since)) return verdict;
  }
}

/** Undefined: it is gone, or asks nobody outside. */
export function questionOf(state: RolloutState, asker: Asker): Question | undefined {
  const asked = checkOf(state, asker);
  if (asked === undefined) return undefined;
  const { id: deployment, app, release, waves, wave } = state;
  const counts = emptyCounts();
  for (const each of waves) for (const name of TARGET_STATES) counts[name] += each.counts[name];
  return { ...asked, asker, deployment, app, version: release.slice(app.length + 1), wave: wave + 1, waves: waves.length, counts };
}

export function answerOf({ asker, attempt }: Question, { kind: verdict, detail: said }: Verdict): RolloutEvent {
  const answer = { attempt, verdict, said };
  return asker.kind === "gate"
    ? { kind: "gate_answered", wave: asker.wave, gate: asker.gate, ...answer }
    : { kind: "alarm_answered", alarm: asker.alarm, ...answer };
}

function checkOf({ waves, alarms }: RolloutState, asker: Asker): { readonly check: Check; readonly attempt: number } | undefined {
  if (asker.kind === "alarm") {
    const state = alarms[asker.alarm];
    return state === undefined ? undefined : { check: state.alarm.check, attempt: state.attempts };
  }
  const state = waves[asker.wave]?.gates[asker.gate];
  if (state === undefined) return undefined;
  const { gate, attempts: attempt } = state;
  return gate.kind === "webhook" || gate.kind === "prometheus" ? { check: gate, attempt } : undefined;
}
