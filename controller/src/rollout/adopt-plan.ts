/** From a plan to the waves and targets of a rollout. */
import type { Generation } from "@muster/proto/ids.ts";
import type { Plan, PlannedTarget } from "../plan/plan.ts";
import { pendingGate } from "./gates.ts";
import type { Moment } from "./moment.ts";
import { emptyCounts, type RolloutState, type Target, type WaveState } from "./state.ts";

/** Gives a rollout its plan; every target is pending. */
export function adoptPlan(state: RolloutState, plan: Plan, at: Moment): void {
  state.unchanged = new Set(plan.unchanged);
  state.maxUnavailable = plan.maxUnavailable;
  state.lanes = plan.lanes;
  state.waves = plan.waves.map(({ members, targets, gates, at: beginsAt, afterMs, maxFailures, maxUnreachable, successThreshold }, wave) => ({
    members,
    targets: targets.map((planned, position) => newTarget(state, planned, wave, position, at)),
    counts: { ...emptyCounts(), pending: targets.length },
    countsOnTrial: { ...emptyCounts(), pending: targets.filter(({ onTrial }) => onTrial === true).length },
    gates: gates.map(pendingGate),
    at: beginsAt,
    afterMs,
    maxFailures,
    maxUnreachable,
    successThreshold,
    ...untouched(at),
  }));
}

/** For a rollout that had nobody to change: a machine has joined it. */
export function emptyWave(state: RolloutState, at: Moment): WaveState {
  const wave: WaveState = {
    members: "100%",
    targets: [],
    counts: emptyCounts(),
    countsOnTrial: emptyCounts(),
    gates: [],
    at: null,
    afterMs: 0,
    maxFailures: 0,
    maxUnreachable: null,
    successThreshold: null,
    ...untouched(at),
    startedAt: at.at,
    finishedAt: at,
  };
  state.waves.push(wave);
  return wave;
}

/** What becomes of a wave, before anything has. */
function untouched(at: Moment) {
  return {
    acknowledgedFailures: 0,
    acknowledgedUnreachable: 0,
    startedAt: null,
    finishedAt: null,
    changedAt: at,
    awaited: new Set<Target>(),
    counted: 0,
    lost: 0,
    lostOnTrial: 0,
    leftFailed: 0,
    goneFailed: 0,
    goneLost: 0,
    goneKnown: 0,
  };
}

export function newTarget(state: RolloutState, { machine, lane, onTrial = false }: PlannedTarget, wave: number, position: number, at: Moment): Target {
  const target: Target = {
    machine,
    wave,
    position,
    lane,
    onTrial,
    previous: null,
    isPreviousAsLate: false,
    takenDown: null,
    state: "pending",
    purpose: null,
    generation: 0 as Generation,
    since: at,
    letGo: null,
    leftAs: null,
    isKnown: false,
    attempts: 0,
    firstTold: 0 as Generation,
    wasHealthy: false,
    reason: null,
    runs: null,
  };
  state.targets.set(machine, target);
  return target;
}
