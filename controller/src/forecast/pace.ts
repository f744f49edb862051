/**
 * How long a machine takes: from this app's history, or else from the file and a guess.
 *
 *     told ── fetch, stop, start ──▶ activated ── probes ──▶ well ── min_healthy_time ──▶ healthy
 *     └──────────────── work, as history has it ───────────────┘
 *
 * Nine machines in ten take the median of what was seen, each tenth the 90th percentile: a wave is over when its slowest is.
 */
import { durationText, rounded } from "@muster/proto/duration.ts";
import type { Probe } from "@muster/proto/gen/muster/v1/release.ts";
import { counted, firstAndMore } from "@muster/proto/text.ts";
import type { ForecastInputs } from "./inputs.ts";

/** To fetch, stop and start, where nothing is known. Whoever wrote a shorter `healthy_deadline` knows better. */
const GUESSED_START_MS = 10_000;
/** Until a machine that is told to run what it runs has said that it does. */
export const ANSWER_MS = 1_000;
/** Deployments that are named; more make no sentence. */
const NAMED_MAX = 5;

export interface Pace {
  readonly usualWorkMs: number;
  /** Of each tenth machine. */
  readonly slowWorkMs: number;
  /** Of the work: until the probes are satisfied, after the activation. */
  readonly probingMs: number;
  /** Where it is from, in words. */
  readonly from: string;
}

export function paceOf({ app, history, release, strategy }: Pick<ForecastInputs, "app" | "history" | "release" | "strategy">): Pace {
  const probingMs = Math.max(0, ...release.health.map(satisfiedMs));
  const seen = history.workMs.toSorted((a, b) => a - b);
  if (seen.length === 0) {
    const guess = guessedStart(strategy.healthyDeadlineMs - probingMs - strategy.minHealthyTimeMs);
    const work = guess.startMs + probingMs;
    const parts = [
      `${durationText(guess.startMs)} to fetch and start (a guess${guess.why})`,
      ...(probingMs > 0 ? [`${durationText(probingMs)} until its probes are satisfied`] : []),
      `${durationText(strategy.minHealthyTimeMs)} of min_healthy_time`,
    ];
    const why = history.wasHealthy ? `what earlier deployments of ${app} took is in the archive by now` : `no earlier deployment of ${app} has made a machine healthy`;
    return { usualWorkMs: work, slowWorkMs: work, probingMs, from: `the file alone, as ${why}: ${parts.join(", ")}` };
  }
  const usualWorkMs = quantile(seen, 0.5);
  const slowWorkMs = quantile(seen, 0.9);
  const half = `half were well within ${durationText(rounded(usualWorkMs))}, nine in ten within ${durationText(rounded(slowWorkMs))}`;
  return { usualWorkMs, slowWorkMs, probingMs, from: `${counted(seen.length, "update")} of ${app} (${firstAndMore(history.deployments, NAMED_MAX)}): ${half}` };
}

/**
 * `roomMs`: what `healthy_deadline` leaves for it. A guess that exceeds that would foretell a rollout that fails, for no other reason than the guess.
 * Where nothing is left the file itself contradicts itself, however short it is.
 */
function guessedStart(roomMs: number): { readonly startMs: number; readonly why: string } {
  if (GUESSED_START_MS < roomMs) return { startMs: GUESSED_START_MS, why: "" };
  if (roomMs <= 0) return { startMs: 0, why: ", as healthy_deadline leaves nothing for it" };
  const half = roomMs / 2;
  return { startMs: half < 1000 ? Math.floor(half) : Math.floor(half / 1000) * 1000, why: ": half of what healthy_deadline leaves for it" };
}

/** `turn`: its place among all targets. */
export function workMs({ usualWorkMs, slowWorkMs }: Pace, turn: number): number {
  return turn % 10 === 9 ? slowWorkMs : usualWorkMs;
}

/** The first question finds it starting, so that an interval more than between the successes is needed. */
function satisfiedMs({ intervalMs, healthyAfter }: Probe): number {
  return intervalMs * healthyAfter;
}

/** Nearest rank: one that was seen. */
function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}
