/**
 * What a forecast is made of: the deployment as the file says it, and a picture of the fleet as it is. Nothing in it changes while the forecast is
 * being made, though that may take seconds; the functions in it answer for any moment.
 */
import type { AppName, Instant, ReleaseId } from "@muster/proto/ids.ts";
import type { Probe, Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { PlanMachine } from "../plan/plan.ts";
import type { Strategy, Window } from "../plan/strategy.ts";
import type { Opening } from "../rollout/surroundings.ts";

/** What is asked about. */
export interface Wanted {
  readonly app: AppName;
  readonly releaseId: ReleaseId;
  readonly release: Pick<Release, "driver" | "health">;
  readonly strategy: Strategy;
}

/** A group of machines of which only so many may be unavailable at once, over all rollouts. */
export interface BudgetNow {
  readonly selector: string;
  readonly max: number;
  /**
   * Machines of the group that are silent or not well, and are not selected. Those that another rollout has on the move are not counted: they will be
   * done, and what is left of that rollout nobody can know.
   */
  readonly restingElsewhere: number;
}

/** Earlier updates of this app that came to be healthy. */
export interface History {
  /** From the assignment to the report that it is healthy, less the min_healthy_time of that deployment. In any order. */
  readonly workMs: readonly number[];
  /** Machines have been healthy with the app; where no time is known, its deployments' steps are in the archive. */
  readonly wasHealthy: boolean;
  /** The longest stop_timeout of those releases of the app that machines are to run now; 0: there are none, or they are files. */
  readonly stopTimeoutMs: number;
  /** Where they are from, newest first: `d-7`. */
  readonly deployments: readonly string[];
}

/** A machine as it is, and what a rollback would take it back to. */
export interface ForecastMachine extends PlanMachine {
  /** The release of the app that was confirmed on it last. Null: none was. */
  readonly lastGood: ReleaseId | null;
}

/** The world, as it is at `now`. */
export interface Picture {
  readonly now: Instant;
  /** All that the selector selects, in any order. */
  readonly machines: readonly ForecastMachine[];
  readonly history: History;
  readonly budgets: readonly BudgetNow[];
  /** After which a machine that is not heard counts as silent. */
  readonly silentAfterMs: number;
  /** As in `Surroundings`. */
  readonly frozen: (now: Instant) => Opening;
  readonly opening: (window: Window, now: Instant) => Opening;
  /** Why the rollout would not begin at once, other than for `start_at`: what it waits for, such as `d-7 (shop-web@1.4.1, rolling) to end`. */
  readonly waitsFor: readonly string[];
  /** The earliest begin that follows from `waitsFor`, where it can be known. */
  readonly beginsAt: Instant | null;
}

export interface ForecastInputs extends Wanted, Picture {}

/** Until failures in a row of this probe make a release unhealthy. */
function failureMs({ intervalMs, unhealthyAfter }: Probe): number {
  return intervalMs * unhealthyAfter;
}

/** Until the slowest of the probes has found that a release is not well. */
export function slowestFailureMs(probes: readonly Probe[]): number {
  return Math.max(0, ...probes.map(failureMs));
}

/** Whether a release that does not work can be told from one that does: by its probes, or because its process ends. */
export function canBeNoticed({ driver, health }: Wanted["release"]): boolean {
  return health.length > 0 || driver?.$case === "process";
}
