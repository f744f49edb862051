/**
 * A goal arrives. Whatever is under way is given up where it stands; the way to the new goal begins with the same first step from
 * everywhere, and every step copes with what the last one left. Only a goal that is met already touches nothing, and one that is the same goal told anew.
 */
import { epochOf, numberOf } from "@muster/proto/generation.ts";
import type { AppAssignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { freshProbing } from "./launch.ts";
import { type AppState, enter, sameRelease, unreachable } from "./state.ts";

export function onGoal(state: AppState, goal: AppAssignment, now: number): AppState {
  if (goal.generation <= (state.goal?.generation ?? 0) || goal.goal === undefined) return state;
  if (isToldAnew(goal, state.goal)) return { ...state, goal };
  // Counted even when the phase stays the same: steps of the old goal must not be taken for steps of this one.
  const accepted: AppState = {
    ...state,
    goal,
    deadlineAt: now + goal.healthyDeadlineMs,
    starts: 0,
    retry: undefined,
    phaseSince: now,
    transitions: state.transitions + 1,
  };
  switch (goal.goal.$case) {
    case "remove":
      return enter({ ...accepted, settled: false, health: { kind: "unknown" } }, { kind: "removing", move: "stop" }, now);
    case "run": {
      const release = goal.goal.value;
      const proven = sameRelease(state.current, release) && sameRelease(state.lastGood, release);
      if (proven && state.settled) return enter(accepted, { kind: "probing", probing: freshProbing(now) }, now);
      return enter(accepted, { kind: "pulling" }, now);
    }
    default:
      return unreachable(goal.goal);
  }
}

/** A controller that was restored from a backup tells all its machines under a new epoch what it had told them before: they say how it went, and do nothing twice. */
function isToldAnew(goal: AppAssignment, before: AppAssignment | undefined): boolean {
  if (before === undefined || epochOf(goal.generation) === epochOf(before.generation)) return false;
  const isSameOrder = numberOf(goal.generation) === numberOf(before.generation) && goal.deploymentId === before.deploymentId;
  return isSameOrder && goal.minHealthyTimeMs === before.minHealthyTimeMs && goal.healthyDeadlineMs === before.healthyDeadlineMs && asksForTheSame(goal.goal, before.goal);
}

function asksForTheSame(a: AppAssignment["goal"], b: AppAssignment["goal"]): boolean {
  if (a?.$case === "remove") return b?.$case === "remove";
  return b?.$case === "run" && sameRelease(a?.value, b.value);
}
