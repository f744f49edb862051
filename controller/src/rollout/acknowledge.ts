/** What an operator acknowledges by going on: failures and silences, of which only new ones trip the rollout again (known.ts). */
import type { RolloutChange } from "./change.ts";
import { failuresOf, isCounted, type RolloutState, type Target } from "./state.ts";

/** Of all waves. `excused`: targets that are about to count no more for another reason. */
export function acknowledge(state: RolloutState, excused: readonly Target[] = []): readonly RolloutChange[] {
  return state.waves.flatMap((of, wave) => {
    const failures = failuresOf(of);
    const isExcused = (target: Target): boolean => target.wave === wave && isCounted(state, target);
    const unreachable = of.counted - excused.filter(isExcused).length;
    const known = of.acknowledgedUnreachable - excused.filter((target) => isExcused(target) && target.isKnown).length;
    return failures === of.acknowledgedFailures && unreachable === known ? [] : [{ kind: "failures_acknowledged", wave, failures, unreachable } as const];
  });
}
