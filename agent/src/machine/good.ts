/** When a release becomes the last good one: what a later one that fails is taken back to. */
import { type AppState, isOnProbation } from "./state.ts";

/** Good artifacts that are kept: the one that runs, and two to go back to. */
const GOOD_KEPT_MAX = 3;

/**
 * A healthy release ends its probation when it is confirmed, and has none where there is nothing to go back to. Counted as a transition, since what is pruned then is another
 * step than what was pruned before.
 */
export function becomeGood(state: AppState): AppState {
  const { lastGood, goal } = state;
  if (!isOnProbation(state) || (lastGood !== undefined && goal?.confirmed !== true)) return state;
  return { ...withGood(state), phase: { kind: "healthy", pruned: false } };
}

/** Its release is good, whatever is known of its health at the moment. */
export function withGood(state: AppState): AppState {
  const { current, transitions } = state;
  if (current === undefined) return state;
  const goodArtifacts = [current.artifact, ...state.goodArtifacts.filter((other) => other !== current.artifact)].slice(0, GOOD_KEPT_MAX);
  return { ...state, lastGood: current, goodArtifacts, transitions: transitions + 1 };
}
