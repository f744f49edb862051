/**
 * What follows from where things stand, with nothing new heard: moves whose condition is met, times that have come. Applied after every event
 * until nothing follows any more, so no event needs to know what comes next, and an agent that woke in the middle goes on by the same rules.
 */
import { durationText } from "@muster/proto/duration.ts";
import type { Moment } from "./event.ts";
import { backAtLast, fail, failInTime, failRevert, failRevertInTime } from "./fail.ts";
import { becomeGood } from "./good.ts";
import { forgivenAt, freshProbing, wellEnoughAt } from "./launch.ts";
import { type AppState, type Fault, type Launch, type Move, type Phase, enter, isDrain, isProcess, sameRelease, wanted } from "./state.ts";
import { goalDeadlineMs } from "./time.ts";
import { missedDeadline, notStarted, withNote } from "./words.ts";

/** The controller is heard a little sooner or later than at its pace. */
const HEARD_PACES = 1.5;

/** One thing that follows, or the same state when nothing does. */
export function progress(state: AppState, moment: Moment): AppState {
  const { retry, launch } = state;
  if (retry !== undefined && !retry.due && moment.now >= retry.until) return { ...state, retry: { ...retry, due: true } };
  if (launch.kind === "waiting" && moment.now >= launch.until && state.settled && state.phase.kind !== "removing") {
    return { ...state, launch: { kind: "starting", launchId: moment.launchId } };
  }
  // Written down when it is so: the next agent does not know for how long it ran before.
  if (moment.now >= (forgivenAt(state) ?? Infinity)) return { ...state, crashes: 0 };
  const { phase } = state;
  switch (phase.kind) {
    case "pulling":
      if (moment.now < state.deadlineAt || state.late !== undefined) return state;
      // What is better is on the disk: nobody needs to be there for that.
      if (isDownOnTrial(state)) return fetchedTooLate(state, moment.now);
      return state.isFetchedLate ? state : { ...state, isFetchedLate: true };
    case "staged":
      if (moment.now < state.deadlineAt || state.late !== undefined) return state;
      if (retry !== undefined) return failInTime(state, retry.fault, moment.now);
      if (state.phaseSince >= state.deadlineAt) return fetchedTooLate(state, moment.now);
      return fail(state, { code: "never_healthy", message: `its turn did not come within ${deadline(state)}: another app was on the move` }, moment.now);
    case "activating":
      return activate(state, phase.move, moment);
    case "probing":
      return probe(state, phase, moment.now);
    case "reverting":
      return revert(state, phase, moment);
    case "removing":
      if (phase.move !== "stop") return state;
      return stopped(state, (free) => ({ ...free, phase: { kind: "removing", move: "switch" } }));
    case "healthy":
      return becomeGood(state);
    case "failed":
      return recover(state, phase, moment.now);
    case "idle":
    case "unhealthy":
    case "reverted":
    case "removed":
      return state;
  }
}

/** The controller was heard: no time to fetch passed while it was away. */
export function onHeard(state: AppState, paceMs: number, now: number): AppState {
  const { phase, retry, late } = state;
  if (phase.kind !== "pulling" || late !== undefined) return state;
  const silentMs = now - state.heardAt;
  const heard: AppState = { ...state, heardAt: now, isFetchedLate: false };
  if (silentMs > HEARD_PACES * paceMs) return { ...heard, deadlineAt: state.deadlineAt + silentMs, retry: retry === undefined ? undefined : { ...retry, due: true } };
  if (!state.isFetchedLate || now < state.deadlineAt) return heard;
  return fetchedTooLate(heard, now);
}

function fetchedTooLate(state: AppState, now: number): AppState {
  if (state.retry !== undefined) return failInTime(state, state.retry.fault, now);
  return fail(state, { code: "artifact_unavailable", message: `not fetched within ${deadline(state)}` }, now);
}

/** What runs was never called good, is not well, and there is something that was. */
function isDownOnTrial({ current, lastGood, launch, health }: AppState): boolean {
  if (current === undefined || lastGood === undefined || sameRelease(current, lastGood)) return false;
  const isDown = isProcess(current) && launch.kind !== "running";
  return isDown || health.kind === "unhealthy";
}

