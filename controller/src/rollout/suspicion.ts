/**
 * When so many machines that were assigned a release were lost after it that they may have been lost because of it: a release that takes its machines with it makes no report.
 */
import { isWayBack, newCount, type RolloutState, type Target } from "./state.ts";

/** Of the machines that a release was given to, so large a share may be lost, or not well, without anybody suspecting the release, and one at least. */
const TOLERATED_SHARE = 0.1;

export function tolerated(machines: number): number {
  return Math.max(1, Math.floor(machines * TOLERATED_SHARE));
}

interface Known {
  answered: number;
  updating: number;
  lost: number;
}

/**
 * Machines were lost: more than chance explains, or all of which anything could be known. Also when nobody waits for them any longer: what is lost is lost, however long it was waited for. A wave with a
 * limit of its own says itself how many may be lost, but not that the release may go on when nothing is known of it. In `rollback --to`, losses are blamed on the release being replaced.
 *
 * That is asked of all, and of those to which the release is new: that it runs on well where it was says nothing of what taking it does.
 */
export function isSuspicious(state: RolloutState): boolean {
  const { lostTakers, waves } = state;
  if (lostTakers.size === 0 || isWayBack(state)) return false;
  const all: Known = { answered: 0, updating: 0, lost: 0 };
  const isNew: Known = { ...all };
  for (const wave of waves) {
    const { counts, maxUnreachable, lost, lostOnTrial } = wave;
    all.answered += counts.healthy + counts.failed;
    all.updating += counts.updating;
    isNew.answered += newCount(wave, "healthy") + newCount(wave, "failed");
    isNew.updating += newCount(wave, "updating");
    if (maxUnreachable !== null) continue;
    all.lost += lost;
    isNew.lost += lost - lostOnTrial;
  }
  return isTooMany(all) || isTooMany(isNew) || (all.answered === 0 && hasLost(state, () => true)) || (isNew.answered === 0 && hasLost(state, ({ onTrial }) => !onTrial));
}

function isTooMany({ answered, updating, lost }: Known): boolean {
  return lost > tolerated(lost + answered + updating);
}

/** One of these that had said that it has the release. */
function hasLost({ lostTakers, wordless, targets }: RolloutState, which: (target: Target) => boolean): boolean {
  for (const machine of lostTakers) if (!wordless.has(machine) && which(targets.get(machine)!)) return true;
  return false;
}
