/**
 * The `rollout` of a valid file → the strategy that is planned and carried out.
 */
import { parseAppName } from "@muster/proto/ids.ts";
import type { Alarm, Check, Gate, Promotion, Strategy, WaveSpec, Window } from "../plan/strategy.ts";
import type { ValidFile } from "./schema.ts";

type ValidRollout = ValidFile["rollout"];
type ValidWave = Exclude<ValidRollout["waves"][number], { readonly kind: "count" | "percent" }>;
type ValidGate = ValidRollout["gates"][number];
type ValidAlarm = ValidRollout["alarms"][number];

export function toStrategy(rollout: ValidRollout): Strategy {
  return {
    targets: rollout.targets.text,
    alarms: rollout.alarms.map(toAlarm),
    waves: rollout.waves.map((wave) => ("kind" in wave ? toWave({ ...PLAIN, size: wave }, rollout.gates) : toWave(wave, rollout.gates))),
    maxUnavailable: rollout.max_unavailable,
    maxUnavailablePer: Object.entries(rollout.max_unavailable_per)
      .map(([label, max]) => ({ label, max }))
      .toSorted((a, b) => (a.label < b.label ? -1 : 1)),
    spread: rollout.spread ?? null,
    order: rollout.order ?? [],
    minHealthyTimeMs: rollout.min_healthy_time,
    healthyDeadlineMs: rollout.healthy_deadline,
    progressDeadlineMs: rollout.progress_deadline,
    maxFailures: rollout.max_failures,
    maxUnreachable: rollout.max_unreachable ?? null,
    offline: rollout.offline,
    lateJoiners: rollout.late_joiners,
    window: rollout.window === undefined ? null : toWindow(rollout.window),
    start: rollout.start,
    startAt: rollout.start_at ?? null,
    after: rollout.after === undefined ? null : toPromotion(rollout.after),
    priority: rollout.priority,
    onFailure: rollout.on_failure,
    onConflict: rollout.on_conflict,
  };
}

/** A wave of which nothing is said but its size. */
const PLAIN: ValidWave = { soak: 0, approve: false, after: 0, gates: [] };

function toWave(wave: ValidWave, everyWave: readonly ValidGate[]): WaveSpec {
  return {
    members: wave.size === undefined ? { kind: "selector", selector: wave.targets!.text } : { kind: "size", size: wave.size },
    gates: toGates(wave, everyWave),
    at: wave.at ?? null,
    afterMs: wave.after,
    maxFailures: wave.max_failures ?? null,
    maxUnreachable: wave.max_unreachable ?? null,
    successThreshold: wave.success_threshold ?? null,
  };
}

/** First what only needs time, then machines, then people: nobody is asked to approve what a metric will stop. */
function toGates(wave: ValidWave, everyWave: readonly ValidGate[]): readonly Gate[] {
  const asked = [...everyWave, ...wave.gates].map(toGate);
  return [
    ...(wave.soak > 0 ? [{ kind: "soak", forMs: wave.soak } as const] : []),
    ...asked.filter(({ kind }) => kind === "prometheus"),
    ...asked.filter(({ kind }) => kind === "webhook"),
    ...(wave.approve ? [{ kind: "approval" } as const] : []),
  ];
}

function toGate({ webhook, prometheus }: ValidGate): Gate {
  if (webhook !== undefined) {
    return {
      kind: "webhook",
      url: webhook.url,
      timeoutMs: webhook.timeout,
      retries: webhook.retries,
      retryIntervalMs: webhook.retry_interval,
      onSilence: webhook.on_silence,
    };
  }
  const { url, query, max = null, min = null, interval, timeout, count, failure_limit: failureLimit, retries, on_silence: onSilence } = prometheus!;
  return { kind: "prometheus", url, query, max, min, intervalMs: interval, timeoutMs: timeout, count, failureLimit, retries, onSilence };
}

function toAlarm(alarm: ValidAlarm): Alarm {
  const { interval: intervalMs, failure_limit: failureLimit, retries, on_silence: onSilence } = alarm.webhook ?? alarm.prometheus!;
  return { check: toCheck(alarm), intervalMs, failureLimit, retries, onSilence };
}

function toCheck({ webhook, prometheus }: ValidAlarm): Check {
  if (webhook !== undefined) return { kind: "webhook", url: webhook.url, timeoutMs: webhook.timeout };
  const { url, query, max = null, min = null, timeout: timeoutMs } = prometheus!;
  return { kind: "prometheus", url, query, max, min, timeoutMs };
}

function toWindow({ cron, duration, time_zone: timeZone }: NonNullable<ValidRollout["window"]>): Window {
  return { cron: cron.trim().split(/\s+/).join(" "), durationMs: duration, timeZone };
}

function toPromotion({ deployment_of: app, targets, soak }: NonNullable<ValidRollout["after"]>): Promotion {
  return { deploymentOf: parseAppName(app)!, targets: targets.text, soakMs: soak };
}
