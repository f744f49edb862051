/**
 * A goal arrives. Whatever is under way is given up where it stands; the way to the new goal begins with the same first step from
 * everywhere, and every step copes with what the last one left. Only a goal that is met already touches nothing.
 */
import type { AppAssignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { freshProbing } from "./launch.ts";
import { type AppState, enter, sameRelease, unreachable } from "./state.ts";

export function onGoal(state: AppState, goal: AppAssignment, now: number): AppState {
  if (goal.generation <= (state.goal?.generation ?? 0) || goal.goal === undefined) return state;
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
