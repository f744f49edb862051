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
import { names, some, suspicionText } from "./words.ts";

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
  return { kind: "hold", hold: { kind: "offline", message: suspicionText(state) }, until: nextLetGoAt(state, now) };
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
  const { offline } = state.strategy;
  const how = offline.kind === "wait" && offline.forMs !== null ? `wait:${durationText(offline.forMs)}` : offline.kind;
  const message = `${names(some(wave, "unreachable", 3), wave.counts.unreachable)} to be heard from (offline: ${how})`;
  return { kind: "hold", hold: { kind: "offline", message }, until: nextLetGoAt(state, now) };
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
