/**
 * When so many machines that took a release were lost after it that they may have been lost because of it: a release that takes its machines with it makes no report.
 */
import type { RolloutState } from "./state.ts";

/** Of the machines that took the release, so large a share may be lost without anybody suspecting the release, and one at least. */
const TOLERATED_SHARE = 0.1;

/** Machines that took the release were lost: more than chance explains, or all of which anything could be known. */
export function isSuspicious({ lostTakers, waves }: RolloutState): boolean {
  const lost = lostTakers.size;
  if (lost === 0) return false;
  let answered = 0;
  let updating = 0;
  for (const { counts } of waves) {
    answered += counts.healthy + counts.failed;
    updating += counts.updating;
  }
  return answered === 0 || lost > Math.max(1, Math.floor((lost + answered + updating) * TOLERATED_SHARE));
}
