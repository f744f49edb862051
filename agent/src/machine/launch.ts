/**
 * The process of `current`: what its start, its end and its probes mean. It is started again with back-off for as long as `current` asks for
 * it, in whatever phase the app is; only what that *means* depends on the phase.
 *
 *     none ─▶ starting ─▶ running ─▶ stopping ─▶ none
 *                ▲  │        │
 *                └─ waiting ◀┘
 */
import { nextRetry, restartDelayMs } from "./back-off.ts";
import { fail, failRevert } from "./fail.ts";
import type { Moment, Verdict } from "./event.ts";
import { type AppState, type Exit, type Fault, type Launch, type Phase, type Probing, type Reason, type Workload, enter, isOnProbation, isProcess, sameRelease, wanted } from "./state.ts";
import { answered, goalDeadlineMs } from "./time.ts";
import { exitWords, exitedTooOften, outputWords, unwell } from "./words.ts";

/** Started again three times while probing. */
export const PROBING_EXITS_MAX = 4;
/** A process that ran for so long has come up well: its next end is the first again. */
const LONG_RUN_MS = 600_000;

export function onStarted(state: AppState, workload: Workload, now: number): AppState {
  if (state.launch.kind !== "starting" || state.launch.launchId !== workload.launchId) return state;
  return {
    ...state,
    launch: { kind: "running", workload, startedAt: now },
    starts: state.starts + 1,
    health: { kind: "unknown" },
    retry: undefined,
  };
}

export function onStartFailed(state: AppState, launchId: string, fault: Fault, moment: Moment): AppState {
  if (state.launch.kind !== "starting" || state.launch.launchId !== launchId) return state;
  if (!state.settled) {
    const after: AppState = { ...state, launch: { kind: "none" } };
    const { phase } = state;
    if (phase.kind !== "activating" && phase.kind !== "reverting") return after;
    if (phase.move !== "start") return after;
    if (fault.retryable) return { ...after, retry: nextRetry(state, fault, moment) };
    return phase.kind === "activating" ? fail(after, fault, moment.now) : failRevert(after, phase.cause, fault.message, moment.now);
  }
  const crashes = state.crashes + 1;
  const after: AppState = { ...state, crashes, launch: again(state, moment.now + restartDelayMs(crashes)) };
  if (after.phase.kind === "probing") return fault.retryable ? after : fail(after, fault, moment.now);
  return turnUnhealthy(after, { code: fault.code, message: fault.message }, moment.now);
}

export function onStopped(state: AppState, launchId: string): AppState {
  if (state.launch.kind !== "stopping" || state.launch.workload.launchId !== launchId) return state;
  return { ...state, launch: { kind: "none" } };
}

export function onExited(before: AppState, launchId: string, exit: Exit, lastLine: string, now: number): AppState {
  const { launch } = before;
  if (launch.kind !== "running" || launch.workload.launchId !== launchId) return before;
  const state = answered(before, now);
  const crashes = now >= (forgivenAt(state) ?? Infinity) ? 1 : state.crashes + 1;
  const detail = `${exitWords(exit)}${outputWords(lastLine)}`;
  const after: AppState = {
    ...breakHealth(state, detail, now),
    crashes,
    launch: again(state, now + restartDelayMs(crashes)),
    health: { kind: "unknown" },
  };
  if (after.phase.kind !== "probing") return turnUnhealthy(after, { code: "exited", message: detail }, now);
  const { probing } = after.phase;
  const exits = probing.exits + 1;
  if (exits >= PROBING_EXITS_MAX) return fail(after, exitedTooOften(exit, exits, now - probing.startedAt, lastLine), now);
  return { ...after, phase: { kind: "probing", probing: { ...probing, exits } } };
}

