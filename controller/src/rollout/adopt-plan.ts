/** From a plan to the waves and targets of a rollout. */
import type { Generation } from "@muster/proto/ids.ts";
import type { Plan, PlannedTarget } from "../plan/plan.ts";
import { pendingGate } from "./gates.ts";
import type { Moment } from "./moment.ts";
import { emptyCounts, type RolloutState, type Target } from "./state.ts";

/** Gives a rollout its plan; every target is pending. */
export function adoptPlan(state: RolloutState, plan: Plan, at: Moment): void {
  state.unchanged = plan.unchanged;
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
    acknowledgedFailures: 0,
    acknowledgedUnreachable: 0,
    startedAt: null,
    finishedAt: null,
    changedAt: at,
    awaited: new Set(),
    counted: 0,
    lost: 0,
    lostOnTrial: 0,
    leftFailed: 0,
    goneFailed: 0,
    goneLost: 0,
  }));
}

export function newTarget(state: RolloutState, { machine, lane, onTrial = false }: PlannedTarget, wave: number, position: number, at: Moment): Target {
  const target: Target = {
    machine,
    wave,
    position,
    lane,
    onTrial,
    previous: null,
    state: "pending",
    purpose: null,
    generation: 0 as Generation,
    since: at,
    letGo: null,
    leftAs: null,
    attempts: 0,
    reason: null,
    runs: null,
  };
  state.targets.set(machine, target);
  return target;
}
