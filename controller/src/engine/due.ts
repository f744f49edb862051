/**
 * Which of the rollouts in memory are driven, in which order, and which are done with.
 */
import { deploymentNumber } from "@muster/proto/ids.ts";
import { hasBackTail } from "../rollout/back.ts";
import type { RolloutEvent } from "../rollout/decide.ts";
import { isEnded, type RolloutState } from "../rollout/state.ts";
import { hasTail } from "../rollout/tail.ts";

/** To give a rollout of more targets its plan, to turn it round, or to begin with them anew, is enough for one turn. */
const TURNED_ALONE_MIN = 500;

/** Nothing more will come of it by itself. */
export function isOver(state: RolloutState): boolean {
  if (!isEnded(state.phase)) return false;
  return !(state.phase === "succeeded" && hasTail(state)) && !hasBackTail(state);
}

/** Every target is looked at, or may be changed. */
export function isTurn({ targets }: RolloutState, event: RolloutEvent): boolean {
  if (event.kind === "start") return event.plan.waves.reduce((sum, wave) => sum + wave.targets.length, 0) > TURNED_ALONE_MIN;
  return (event.kind === "rollback" || event.kind === "retry" || event.kind === "resume" || event.kind === "promote") && targets.size > TURNED_ALONE_MIN;
}

export function waitsForOthers({ turns, turnsBack, hold }: RolloutState): boolean {
  return turns.parkedBehind !== undefined || turnsBack.parkedBehind !== undefined || hold?.kind === "unsound";
}

export function byPriority(a: RolloutState, b: RolloutState): number {
  return b.strategy.priority - a.strategy.priority || deploymentNumber(a.id) - deploymentNumber(b.id);
}
