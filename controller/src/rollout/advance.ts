/**
 * What follows from a rollout's state: the next step, as far as it can be taken now. Pure; a call is O(log n) where a target starts or answers, and O(n) where a wave, a
 * soak or a rollback begins or ends, or waits for machines that are away. The engine applies what it returns and calls it again until it returns nothing.
 *
 * Always holds: a target of wave n+1 is assigned only after the gates of wave n have opened; a target that serves starts only while there is room for one more that
 * does not (place.ts); whenever there is nothing to do and the rollout has not ended, `waitingOn` has an answer, and either a report is
 * awaited, or `nextWake` says when to look again, or `hold` says who must act.
 */
import type { Instant } from "@muster/proto/ids.ts";
import { backStep, backTailStep, hasBackTail } from "./back.ts";
import type { RolloutChange } from "./change.ts";
import { rollingStep } from "./rolling.ts";
import type { Moment } from "./moment.ts";
import type { Hold, RolloutState } from "./state.ts";
import type { Step } from "./step.ts";
import type { Surroundings } from "./surroundings.ts";
import { tailStep } from "./tail.ts";

export function advance(state: RolloutState, world: Surroundings, now: Moment): readonly RolloutChange[] {
  const step = nextStep(state, world, now);
  switch (step.kind) {
    case "change":
      return step.changes;
    case "hold":
      return isSame(state.hold, step.hold) ? [] : [{ kind: "held", hold: step.hold }];
    case "wait":
      return state.hold === null ? [] : [{ kind: "held", hold: null }];
  }
}

/** A foreseen end may be off by so much before it is said anew. */
const UNTIL_OFF_MS_MAX = 5_000;

function isSame(before: Hold | null, hold: Hold): boolean {
  if (before?.kind !== hold.kind) return false;
  if (before.message === hold.message) return true;
  return withoutTimes(before.message) === withoutTimes(hold.message) && typeof before.until === "number" && typeof hold.until === "number" && Math.abs(before.until - hold.until) <= UNTIL_OFF_MS_MAX;
}

function withoutTimes(message: string): string {
  return message.replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/g, "");
}

/** When `advance` must be called again though nothing was heard; undefined: never. Asked when `advance` has nothing more to say. */
export function nextWake(state: RolloutState, world: Surroundings, now: Moment): Instant | undefined {
  const step = nextStep(state, world, now);
  return step.kind === "change" ? now.at : step.until;
}

function nextStep(state: RolloutState, world: Surroundings, now: Moment): Step {
  switch (state.phase) {
    case "rolling":
      return rollingStep(state, world, now);
    case "rolling_back":
      return backStep(state, world, now);
    case "succeeded":
      return tailStep(state, world, now);
    case "rolled_back":
      return backTailStep(state, world);
    case "failed":
    case "superseded":
      return hasBackTail(state) ? backTailStep(state, world) : { kind: "wait", until: undefined };
    case "pending":
    case "paused":
    case "aborted":
      return { kind: "wait", until: undefined };
  }
}
