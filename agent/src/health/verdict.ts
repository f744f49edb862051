/**
 * From samples to a verdict. Pure.
 *
 *     unknown ──healthy_after successes in a row──▶ healthy ──unhealthy_after failures in a row──▶ unhealthy ──▶ (and back)
 *        └──────unhealthy_after failures in a row──▶ unhealthy
 */
import type { Verdict } from "../runner/ports.ts";

export type Sample = { readonly ok: true } | { readonly ok: false; readonly detail: string };

export interface Thresholds {
  readonly healthyAfter: number;
  readonly unhealthyAfter: number;
}

/** What is known of one probe. */
export interface Standing {
  readonly verdict: Verdict;
  /** Equal samples in a row, up to the last one. */
  readonly streak: { readonly ok: boolean; readonly length: number };
}

export const UNKNOWN: Standing = { verdict: { health: "unknown" }, streak: { ok: true, length: 0 } };

/** Of a probe that was well when somebody looked last: its first good answer says that it still is. */
export function expected({ healthyAfter }: Thresholds): Standing {
  return { verdict: { health: "unknown" }, streak: { ok: true, length: healthyAfter - 1 } };
}

export function record(standing: Standing, sample: Sample, { healthyAfter, unhealthyAfter }: Thresholds): Standing {
  const length = standing.streak.ok === sample.ok ? standing.streak.length + 1 : 1;
  const streak = { ok: sample.ok, length };
  if (sample.ok) return { streak, verdict: length >= healthyAfter ? { health: "healthy" } : standing.verdict };
  const isUnhealthy = length >= unhealthyAfter || standing.verdict.health === "unhealthy";
  return { streak, verdict: isUnhealthy ? { health: "unhealthy", detail: sample.detail } : standing.verdict };
}

/** Unhealthy if any is (with the first one's detail), healthy if all are, otherwise unknown. */
export function combine(verdicts: readonly Verdict[]): Verdict {
  const unhealthy = verdicts.find((verdict) => verdict.health === "unhealthy");
  if (unhealthy !== undefined) return unhealthy;
  return verdicts.every((verdict) => verdict.health === "healthy") ? { health: "healthy" } : { health: "unknown" };
}
