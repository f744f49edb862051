/**
 * The loop around one rollout: an event, what it changes, and what follows from that, step by step until nothing does. The engine writes each change to its
 * journal; a forecast and the benchmarks keep none.
 */
import { advance } from "./advance.ts";
import { apply, type RolloutChange, type Stamp } from "./change.ts";
import { decide, type RolloutEvent } from "./decide.ts";
import { checkChange } from "./invariants.ts";
import type { Moment } from "./moment.ts";
import type { RolloutState } from "./state.ts";
import type { Surroundings } from "./surroundings.ts";

export interface Recorder {
  /** Gives a change its place: in the engine, its row in the journal. */
  readonly record: (change: RolloutChange) => Stamp;
  /** The change has been applied. */
  readonly applied?: (change: RolloutChange, stamp: Stamp) => void;
  /** For a rollout that is known to be broken, and is stopped. */
  readonly isUnchecked?: boolean;
}

/** `most`: changes after which it stops though there is more to do. */
export function drive(state: RolloutState, event: RolloutEvent | undefined, world: Surroundings, now: Moment, recorder: Recorder, most = Infinity): "done" | "more" {
  if (event !== undefined) take(state, decide(state, event), recorder);
  for (let taken = 0; taken < most; ) {
    const changes = advance(state, world, now);
    if (changes.length === 0) return "done";
    take(state, changes, recorder);
    taken += changes.length;
  }
  return "more";
}

export function take(state: RolloutState, changes: readonly RolloutChange[], { record, applied, isUnchecked = false }: Recorder): void {
  for (const change of changes) {
    const stamp = record(change);
    apply(state, change, stamp);
    if (!isUnchecked) checkChange(state, change);
    applied?.(change, stamp);
  }
}
