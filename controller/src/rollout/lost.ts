/**
 * Targets that are unreachable: for how long a wave waits for them, and when so many machines that took the release were lost that they may have been lost because of it.
 *
 *   unreachable ──heard──▶ what it says
 *        └──────let go (offline: wait:… is over, or so few are tolerated, or a person says so)──▶ waited for no longer, counted
 */
import { durationText } from "@muster/proto/duration.ts";
import type { Instant } from "@muster/proto/ids.ts";
import { attendedSince, dueAt, type Moment } from "./moment.ts";
import { hasEnough, type RolloutState, type WaveState } from "./state.ts";
import { change, earlier, type Step } from "./step.ts";
import { isSuspicious } from "./suspicion.ts";
import { names, onFailureText, some, suspicionText, timeText } from "./words.ts";

/** The first unreachable target that is waited for no longer. */
export function letGoStep(state: RolloutState, now: Moment): Step | undefined {
  for (const { awaited } of begun(state)) {
    const [first] = awaited;
    if (first === undefined) continue;
    const { offline } = state.strategy;
    if (offline.kind === "skip" && (first.purpose === null || !isSuspicious(state))) return change({ kind: "target_let_go", machine: first.machine, why: "tolerated" });
    if (offline.kind === "wait" && offline.forMs !== null && attendedSince(first.since, now) >= offline.forMs) {
      return change({ kind: "target_let_go", machine: first.machine, why: "waited" });
    }
  }
  return undefined;
}

/**
 * Nobody else takes the release while machines that took it are lost, and it may be the reason. With `offline: wait` they are waited for as long as that says. Then, and with `offline: skip` at once, it is
 * waited out until progress_deadline, and the rollout has failed.
 */
export function suspicionStep(state: RolloutState, now: Moment): Step | undefined {
  if (state.promoted || !isSuspicious(state)) return undefined;
  // progress_deadline stands still only while targets are waited for.
  if (state.moving.size > 0 || state.strategy.offline.kind === "skip" || !begun(state).some(({ awaited }) => awaited.size > 0)) return { kind: "wait", until: undefined };
  const until = nextLetGoAt(state, now);
  const tripped = elseText(state);
  const then = until === undefined ? "" : tripped === "" ? `; progress_deadline begins at ${timeText(until)}` : `, until ${timeText(until)}${tripped}`;
  return { kind: "hold", hold: { kind: "offline", message: `${suspicionText(state)}${then}`, until: until ?? null }, until };
}

/** What the end of a wave waits for, beside its gates. */
export function lostStep(state: RolloutState, now: Moment): Step | undefined {
  if (state.promoted) return undefined;
  const suspicion = suspicionStep(state, now);
  if (suspicion !== undefined) return suspicion;
  const wave = begun(state).find((each) => each.awaited.size > 0 && !hasEnough(each));
  if (wave === undefined) return undefined;
  // In a wave with a threshold, targets beyond it are on the move.
  if (state.moving.size > 0) return { kind: "wait", until: nextLetGoAt(state, now) };
  const until = nextLetGoAt(state, now);
  const message = `${names(some(wave, "unreachable", 3), wave.counts.unreachable)} to be heard from (${toleranceText(state, until)})`;
  return { kind: "hold", hold: { kind: "offline", message, until: until ?? null }, until };
}

/** `offline: wait:1m, until 2026-01-31 12:05:00 UTC; else it is taken back (max_unreachable)`, for brackets. */
function toleranceText(state: RolloutState, until: Instant | undefined): string {
  const { offline } = state.strategy;
  if (until === undefined || offline.kind !== "wait" || offline.forMs === null) return `offline: ${offline.kind}`;
  return `offline: wait:${durationText(offline.forMs)}, until ${timeText(until)}${elseText(state)}`;
}

/** What the next one that is let go would trip. */
function elseText(state: RolloutState): string {
  const [next] = begun(state).flatMap((wave) => [...wave.awaited].slice(0, 1).map((first) => ({ wave, first }))).sort((a, b) => a.first.since.attended - b.first.since.attended);
  if (next === undefined) return "";
  const { counted, acknowledgedUnreachable, maxUnreachable } = next.wave;
  return maxUnreachable === null || counted + 1 - acknowledgedUnreachable <= maxUnreachable ? "" : `; else it ${onFailureText(state)} (max_unreachable)`;
}

function nextLetGoAt(state: RolloutState, now: Moment): Instant | undefined {
  const { offline } = state.strategy;
  if (offline.kind !== "wait" || offline.forMs === null) return undefined;
  let next: Instant | undefined;
  for (const { awaited } of begun(state)) {
    const [first] = awaited;
    if (first !== undefined) next = earlier(next, dueAt(first.since, offline.forMs, now));
  }
  return next;
}

/** Waves that have begun; a later one has nobody who was touched. */
function begun({ waves, wave }: RolloutState): readonly WaveState[] {
  return waves.slice(0, wave + 1);
}