export function onVerdict(before: AppState, verdict: Verdict, now: number): AppState {
  if (!probes(before)) return before;
  const state = answered(before, now);
  switch (verdict.health) {
    case "unknown":
      return state.health.kind === "unknown" ? state : { ...breakHealth(state, "no answer yet", now), health: { kind: "unknown" } };
    case "healthy": {
      if (state.health.kind === "healthy") return state;
      const after: AppState = { ...state, health: { kind: "healthy", since: now - healthyMsOf(state, now) } };
      if (state.phase.kind !== "unhealthy") return after;
      const { revertedFor } = state.phase;
      return enter(after, revertedFor === undefined ? { kind: "healthy", pruned: false } : { kind: "reverted", reason: revertedFor }, now);
    }
    case "unhealthy": {
      const after: AppState = { ...breakHealth(state, verdict.detail, now), health: { kind: "unhealthy", detail: verdict.detail } };
      return turnUnhealthy(after, { code: "turned_unhealthy", message: verdict.detail }, now);
    }
  }
}

/** Going back ended on the way to its release, and nothing runs: an agent that starts tries it once more. */
function backAgain(state: AppState, { reason, cause }: Extract<Phase, { kind: "failed" }>, now: number): AppState {
  const reverting: Phase = { kind: "reverting", move: "switch", cause: cause ?? reason, deadlineAt: now };
  return { ...enter(state, reverting, now), late: reason };
}

/**
 * The agent has started again: the process may have ended, or the whole machine, while it was away. What it finds alive is as it was once a probe has answered. On probation, what must be started again, and files, which show no
 * trace of a reboot, are probed from the beginning, as slow starters need; a process that ended by itself has failed.
 */
export function onWoken(state: AppState, found: Workload | undefined, bootId: string, now: number): AppState {
  const unseen: AppState = { ...state, health: { kind: "unknown" } };
  switch (state.launch.kind) {
    case "none":
      return state.phase.kind === "failed" && !state.settled ? backAgain(unseen, state.phase, now) : probeAnew(unseen, now);
    case "waiting":
      return probeAnew(unseen, now);
    case "starting":
      return found === undefined ? unseen : onStarted(unseen, found, now);
    case "stopping":
      return found === undefined ? { ...unseen, launch: { kind: "none" } } : unseen;
    case "running": {
      const { workload } = state.launch;
      if (found !== undefined) return !state.settled ? unseen : { ...state, health: { kind: "awaited", healthyMs: healthyMsBefore(state), since: now } };
      if (workload.bootId === bootId) return onExited(unseen, workload.launchId, { code: null, signal: null }, "", now);
      const rebooted: AppState = { ...unseen, launch: again(state, now) };
      return probeAnew(rebooted, now);
    }
  }
}

/**
 * Of a process that this agent has found alive: for how long it had been healthy, as far as the agent before it wrote that down. What is healthy had been so for long enough. Neither that nor what was gone back to was, when its
 * machine has started since and nobody has seen it well.
 */
function healthyMsBefore(state: AppState): number {
  const { phase, goal, seenAt } = state;
  if (phase.kind === "probing" || phase.kind === "failed") return healthyMsOf(state, seenAt);
  if (!isSeenWell(state)) return 0;
  return Math.max(1, phase.kind === "healthy" ? (goal?.minHealthyTimeMs ?? 0) : healthyMsOf(state, seenAt));
}

/** What is healthy or was gone back to has been well since it runs. The next agent goes by it. */
export function isSeenWell({ phase, health }: AppState): boolean {
  if (phase.kind !== "healthy" && phase.kind !== "reverted") return false;
  return health.kind === "healthy" || (health.kind === "awaited" && health.healthyMs > 0);
}

/** When the crashes before this run count no more; undefined: there are none. */
export function forgivenAt({ launch, crashes }: AppState): number | undefined {
  return launch.kind === "running" && crashes > 0 ? launch.startedAt + LONG_RUN_MS : undefined;
}

/** When what runs will have been healthy for as long as is required, where that is waited for. */
export function wellEnoughAt({ phase, health, settled, current, goal }: AppState): number | undefined {
  const isBackOnGoal = phase.kind === "reverting" && phase.move === "probe" && sameRelease(current, wanted({ goal }));
  const isWaitedFor = phase.kind === "probing" || isBackOnGoal || (phase.kind === "failed" && settled && current !== undefined);
  return isWaitedFor && health.kind === "healthy" ? health.since + (goal?.minHealthyTimeMs ?? 0) : undefined;
}

