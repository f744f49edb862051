/**
 * A goal arrives. Whatever is under way is given up where it stands; the way to the new goal begins with the same first step from
 * everywhere, and every step copes with what the last one left. Some goals stop and start nothing: one that is met already, one that names what the agent activates or goes
 * back to anyway (it goes on at the step where it was), one that is the same goal under a new epoch, and one that only confirms the release.
 */
import { epochOf, numberOf } from "@muster/proto/generation.ts";
import type { AppAssignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { becomeGood, withGood } from "./good.ts";
import { freshProbing } from "./launch.ts";
import { type AppState, type Move, enter, isOnProbation, isProcess, sameRelease, unreachable } from "./state.ts";
import { goalDeadlineMs } from "./time.ts";

export function onGoal(known: AppState, goal: AppAssignment, now: number): AppState {
  if (goal.goal === undefined || goal.generation < (known.goal?.generation ?? 0)) return known;
  const state = confirmedBy(known, goal);
  const before = state.goal;
  if (before !== undefined && goal.generation === before.generation) return confirm(state, before, goal);
  // A backup may be older than the confirmation, which stands all the same.
  if (isToldAnew(goal, before)) return { ...state, goal: { ...goal, confirmed: goal.confirmed || before?.confirmed === true } };
  // Counted even when the phase stays the same: steps of the old goal must not be taken for steps of this one.
  const accepted: AppState = {
    ...state,
    goal,
    deadlineAt: now + goalDeadlineMs(goal),
    starts: 0,
    retry: undefined,
    late: undefined,
    heardAt: now,
    isFetchedLate: false,
    phaseSince: now,
    transitions: state.transitions + 1,
  };
  switch (goal.goal.$case) {
    case "remove":
      return enter({ ...accepted, settled: false, health: { kind: "unknown" } }, { kind: "removing", move: "stop" }, now);
    case "run": {
      const release = goal.goal.value;
      if (runsWell(accepted, release)) return enter(startedAtOnce(accepted, now), { kind: "probing", probing: freshProbing(now) }, now);
      const move = moveTo(state, release);
      return enter(accepted, move === undefined ? { kind: "pulling" } : { kind: "activating", move }, now);
    }
    default:
      return unreachable(goal.goal);
  }
}

/** It is there, and nothing is known against it, or somebody vouches for it: it only has to be probed. The phase is still that of the goal before. */
function runsWell({ goal, current, lastGood, settled, phase, health, launch }: AppState, release: Release): boolean {
  if (!settled || !sameRelease(current, release)) return false;
  if (goal?.confirmed === true || sameRelease(lastGood, release) || phase.kind === "healthy" || health.kind === "healthy") return true;
  // It was started a moment ago for the goal before this one.
  return phase.kind === "probing" && health.kind === "unknown" && (launch.kind === "running" || !isProcess(release));
}

/** What made it end may be mended: the wait that its crashes had earned would take the time of the new goal. */
function startedAtOnce(state: AppState, now: number): AppState {
  const { launch } = state;
  return { ...state, crashes: 0, launch: launch.kind === "waiting" ? { kind: "waiting", until: now } : launch };
}

/** The step at which the agent is on its way to this very release; undefined when it is not. */
function moveTo({ phase, goal, lastGood }: AppState, release: Release): Move | undefined {
  if (phase.kind === "activating") return goal?.goal?.$case === "run" && sameRelease(goal.goal.value, release) ? phase.move : undefined;
  // A process that went back and is probed is settled, and was found above.
  return phase.kind === "reverting" && phase.move !== "probe" && sameRelease(lastGood, release) ? phase.move : undefined;
}

/** It is never taken back: a release that was confirmed here has been the last good one. */
function confirm(state: AppState, before: AppAssignment, goal: AppAssignment): AppState {
  if (!goal.confirmed || before.confirmed || !asksForTheSame(goal.goal, before.goal)) return state;
  return { ...state, goal: { ...before, confirmed: true } };
}

/** What it runs had been confirmed, and the agent hears of it only with the goal that comes after. */
function confirmedBy(state: AppState, goal: AppAssignment): AppState {
  const { current, goal: before, phase, settled, lastGood } = state;
  if (before === undefined || current?.version !== goal.lastGoodVersion) return state;
  const confirmed: AppState = { ...state, goal: { ...before, confirmed: true } };
  if (isOnProbation(state)) return becomeGood(confirmed);
  // It was healthy before its machine was started anew, say, and is asked again.
  const isAskedAgain = phase.kind === "probing" && settled && goal.generation > before.generation;
  return isAskedAgain && !sameRelease(current, lastGood) ? withGood(confirmed) : state;
}

/** A controller that was restored from a backup tells all its machines under a new epoch what it had told them before: they say how it went, and do nothing twice. */
function isToldAnew(goal: AppAssignment, before: AppAssignment | undefined): boolean {
  if (before === undefined || epochOf(goal.generation) === epochOf(before.generation)) return false;
  const isSameOrder = numberOf(goal.generation) === numberOf(before.generation) && goal.deploymentId === before.deploymentId;
  return isSameOrder && goal.minHealthyTimeMs === before.minHealthyTimeMs && goal.healthyDeadlineMs === before.healthyDeadlineMs && asksForTheSame(goal.goal, before.goal);
}

function asksForTheSame(a: AppAssignment["goal"], b: AppAssignment["goal"]): boolean {
  if (a?.$case === "remove") return b?.$case === "remove" && a.value.drained === b.value.drained;
  return b?.$case === "run" && sameRelease(a?.value, b.value);
}
