/**
 * The agent's attended time: it passes only while an agent looks. `moment.now` is such a time within one life of an agent; from one life to the next
 * what is written down keeps the time that was left, whatever the clock of the machine says by then.
 */
import type { AppAssignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { provenDeadlineMs } from "@muster/proto/proven.ts";
import type { AppState, Health, Launch, Phase } from "./state.ts";

/** While a deadline runs, it is written down at least so often how much of it has passed: that much an agent that is killed may give away. */
export const SEEN_EVERY_MS = 5_000;

/** How long the release of a goal has to be healthy. */
export function goalDeadlineMs(goal: AppAssignment | undefined): number {
  return goal?.confirmed === true ? provenDeadlineMs(goal.healthyDeadlineMs) : (goal?.healthyDeadlineMs ?? 0);
}

/**
 * The deadline of a confirmed goal does not run: another app of the machine is on the move, or the old process is being stopped. Neither says anything of the release.
 * A step of `staged` that has failed is tried again within the deadline.
 */
export function isDeadlineHeld({ goal, phase, retry }: Pick<AppState, "goal" | "phase" | "retry">): boolean {
  if (goal?.confirmed !== true) return false;
  return (phase.kind === "staged" && retry === undefined) || (phase.kind === "activating" && phase.move === "stop");
}

/** While its deadline is held: with that moved to now. `seenAt` says up to when it has been, so both are moved and written together. */
export function heldUntil(state: AppState, now: number): AppState {
  if (!isDeadlineHeld(state) || now === state.seenAt) return state;
  return { ...state, deadlineAt: state.deadlineAt + now - state.seenAt, seenAt: now };
}

/** Notes when the state was looked at: with every change that is worth a write, and from time to time while a deadline runs. */
export function seen(before: AppState, after: AppState, runsDeadline: boolean, now: number): AppState {
  const isDue = runsDeadline && now - after.seenAt >= SEEN_EVERY_MS;
  return isDue || !isSameBesideHealth(before, after) ? { ...after, seenAt: now } : after;
}

/** A probe has answered, or the process has ended: the time in which that was awaited is none of the deadline's. */
export function answered(state: AppState, now: number): AppState {
  const { health, phase } = state;
  if (health.kind !== "awaited") return state;
  const byMs = now - health.since;
  if (phase.kind === "probing") return { ...state, deadlineAt: state.deadlineAt + byMs };
  return phase.kind === "reverting" ? { ...state, phase: { ...phase, deadlineAt: phase.deadlineAt + byMs } } : state;
}

/**
 * In an agent that has just started: all times of the one before it, moved by as long as nobody looked; the time to fetch by as long as the controller was not heard. A step that was to be tried again is tried at
 * once.
 */
export function resumed(state: AppState, now: number): AppState {
  const byMs = now - state.seenAt;
  const { retry, goal, phase } = state;
  return {
    ...state,
    seenAt: now,
    phase: movedPhase(phase, byMs),
    heardAt: now,
    isFetchedLate: false,
    deadlineAt: goal === undefined ? 0 : state.deadlineAt + (phase.kind === "pulling" ? now - state.heardAt : byMs),
    launch: movedLaunch(state.launch, byMs),
    health: movedHealth(state.health, byMs),
    retry: retry === undefined ? undefined : { ...retry, until: retry.until + byMs, due: true },
  };
}

function movedPhase(phase: Phase, byMs: number): Phase {
  if (phase.kind === "reverting") return { ...phase, deadlineAt: phase.deadlineAt + byMs };
  if (phase.kind === "probing") return { kind: "probing", probing: { ...phase.probing, startedAt: phase.probing.startedAt + byMs } };
  return phase;
}

function movedLaunch(launch: Launch, byMs: number): Launch {
  if (launch.kind === "running") return { ...launch, startedAt: launch.startedAt + byMs };
  return launch.kind === "waiting" ? { kind: "waiting", until: launch.until + byMs } : launch;
}

function movedHealth(health: Health, byMs: number): Health {
  return health.kind === "healthy" || health.kind === "awaited" ? { ...health, since: health.since + byMs } : health;
}

function isSameBesideHealth(a: AppState, b: AppState): boolean {
  const { health: _a, ...left } = a;
  const { health: _b, ...right } = b;
  return (Object.keys(right) as (keyof typeof right)[]).every((key) => left[key] === right[key]);
}
