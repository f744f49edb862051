/**
 * When so many machines that were assigned a release were lost after it that they may have been lost because of it: a release that takes its machines with it makes no report.
 */
import { isWayBack, type RolloutState } from "./state.ts";

/** Of the machines that were assigned the release, so large a share may be lost without anybody suspecting the release, and one at least. */
const TOLERATED_SHARE = 0.1;

/**
 * Machines were lost: more than chance explains, or all of which anything could be known. Also when nobody waits for them any longer: what is lost is lost, however long it was waited for. A wave with a
 * limit of its own says itself how many may be lost, but not that the release may go on when nothing is known of it. What is lost on the way back to an older release was lost to the one that goes.
 */
export function isSuspicious(state: RolloutState): boolean {
  const { lostTakers, wordless, waves } = state;
  if (lostTakers.size === 0 || isWayBack(state)) return false;
  let answered = 0;
  let updating = 0;
  let lost = 0;
  for (const { counts, maxUnreachable, lost: ofWave } of waves) {
    answered += counts.healthy + counts.failed;
    updating += counts.updating;
    if (maxUnreachable === null) lost += ofWave;
  }
  const isAllThatIsKnown = answered === 0 && lostTakers.size > wordless.size;
  return isAllThatIsKnown || lost > Math.max(1, Math.floor((lost + answered + updating) * TOLERATED_SHARE));
}
