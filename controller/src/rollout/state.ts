/**
 * The state of one rollout, in memory. It is built from the journal's tables and changed by `apply` alone, so that what is in memory,
 * what is in the tables and what the journal says are one thing.
 *
 *   phases:   pending ─▶ rolling ─▶ succeeded
 *                          │  ▲ ╲
 *                          ▼  │  ╲──▶ rolling_back ─▶ rolled_back | failed
 *                         paused ───────▶ ▲            (a rollback may begin in any ended phase but rolled_back and superseded)
 *             any that has not ended ─▶ aborted | superseded | failed
 *
 *   targets:  pending ─▶ updating ⇄ unreachable          ─▶ reverting ⇄ unreachable
 *                           │  ▲ ╲___________________          │
 *                           ▼  ▼                     ╲         ▼
 *                         healthy ⇄ failed ───────────▶    reverted | failed
 */
import type { AppName, DeploymentId, Generation, Instant, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import type { ReasonCode } from "@muster/proto/reason.ts";
import type { Plan } from "../plan/plan.ts";
import type { Strategy } from "../plan/strategy.ts";

export const ACTIVE_PHASES = ["pending", "rolling", "paused", "rolling_back"] as const;
export const ENDED_PHASES = ["succeeded", "rolled_back", "failed", "aborted", "superseded"] as const;
export type ActivePhase = (typeof ACTIVE_PHASES)[number];
export type EndedPhase = (typeof ENDED_PHASES)[number];
export type RolloutPhase = ActivePhase | EndedPhase;

export const TARGET_STATES = ["pending", "updating", "healthy", "failed", "unreachable", "reverting", "reverted"] as const;
export type TargetState = (typeof TARGET_STATES)[number];

/** Where an app stands on a machine, as its agent says it (`muster.v1.AppPhase`). */
export const AGENT_PHASES = [
  "pulling",
  "staged",
  "activating",
  "probing",
  "healthy",
  "unhealthy",
  "reverting",
  "reverted",
  "failed",
  "removing",
  "removed",
] as const;
export type AgentPhase = (typeof AGENT_PHASES)[number];

export interface RolloutReason {
  readonly code: ReasonCode;
  readonly message: string;
}

/** What a target was told last: to take the release, or to go back to what it had. */
export type Purpose = "update" | "revert";

export interface Target {
  readonly machine: MachineId;
  /** Index into `waves`. */
  readonly wave: number;
  readonly previous: ReleaseId | null;
  state: TargetState;
  /** Null before it was told anything. */
  purpose: Purpose | null;
  /** Of its last assignment; 0 before it has one. */
  generation: Generation;
  since: Instant;
  attempts: number;
  reason: RolloutReason | null;
}

export type TargetCounts = Record<TargetState, number>;

export interface WaveState {
  /** In the order in which they take their turn. */
  readonly targets: readonly Target[];
  readonly counts: TargetCounts;
  readonly maxFailures: number;
  /** Failures that an operator knows of and that count no more. */
  acknowledgedFailures: number;
  /** Index of the first target that is still pending. */
  nextPending: number;
  /** While rolling back: index of the last target that was changed and has not been told to go back; -1: none. */
  nextRevert: number;
}

export interface RolloutState {
  readonly id: DeploymentId;
  readonly app: AppName;
  readonly release: ReleaseId;
  readonly strategy: Strategy;
  phase: RolloutPhase;
  reason: RolloutReason | null;
  waves: readonly WaveState[];
  readonly targets: Map<MachineId, Target>;
  unchanged: readonly MachineId[];
  maxUnavailable: number;
  /** The wave under way; while rolling back, the wave being taken back. */
  wave: number;
  /** Targets that are updating or reverting. At most maxUnavailable, or as many as were under way when a rollback began. */
  readonly moving: Set<MachineId>;
  /** Start, a target newly healthy or reverted, a resume, the begin of a rollback: `progress_deadline` counts from here. */
  progressAt: Instant;
}

export function isEnded(phase: RolloutPhase): phase is EndedPhase {
  return (ENDED_PHASES as readonly string[]).includes(phase);
}

export function emptyCounts(): TargetCounts {
  return { pending: 0, updating: 0, healthy: 0, failed: 0, unreachable: 0, reverting: 0, reverted: 0 };
}

export function newRollout(
  from: Pick<RolloutState, "id" | "app" | "release" | "strategy">,
  at: Instant,
): RolloutState {
  return {
    ...from,
    phase: "pending",
    reason: null,
    waves: [],
    targets: new Map(),
    unchanged: [],
    maxUnavailable: 1,
    wave: 0,
    moving: new Set(),
    progressAt: at,
  };
}

/** Gives a rollout its plan; every target is pending. */
export function adoptPlan(state: RolloutState, plan: Plan, at: Instant): void {
  state.unchanged = plan.unchanged;
  state.maxUnavailable = plan.maxUnavailable;
  state.waves = plan.waves.map((planned, wave) => {
    const targets = planned.map(
      ({ machine, previous }): Target => ({
        machine,
        wave,
        previous,
        state: "pending",
        purpose: null,
        generation: 0 as Generation,
        since: at,
        attempts: 0,
        reason: null,
      }),
    );
    for (const target of targets) state.targets.set(target.machine, target);
    return {
      targets,
      counts: { ...emptyCounts(), pending: targets.length },
      maxFailures: plan.maxFailures[wave] ?? 0,
      acknowledgedFailures: 0,
      nextPending: 0,
      nextRevert: -1,
    };
  });
}
