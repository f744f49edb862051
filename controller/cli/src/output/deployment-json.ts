/**
 * Deployments in `-o json`. Once released, a key keeps its name and its meaning.
 */
import type { Reason } from "@muster/proto/gen/muster/v1/agent.ts";
import type { Alarm, Deployment, DeploymentNow, Gate, Outstanding, Remedies, Target, TargetCounts, Wave } from "@muster/proto/gen/muster/v1/deployments.ts";
import { countsOf } from "./counts.ts";
import { isoOrNull, textOrNull, type Json } from "./json.ts";
import { alarmStateWord, appPhaseWord, gateStateWord, phaseWord, targetStateWord, wavePhaseWord } from "./words.ts";

/** `status`, `watch`, `list` and the steering commands. */
export function deploymentJson(deployment: Deployment): { readonly [key: string]: Json } {
  return {
    id: deployment.id,
    app: deployment.app,
    version: deployment.version,
    phase: phaseWord(deployment.phase),
    reason: reasonJson(deployment.reason),
    waiting_on: textOrNull(deployment.waitingOn),
    waves: deployment.waves.map(waveJson),
    counts: countsJson(deployment.counts),
    targets_selector: deployment.targetsSelector,
    submitted_at: isoOrNull(deployment.submittedAt),
    started_at: isoOrNull(deployment.startedAt),
    ended_at: isoOrNull(deployment.endedAt),
    max_unavailable: deployment.maxUnavailable,
    priority: deployment.priority,
    awaits_start: deployment.awaitsStart,
    promoted: deployment.promoted,
    alarms: deployment.alarms.map(alarmJson),
    outcome: textOrNull(deployment.outcome),
    outstanding_count: deployment.outstanding?.count ?? 0,
    outstanding: outstandingJson(deployment.outstanding),
    overtaken_count: deployment.overtaken?.count ?? 0,
    overtaken: outstandingJson(deployment.overtaken),
    now: nowJson(deployment.now),
    under_way: deployment.underWay,
    remedies: remediesJson(deployment.remedies),
  };
}

function outstandingJson(outstanding: Outstanding | undefined): Json {
  return (outstanding?.machines ?? []).map(({ machine, state, text }) => ({ machine, state: targetStateWord(state), text }));
}

function remediesJson(remedies: Remedies | undefined): Json {
  return remedies === undefined ? null : { rollback: remedies.rollback, rollback_to: textOrNull(remedies.rollbackTo), retry: remedies.retry };
}

function nowJson(now: DeploymentNow | undefined): Json {
  if (now === undefined) return null;
  const { machines, healthy, bad, text, lateWaitsFor } = now;
  return { machines, healthy, bad, text: textOrNull(text), late_waits_for: textOrNull(lateWaitsFor) };
}

/** `status --targets` */
export function deploymentWithTargetsJson(deployment: Deployment): Json {
  return { ...deploymentJson(deployment), targets: deployment.targets.map(targetJson) };
}

/** `deploy` */
export function submittedJson(deployment: Deployment, notes: readonly string[]): Json {
  const { id, app, version, artifact, phase } = deployment;
  return { id, app, version, artifact, phase: phaseWord(phase), notes };
}

export function reasonJson(reason: Reason | undefined): Json {
  if (reason === undefined || reason.code === "") return null;
  return { code: reason.code, message: reason.message };
}

function waveJson(wave: Wave): Json {
  return {
    index: wave.index,
    size: wave.size,
    phase: wavePhaseWord(wave.phase),
    counts: countsJson(wave.counts),
    members: wave.members,
    gates: wave.gates.map(gateJson),
    begins_at: isoOrNull(wave.beginsAt),
    max_failures: wave.maxFailures,
    max_unreachable: wave.maxUnreachable ?? null,
    success_threshold: wave.successThreshold ?? null,
    success_threshold_of: wave.successThreshold === undefined || wave.successThresholdOf === 0 ? null : wave.successThresholdOf,
  };
}

function gateJson({ kind, state, asks, said, since, endsAt }: Gate): Json {
  return { kind, state: gateStateWord(state), asks, said: textOrNull(said), since: isoOrNull(since), ends_at: isoOrNull(endsAt) };
}

function alarmJson({ kind, state, asks, said, askedAt }: Alarm): Json {
  return { kind, state: alarmStateWord(state), asks, said: textOrNull(said), asked_at: isoOrNull(askedAt) };
}

function countsJson(counts: TargetCounts | undefined): Json {
  const { total, pending, updating, healthy, failed, unreachable, reverting, reverted, unchanged, skipped, removed } = countsOf(counts);
  return { total, pending, updating, healthy, failed, unreachable, reverting, reverted, unchanged, skipped, removed };
}

function targetJson(target: Target): Json {
  return {
    machine: target.machine,
    wave: target.wave,
    state: targetStateWord(target.state),
    generation: target.generation,
    since: isoOrNull(target.since),
    attempts: target.attempts,
    reason: reasonJson(target.reason),
    app_phase: appPhaseWord(target.appPhase),
    previous_version: textOrNull(target.previousVersion),
    running_version: textOrNull(target.runningVersion),
    now: textOrNull(target.now),
  };
}
