/**
 * The decision: a state, what happened, and the moment, to the next state, what to tell, and what to do now.
 *
 * Pure. Never waits, logs or asks the clock; chance and fresh ids are handed in. Its caller writes down reports and state, in this order, before it acts.
 */
import type { Event, Moment } from "./event.ts";
import { nextRetry } from "./back-off.ts";
import { onGoal } from "./goal.ts";
import { brokenInvariant } from "./invariants.ts";
import { onExited, onGap, onHalted, onStartFailed, onStarted, onStopped, onVerdict, onWoken } from "./launch.ts";
import { type Picture, isNews, pictureOf } from "./picture.ts";
import { onHeard, onStepDone, onStepFailed, progress } from "./progress.ts";
import { type AppState, unreachable } from "./state.ts";
import { type Demand, demandOf, fileStepOf, runsDeadline } from "./step.ts";
import { heldUntil, resumed, seen } from "./time.ts";

export interface Decision {
  /** The very same object when nothing changed. */
  readonly state: AppState;
  readonly report: Picture | undefined;
  readonly demand: Demand;
}

/** More than any event can set off; reaching it is a bug. */
const PROGRESS_MAX = 16;

export function decide(state: AppState, event: Event, moment: Moment): Decision {
  // Whoever wakes gets the time back in which nobody looked, held or not.
  const known = event.kind === "woken" ? state : heldUntil(state, moment.now);
  let next = react(known, event, moment);
  // What was halted stays so until the agent wakes again.
  if (event.kind !== "halted") next = settle(next, moment);
  next = seen(known, next, runsDeadline(next), moment.now);
  if (next === known) next = state;
  const broken = brokenInvariant(state, next);
  if (broken !== undefined) throw new Error(`bug: ${broken} (after ${event.kind} in ${state.phase.kind}: ${JSON.stringify(next)})`);
  const picture = pictureOf(next);
  // An agent that died between report and record has told what it does not remember; so whoever wakes says how things stand.
  const isAsked = event.kind === "woken" || event.kind === "forgotten";
  return { state: next, report: isAsked || isNews(pictureOf(state), picture) ? picture : undefined, demand: demandOf(next) };
}

function settle(state: AppState, moment: Moment): AppState {
  let at = state;
  for (let count = 0; count < PROGRESS_MAX; count += 1) {
    const next = progress(at, moment);
    if (next === at) return at;
    at = next;
  }
  throw new Error(`bug: no end of progress in ${state.phase.kind}`);
}

function react(state: AppState, event: Event, moment: Moment): AppState {
  const { now } = moment;
  switch (event.kind) {
    case "goal":
      return onGoal(state, event.goal, now);
    case "woken":
      return onWoken(resumed(state, now), event.found, event.bootId, now);
    case "tick":
    case "forgotten":
      return state;
    case "gap":
      return onGap(state, now);
    case "heard":
      return onHeard(state, event.paceMs, now);
    case "step_done":
      return event.key === fileStepOf(state)?.key ? onStepDone(state, event.ports ?? {}, now) : state;
    case "step_failed":
      if (event.key !== fileStepOf(state)?.key) return state;
      return onStepFailed(state, event.fault, nextRetry(state, event.fault, moment), now);
    case "started":
      return onStarted(state, event.workload, now);
    case "start_failed":
      return onStartFailed(state, event.launchId, event.fault, moment);
    case "stopped":
      return onStopped(state, event.launchId);
    case "exited":
      return onExited(state, event.launchId, event.exit, event.lastLine, now);
    case "verdict":
      return onVerdict(state, event.verdict, now);
    case "halted":
      return onHalted(state);
    default:
      return unreachable(event);
  }
}
