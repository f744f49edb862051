/**
 * What holds the gates of a planned wave, in words: what must come true before the next wave, in the order in which it is asked for.
 */
import { durationText } from "@muster/proto/duration.ts";
import type { Plan, PlannedWave } from "../plan/plan.ts";
import type { Alarm, Gate, OnSilence, PrometheusCheck, PrometheusGate, Strategy, WebhookGate } from "../plan/strategy.ts";
import { timeText } from "../rollout/words.ts";

/** Of a query or a URL. */
const SHOWN_MAX = 120;

/** `index`: of the wave in the plan. `passedOver`: so many of its machines are silent or cordoned, and not waited for. */
export function gateTexts({ waves }: Plan, index: number, strategy: Pick<Strategy, "minHealthyTimeMs">, passedOver: number): readonly string[] {
  const wave = waves[index]!;
  const next = waves[index + 1];
  return [healthyText(wave, strategy, passedOver), ...wave.gates.map((gate) => gateText(gate, wave)), ...(next === undefined ? [] : beginTexts(next, index + 1))];
}

/** When a wave may begin; `index`: of that wave. */
export function beginTexts({ at, afterMs }: Pick<PlannedWave, "at" | "afterMs">, index: number): readonly string[] {
  const since = index === 0 ? "the rollout began" : `wave ${index} was finished`;
  return [
    ...(afterMs > 0 ? [`not before ${durationText(afterMs)} after ${since} (after)`] : []),
    ...(at === null ? [] : [`not before ${timeText(at)} (at)`]),
  ];
}

function healthyText({ targets, maxFailures, successThreshold }: PlannedWave, { minHealthyTimeMs }: Pick<Strategy, "minHealthyTimeMs">, passedOver: number): string {
  if (successThreshold !== null) {
    const time = minHealthyTimeMs === 0 ? "" : ` for ${durationText(minHealthyTimeMs)} (min_healthy_time)`;
    const all = targets.filter(({ onTrial }) => onTrial !== true).length;
    return `${successThreshold} of ${all} are healthy${time}, while the others go on (success_threshold), or all have settled`;
  }
  const there = targets.length - passedOver;
  if (there === 0) return `${targets.length === 1 ? "it is" : `all ${targets.length} are`} passed over: silent or cordoned`;
  const beside = passedOver === 0 ? "" : `${there === 1 ? " that is" : " that are"} neither silent nor cordoned`;
  const all = there === 1 && passedOver === 0 ? "it is" : `${there === 1 ? "the one" : `all ${there}`}${beside} ${there === 1 ? "is" : "are"}`;
  const who = maxFailures === 0 ? all : `all but at most ${maxFailures} of ${there}${beside} are`;
  return minHealthyTimeMs === 0 ? `${who} healthy` : `${who} healthy for ${durationText(minHealthyTimeMs)} (min_healthy_time)`;
}

function gateText(gate: Gate, { successThreshold }: Pick<PlannedWave, "successThreshold">): string {
  switch (gate.kind) {
    case "soak":
      return `no machine of the wave ${successThreshold === null ? "changes" : "gets worse"} for ${durationText(gate.forMs)} (soak)`;
    case "approval":
      return "somebody approves";
    case "webhook":
      return webhookText(gate);
    case "prometheus":
      return prometheusText(gate);
  }
}

function webhookText({ url, timeoutMs, retries, onSilence }: WebhookGate): string {
  return `${shown(url)} says go (webhook; each answer within ${durationText(timeoutMs)}; ${silenceText(onSilence, retries)})`;
}

export function alarmText({ check, intervalMs, failureLimit, retries, onSilence }: Alarm): string {
  const holds = check.kind === "webhook" ? `${shown(check.url)} says go` : `${shown(check.query)} is ${limitsText(check)}`;
  const failures = failureLimit === 0 ? "the first answer otherwise stops it" : `more than ${failureLimit} answers otherwise in a row stop it`;
  return `${holds} (${check.kind}, every ${durationText(intervalMs)}; ${failures}; ${silenceText(onSilence, retries)})`;
}

function limitsText({ min, max }: PrometheusCheck): string {
  return [...(min === null ? [] : [`at least ${min}`]), ...(max === null ? [] : [`at most ${max}`])].join(" and ");
}

function prometheusText({ count, intervalMs, failureLimit, retries, onSilence, ...check }: PrometheusGate): string {
  const times = count === 1 ? "once" : `${count} times, ${durationText(intervalMs)} apart`;
  const failures = failureLimit === 0 ? "one measurement outside stops the rollout" : `more than ${failureLimit} measurements outside stop the rollout`;
  return `${shown(check.query)} is ${limitsText(check)}, ${times} (prometheus; ${failures}; ${silenceText(onSilence, retries)})`;
}

function silenceText(onSilence: OnSilence, retries: number): string {
  const unanswered = retries === 0 ? "a question without an answer" : `${retries + 1} questions in a row without an answer`;
  switch (onSilence) {
    case "stop":
      return `${unanswered} ${retries === 0 ? "stops" : "stop"} the rollout`;
    case "go":
      return `${unanswered} ${retries === 0 ? "counts" : "count"} as go`;
    case "wait":
      return "without an answer it waits";
  }
}

function shown(text: string): string {
  return text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX - 1)}…`;
}
