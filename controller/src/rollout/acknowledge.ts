/**
 * Failures and silences that an operator knows of: they count no more, and only new ones trip the rollout again.
 */
import type { RolloutChange } from "./change.ts";
import { failuresOf, isCounted, type RolloutState, type Target, type WaveState } from "./state.ts";

/** `excused`: targets that are about to count no more for another reason. */
export function acknowledge(state: RolloutState, excused: readonly Target[] = []): readonly RolloutChange[] {
  return state.waves.flatMap((of, wave) => {
    const failed = failuresOf(of);
    const unreachable = of.counted - excused.filter((target) => target.wave === wave && isCounted(state, target)).length;
    const isKnown = failed === of.acknowledgedFailures && unreachable === of.acknowledgedUnreachable;
    return isKnown ? [] : [{ kind: "failures_acknowledged", wave, failures: failed, unreachable } as const];
  });
}

/** Of a wave: its failures and silences, and how many of them count no more. */
interface Counted extends Pick<WaveState, "acknowledgedFailures" | "acknowledgedUnreachable"> {
  readonly failures: number;
  readonly unreachable: number;
}

/** A failure that an operator had acknowledged and that is none any more must not stand in for a new one. */
export function forgottenFailure(state: RolloutState, target: Target, leaving = 1): readonly RolloutChange[] {
  const wave = state.waves[target.wave];
  return wave === undefined ? [] : forgottenIn({ ...wave, failures: failuresOf(wave), unreachable: wave.counted }, state, target, leaving);
}

/** `leaving`: so many targets of the wave that stand like this one are about to stand elsewhere. */
export function forgottenIn(wave: Counted, state: Parameters<typeof isCounted>[0], target: Pick<Target, "state" | "wave" | "letGo" | "leftAs">, leaving = 1): readonly RolloutChange[] {
  const failures = Math.min(wave.acknowledgedFailures, wave.failures - (target.state === "failed" || target.leftAs === "failed" ? leaving : 0));
  const unreachable = Math.min(wave.acknowledgedUnreachable, wave.unreachable - (isCounted(state, target) ? leaving : 0));
  if (failures === wave.acknowledgedFailures && unreachable === wave.acknowledgedUnreachable) return [];
  return [{ kind: "failures_acknowledged", wave: target.wave, failures, unreachable }];
}
