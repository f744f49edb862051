/**
 * A strategy in words: in how many waves, how many at once, what a failure means, what it waits for. Pure.
 */
import { durationText } from "@muster/proto/duration.ts";
import { counted } from "@muster/proto/text.ts";
import type { Gate, OrderKey, Size, Strategy, WaveSpec } from "../plan/strategy.ts";
import { membersText } from "../plan/plan.ts";
import { sizeText } from "../plan/size.ts";
import { timeText } from "../rollout/words.ts";
import { listText } from "./words.ts";

const WAVES_SHOWN_MAX = 8;

export function strategyText(strategy: Strategy): string {
  const { waves, alarms, maxUnavailable, spread, maxUnavailablePer } = strategy;
  return [
    waves.length === 1 ? `it asks for one wave${gatesText(waves[0]!.gates)}` : `it asks for ${waves.length} waves (${wavesText(waves)})`,
    ...(alarms.length === 0 ? [] : [`${alarms.length === 1 ? "an alarm stops" : `${alarms.length} alarms stop`} it when active`]),
    `${amount(maxUnavailable)} unavailable at once`,
    ...(spread === null ? [] : [`one ${spread} at a time`]),
    ...maxUnavailablePer.map(({ label, max }) => `at most ${counted(max, "machine")} of one ${label} at once`),
    ...(strategy.order.length === 0 ? [] : [`in the order of ${listText(strategy.order.map(orderText), strategy.order.length)}`]),
    failureText(strategy),
    ...offlineText(strategy),
    ...(strategy.start === "manual" ? ["begins when somebody starts it"] : []),
    ...(strategy.window === null ? [] : [`starts only in its window (${strategy.window.cron}, ${strategy.window.timeZone}, ${durationText(strategy.window.durationMs)} long)`]),
    ...(strategy.priority === 0 ? [] : [`priority ${strategy.priority}`]),
  ].join("; ");
}

function wavesText(waves: readonly WaveSpec[]): string {
  const left = waves.length - WAVES_SHOWN_MAX;
  return `${waves.slice(0, WAVES_SHOWN_MAX).map(waveText).join(", then ")}${left > 0 ? `, and ${left} more` : ""}`;
}

function waveText(wave: WaveSpec): string {
  const time = [...(wave.at === null ? [] : [`not before ${timeText(wave.at)}`]), ...(wave.afterMs === 0 ? [] : [`${durationText(wave.afterMs)} after the one before`])];
  const enough = wave.successThreshold === null ? "" : ` until ${sizeText(wave.successThreshold)} of it are healthy`;
  return `${membersText(wave.members)}${enough}${time.length === 0 ? "" : ` ${time.join(" and ")}`}${gatesText(wave.gates)}`;
}

function gatesText(gates: readonly Gate[]): string {
  return gates.length === 0 ? "" : ` with ${listText(gates.map(gateText), gates.length)}`;
}

function gateText(gate: Gate): string {
  switch (gate.kind) {
    case "soak":
      return `a soak of ${durationText(gate.forMs)}`;
    case "approval":
      return "an approval";
    case "webhook":
      return "a webhook";
    case "prometheus":
      return "a metric";
  }
}

/** What machines are ordered by, in words. */
export function orderText(key: OrderKey): string {
  switch (key.kind) {
    case "id":
      return key.reversed ? "name (reversed)" : "name";
    case "label":
      return key.reversed ? `${key.label} (reversed)` : key.label;
    case "shuffle":
      return "a shuffle by release";
  }
}

function amount(size: Size): string {
  return size.kind === "count" ? `at most ${counted(size.count, "machine")}` : `at most ${sizeText(size)} of them`;
}

function failureText({ maxFailures, onFailure }: Strategy): string {
  const none = (maxFailures.kind === "count" ? maxFailures.count : maxFailures.percent) === 0;
  const when = none ? "if any machine fails" : `if more than ${sizeText(maxFailures)} of a wave fail`;
  switch (onFailure) {
    case "rollback":
      return `${when}, all that were changed go back`;
    case "pause":
      return `${when}, it pauses`;
    case "abort":
      return `${when}, it stops and leaves all as it is`;
  }
}

function offlineText({ offline, maxUnreachable }: Strategy): readonly string[] {
  const limit = maxUnreachable === null ? [] : [`no more than ${sizeText(maxUnreachable)} of a wave may be silent`];
  if (offline.kind === "skip") return limit;
  return [`silent machines are waited for${offline.forMs === null ? "" : `, at most ${durationText(offline.forMs)} a wave`}`, ...limit];
}
