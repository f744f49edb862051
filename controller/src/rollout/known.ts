/**
 * Failures and silences that an operator knows of: they count no more. Known is a target, and not a number: what is none any more stands in for nobody else.
 *
 * Always holds: `acknowledgedFailures` and `acknowledgedUnreachable` of a wave count its targets that are known, and the known failures of those that are gone.
 */
import { isCounted, type LeftAs, type RolloutState, type Target, type TargetState, type WaveState } from "./state.ts";

interface Acknowledged {
  /** Silences count on. Default false. */
  readonly areSilentLeft?: boolean;
  /** Machines that were lost, and whose names others have by now, count no more either. Default false. */
  readonly isGoneExcused?: boolean;
}

/** O(targets of the wave). */
export function noteAcknowledged(state: RolloutState, wave: WaveState, { areSilentLeft = false, isGoneExcused = false }: Acknowledged): void {
  for (const target of wave.targets) if (isFailure(target) || (!areSilentLeft && isCounted(state, target))) noteKnown(wave, target, true);
  wave.acknowledgedFailures += wave.goneFailed - wave.goneKnown;
  wave.goneKnown = wave.goneFailed;
  if (isGoneExcused) wave.goneLost = 0;
}

/** While the target still counts as it did, or already as it will. */
export function noteKnown(wave: WaveState, target: Target, isKnown: boolean): void {
  if (target.isKnown === isKnown) return;
  target.isKnown = isKnown;
  const by = isKnown ? 1 : -1;
  if (isFailure(target)) wave.acknowledgedFailures += by;
  else wave.acknowledgedUnreachable += by;
}

/** What was known of a target before it changes is known of it afterwards: it stays failed, or leaves as it was. */
export function staysKnown(target: Pick<Target, "state" | "leftAs" | "isKnown">, to: TargetState, leftAs: LeftAs | null): boolean {
  if (!target.isKnown) return false;
  return isFailure(target) ? isFailure({ state: to, leftAs }) : leftAs === "lost";
}

/** The release failed on the target, wherever that is now. */
export function isFailure({ state, leftAs }: Pick<Target, "state" | "leftAs">): boolean {
  return state === "failed" || leftAs === "failed";
}