/** What runs on after everything failed has been healthy for as long as is asked of a new release. */
function recover(state: AppState, { reason, cause }: Extract<Phase, { kind: "failed" }>, now: number): AppState {
  const wellAt = wellEnoughAt(state);
  if (wellAt === undefined || now < wellAt) return state;
  if (sameRelease(state.current, wanted(state))) return enter(state, { kind: "healthy", pruned: false }, now);
  return enter(state, { kind: "reverted", reason: withNote(cause ?? reason, `back on ${state.current?.version}`) }, now);
}

function activate(state: AppState, move: Move, moment: Moment): AppState {
  if (state.retry !== undefined && moment.now >= state.deadlineAt && state.late === undefined) return failInTime(state, state.retry.fault, moment.now);
  switch (move) {
    case "stop": {
      const release = wanted(state);
      const next: Move = release !== undefined && isProcess(release) ? "ports" : "switch";
      return stopped(state, (free) => {
        // It would be started to be ended at once.
        if (moment.now >= state.deadlineAt && state.late === undefined) return fail(free, notStarted(state.current, moment.now - state.phaseSince, goalDeadlineMs(state.goal)), moment.now);
        return { ...free, phase: { kind: "activating", move: next } };
      });
    }
    case "ports":
    case "switch":
      return state;
    case "start":
      return started(state, moment, (running) => probed(running, moment.now));
  }
}

/** What comes to this late is judged by its probes in a time of its own. */
function probed(state: AppState, now: number): AppState {
  const deadlineAt = state.late === undefined ? state.deadlineAt : now + goalDeadlineMs(state.goal);
  return enter({ ...state, deadlineAt }, { kind: "probing", probing: freshProbing(now) }, now);
}

function revert(state: AppState, phase: Extract<Phase, { kind: "reverting" }>, moment: Moment): AppState {
  const { retry } = state;
  if (retry !== undefined && moment.now >= phase.deadlineAt && state.late === undefined) return failRevertInTime(state, phase.cause, retry.fault, moment.now);
  switch (phase.move) {
    case "stop":
      return stopped(state, (free) => ({ ...free, phase: { ...phase, move: "switch" } }));
    case "switch":
      return state;
    case "start":
      return started(state, moment, (running) => ({ ...running, phase: { ...phase, move: "probe" } }));
    case "probe":
      if (state.health.kind === "healthy") {
        if (!sameRelease(state.current, wanted(state))) return enter(state, { kind: "reverted", reason: withNote(phase.cause, `back on ${state.current?.version}`) }, moment.now);
        // What could not be fetched once more was here all the time. It is healthy as any other is.
        return moment.now < (wellEnoughAt(state) ?? 0) ? state : enter(state, { kind: "healthy", pruned: false }, moment.now);
      }
      if (moment.now < phase.deadlineAt || state.health.kind === "awaited") return state;
      return failRevert(state, phase.cause, state.health.kind === "unhealthy" ? state.health.detail : `not healthy within ${deadline(state)}`, moment.now);
  }
}

function probe(state: AppState, phase: Extract<Phase, { kind: "probing" }>, now: number): AppState {
  const needMs = state.goal?.minHealthyTimeMs ?? 0;
  const healthyMs = state.health.kind === "healthy" ? now - state.health.since : -1;
  if (healthyMs >= needMs) return enter(state, { kind: "healthy", pruned: false }, now);
  if (now < state.deadlineAt || state.health.kind === "awaited") return state;
  const down = state.launch.kind === "waiting" && phase.probing.exits > 0;
  return fail(state, missedDeadline(phase.probing, down, Math.max(0, healthyMs), needMs, goalDeadlineMs(state.goal)), now);
}

