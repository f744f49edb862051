/**
 * The tail of a rollout that has succeeded: machines that were away, cordoned or not yet there when the others had their turn have it now, inside the same
 * window, lanes and failure budget, as long as the release stands where it runs. It never ends and is never late.
 */
import type { Moment } from "./moment.ts";
import { failuresOf, type RolloutState } from "./state.ts";
import { type Step, turnStep } from "./step.ts";
import type { Surroundings } from "./surroundings.ts";

export function tailStep(state: RolloutState, world: Surroundings, now: Moment): Step {
  const idle: Step = { kind: "wait", until: undefined };
  if (!hasTail(state) || isTailTripped(state)) return idle;
  const unsound = world.unsound(state);
  // Targets on the move are waited for first.
  if (unsound !== undefined) return state.moving.size > 0 ? idle : { kind: "hold", hold: unsound, until: undefined };
  return turnStep(state, world, "window", now) ?? idle;
}

/** What keeps those that wait for their turn from it, beside how the release stands; undefined: nothing. */
export function tailWait(state: RolloutState | undefined): string | undefined {
  if (state?.phase !== "succeeded") return undefined;
  if (isTailTripped(state)) return `somebody to retry it (muster retry ${state.id}): more late machines have failed than max_failures allows`;
  return hasTail(state) ? state.hold?.message : undefined;
}

/** Some target is on the move, or waits to start. */
export function hasTail({ moving, waves }: Pick<RolloutState, "moving" | "waves">): boolean {
  return moving.size > 0 || waves.some(({ counts }) => counts.pending > 0);
}

/** More machines than the budget allows have failed since it succeeded: the others are left as they are until somebody retries. */
export function isTailTripped({ waves }: Pick<RolloutState, "waves">): boolean {
  return waves.some((wave) => failuresOf(wave) - wave.acknowledgedFailures > wave.maxFailures);
}