/** On probation and while it is probed, with a deadline of its own; in every other phase, and once the release is the last good one, nothing. */
function probeAnew(state: AppState, now: number): AppState {
  if (!isOnProbation(state) && state.phase.kind !== "probing") return state;
  const deadlineAt = now + goalDeadlineMs(state.goal);
  return enter({ ...state, deadlineAt }, { kind: "probing", probing: freshProbing(now) }, now);
}

/** Wherever something is judged by time and health, what was known is awaited again; the probes are asked at once. */
export function onGap(state: AppState, now: number): AppState {
  const { phase } = state;
  const isJudged = phase.kind === "probing" || phase.kind === "failed" || (phase.kind === "reverting" && phase.move === "probe");
  if (!isJudged || !probes(state)) return state;
  return { ...state, gaps: state.gaps + 1, health: { kind: "awaited", healthyMs: healthyMsOf(state, now), since: now } };
}

/** Stopped on purpose, together with the agent. */
export function onHalted(state: AppState): AppState {
  switch (state.launch.kind) {
    case "none":
    case "waiting":
      return state;
    case "starting":
    case "running":
    case "stopping":
      return { ...state, health: { kind: "unknown" }, launch: again(state, AT_ONCE) };
  }
}

/** Whatever the clock says by then: a machine may boot without knowing the time. */
const AT_ONCE = 0;

export function freshProbing(now: number): Probing {
  return { startedAt: now, exits: 0, brokenHealthyMs: 0, lastDetail: "" };
}

/** Whether the probes of `current` are asked now. */
export function probes(state: AppState): boolean {
  if (!state.settled || state.current === undefined) return false;
  return !isProcess(state.current) || state.launch.kind === "running";
}

/** Only what `current` surely asks for is started again; in the middle of an exchange the exchange itself starts what is due. */
function again(state: AppState, until: number): Launch {
  return state.settled ? { kind: "waiting", until } : { kind: "none" };
}

/** While probing, writes down how long it had been healthy, and what ended that. */
function breakHealth(state: AppState, detail: string, now: number): AppState {
  if (state.phase.kind !== "probing") return state;
  const { probing } = state.phase;
  const brokenHealthyMs = Math.max(probing.brokenHealthyMs, healthyMsOf(state, now));
  if (probing.lastDetail === detail && probing.brokenHealthyMs === brokenHealthyMs) return state;
  return { ...state, phase: { kind: "probing", probing: { ...probing, lastDetail: detail, brokenHealthyMs } } };
}

/** For how long it has been healthy without a break; 0: it is not, or it was not when somebody looked last. */
function healthyMsOf({ health }: AppState, now: number): number {
  if (health.kind === "awaited") return health.healthyMs;
  return health.kind === "healthy" ? Math.max(1, now - health.since) : 0;
}

/** Says it when what runs was well, be it the wanted release or the one before it, and only when that is news. On probation the release has failed. */
function turnUnhealthy(state: AppState, reason: Reason, now: number): AppState {
  const unhealthy = (revertedFor: Reason | undefined): Phase => ({
    kind: "unhealthy",
    reason: revertedFor === undefined ? reason : unwell(state.current?.version ?? "", reason, revertedFor),
    revertedFor,
  });
  switch (state.phase.kind) {
    case "healthy":
      return isOnProbation(state) ? fail(state, reason, now) : enter(state, unhealthy(undefined), now);
    case "reverted":
      return enter(state, unhealthy(state.phase.reason), now);
    case "unhealthy":
      return state.phase.reason.code === reason.code ? state : enter(state, unhealthy(state.phase.revertedFor), now);
    case "idle":
    case "pulling":
    case "staged":
    case "activating":
    case "probing":
    case "reverting":
    // Down already, by what it says.
    case "failed":
    case "removing":
    case "removed":
      return state;
  }
}