/** Gets the old process out of the way; `then` once there is none. */
function stopped(state: AppState, then: (free: AppState) => AppState): AppState {
  switch (state.launch.kind) {
    case "none":
      return then(state);
    case "waiting":
      return { ...state, launch: { kind: "none" } };
    case "running": {
      const { workload } = state.launch;
      const stopping: Launch = { kind: "stopping", workload, stopTimeoutMs: stopTimeoutMs(state) };
      return { ...state, launch: stopping, health: { kind: "unknown" } };
    }
    // A start under way is let finish, so that there is something to stop.
    case "starting":
    case "stopping":
      return state;
  }
}

/** Gets `current` running; `then` once it does, and the exchange is over. */
function started(state: AppState, moment: Moment, then: (running: AppState) => AppState): AppState {
  switch (state.launch.kind) {
    case "none":
      if (state.retry !== undefined && !state.retry.due) return state;
      return { ...state, launch: { kind: "starting", launchId: moment.launchId } };
    case "running":
      return then({ ...state, settled: true });
    case "waiting":
    case "starting":
    case "stopping":
      return state;
  }
}

/** A step of files is done. */
export function onStepDone(state: AppState, ports: Readonly<Record<string, number>>, now: number): AppState {
  const done: AppState = { ...state, retry: undefined };
  const { phase } = state;
  switch (phase.kind) {
    case "pulling":
      return enter(done, { kind: "staged" }, now);
    case "staged":
      return enter({ ...done, settled: false, health: { kind: "unknown" } }, { kind: "activating", move: "stop" }, now);
    case "activating": {
      if (phase.move === "ports") return { ...done, ports: { ...state.ports, ...ports }, phase: { kind: "activating", move: "switch" } };
      const release = wanted(state);
      const switched: AppState = { ...done, current: release, crashes: 0 };
      if (release !== undefined && isProcess(release)) return { ...switched, phase: { kind: "activating", move: "start" } };
      return probed({ ...switched, settled: true }, now);
    }
    case "reverting": {
      const switched: AppState = { ...done, current: state.lastGood, crashes: 0 };
      if (state.lastGood === undefined) return enter({ ...switched, settled: true }, { kind: "failed", reason: phase.cause, cause: undefined }, now);
      if (state.late !== undefined) return backAtLast(switched, state.late, phase.cause, now);
      if (isProcess(state.lastGood)) return { ...switched, phase: { ...phase, move: "start" } };
      return { ...switched, settled: true, phase: { ...phase, move: "probe" } };
    }
    case "healthy":
      return { ...done, phase: { kind: "healthy", pruned: true } };
    case "removing":
      if (phase.move === "switch" && isDrain(state)) return enter({ ...done, current: undefined, settled: true, crashes: 0 }, { kind: "removed" }, now);
      if (phase.move === "switch") return { ...done, current: undefined, lastGood: undefined, phase: { kind: "removing", move: "delete" } };
      return enter({ ...done, goodArtifacts: [], ports: {}, settled: true, crashes: 0 }, { kind: "removed" }, now);
    case "idle":
    case "probing":
    case "unhealthy":
    case "reverted":
    case "failed":
    case "removed":
      return state;
  }
}

/** A step of files failed; what is worth another try is tried again: until the deadline where something else can run then, and a removal for ever. */
export function onStepFailed(state: AppState, fault: Fault, retryAt: AppState["retry"], now: number): AppState {
  const { phase } = state;
  switch (phase.kind) {
    case "pulling":
    case "staged":
    case "activating":
      return fault.retryable ? { ...state, retry: retryAt } : fail(state, fault, now);
    case "reverting":
      return fault.retryable ? { ...state, retry: retryAt } : failRevert(state, phase.cause, fault.message, now);
    case "removing":
      return { ...state, retry: retryAt };
    // Old releases that can't be deleted now are deleted after the next good one.
    case "healthy":
      return { ...state, phase: { kind: "healthy", pruned: true } };
    case "idle":
    case "probing":
    case "unhealthy":
    case "reverted":
    case "failed":
    case "removed":
      return state;
  }
}

function stopTimeoutMs({ current }: AppState): number {
  return current?.driver?.$case === "process" ? current.driver.value.stopTimeoutMs : 0;
}

function deadline(state: AppState): string {
  return durationText(goalDeadlineMs(state.goal));
}

