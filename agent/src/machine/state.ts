/**
 * Where one app stands on this machine: all that must survive the agent's death. It is plain data, so it is written to disk as it is.
 *
 *     idle ─▶ pulling ─▶ staged ─▶ activating ─▶ probing ─▶ healthy ◀─▶ unhealthy
 *                │          │          │            │
 *                ▼          ▼          ▼            ▼
 *          reverted | failed         reverting ─▶ reverted | failed          (any) ─▶ removing ─▶ removed
 *
 *     reverted ◀─▶ unhealthy     failed ─▶ healthy | reverted       what runs there turns unhealthy, and is well again
 *
 * A newer goal leads from every phase to pulling, to removing, or, when what it asks for runs and is well, to probing. When it asks for what is being activated or gone back to,
 * it leads to activating, at the step where the agent is.
 * A release that is healthy is on probation until the controller confirms it: when it turns unhealthy before that, `healthy` leads to `reverting`, and not
 * to `unhealthy`. A release that is confirmed from the start, as one is that the controller goes back to, never leads to `reverting` once the agent has switched to it: it leads to `failed`, where it is
 * started again and again, and to `healthy` when it is well. An agent that starts again on probation and finds the process gone with the whole machine probes it anew.
 * A passing fault, such as a full disk, ends no way after which nothing would run: that is told as failed, and tried again (`late`).
 * Two things run beside each other and meet only in `settled`: the phase (on the way to the goal) and the launch (the process that
 * `current` asks for), so that the old release is kept alive while the new one is fetched.
 */
import type { AppAssignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { ReasonCode } from "@muster/proto/reason.ts";

export interface Reason {
  readonly code: ReasonCode;
  readonly message: string;
}

/** A fault of a step. `retryable`: of the surroundings, so it is worth another try before the deadline. */
export interface Fault extends Reason {
  readonly retryable: boolean;
}

/** A living process group, as the driver knows it. */
export interface Workload {
  readonly launchId: string;
  readonly pid: number;
  readonly startTicks: string;
  readonly bootId: string;
}

/** Both null when it ended unseen. */
export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** The process of `current`. */
export type Launch =
  | { readonly kind: "none" }
  /** Written down before the process is started, so that it is found again whatever happens in between. */
  | { readonly kind: "starting"; readonly launchId: string }
  | { readonly kind: "running"; readonly workload: Workload; readonly startedAt: number }
  /** Ended, or could not be started; started (again) at `until`. */
  | { readonly kind: "waiting"; readonly until: number }
  | { readonly kind: "stopping"; readonly workload: Workload; readonly stopTimeoutMs: number };

/** What the probes of `current` say, since the process was started or this agent began to look. No phase is reported as healthy or reverted while it is not healthy. */
export type Health =
  | { readonly kind: "unknown" }
  /**
   * Nobody looked for a while. What was known before counts again, or does not, when a probe has answered: until then nothing is said and nothing is judged by it.
   * `healthyMs`: it had been healthy for so long by then; 0: it was not.
   */
  | { readonly kind: "awaited"; readonly healthyMs: number; readonly since: number }
  | { readonly kind: "healthy"; readonly since: number }
  | { readonly kind: "unhealthy"; readonly detail: string };

/** The parts of exchanging one release for another, in order. Files that run nothing skip `ports` and `start`. */
export type Move = "stop" | "ports" | "switch" | "start";

export type Phase =
  | { readonly kind: "idle" }
  | { readonly kind: "pulling" }
  /** On disk; waits until no other app of this machine is on the move. */
  | { readonly kind: "staged" }
  | { readonly kind: "activating"; readonly move: Move }
  | { readonly kind: "probing"; readonly probing: Probing }
  | { readonly kind: "healthy"; readonly pruned: boolean }
  /** `revertedFor`: why the wanted release failed, when it is the one before it that runs and is not well; it is reverted again when it is. */
  | { readonly kind: "unhealthy"; readonly reason: Reason; readonly revertedFor: Reason | undefined }
  /** To `lastGood`, or to nothing when there is none. */
  | { readonly kind: "reverting"; readonly move: Exclude<Move, "ports"> | "probe"; readonly cause: Reason; readonly deadlineAt: number }
  | { readonly kind: "reverted"; readonly reason: Reason }
  /** `cause`: why the wanted release failed, when going back from it failed too. */
  | { readonly kind: "failed"; readonly reason: Reason; readonly cause: Reason | undefined }
  | { readonly kind: "removing"; readonly move: "stop" | "switch" | "delete" }
  | { readonly kind: "removed" };

/** What was seen while probing; it becomes the reason when the deadline passes. */
export interface Probing {
  readonly startedAt: number;
  readonly exits: number;
  /** The longest stretch of health that broke off; 0 when none did. */
  readonly brokenHealthyMs: number;
  /** How it broke off, or what a probe saw last; empty at first. */
  readonly lastDetail: string;
}

/** A step that failed for a passing reason, and when it is tried again. */
export interface Retry {
  readonly tries: number;
  readonly until: number;
  readonly due: boolean;
  readonly fault: Fault;
}

export interface AppState {
  readonly app: string;
  /** As received; undefined before the first. */
  readonly goal: AppAssignment | undefined;
  readonly phase: Phase;
  /** Not moved by the time between two agents, as the other times are: it does not say for how long an agent has looked. */
  readonly phaseSince: number;
  /** When this was looked at last, as far as it is worth a write. All times here are of the agent's attended time. */
  readonly seenAt: number;
  /** When the goal's release must be healthy; 0 without a goal. While that of a confirmed goal is held (`isDeadlineHeld`), it is as `seenAt` left it. */
  readonly deadlineAt: number;
  /** What runs now, or should. */
  readonly current: Release | undefined;
  /**
   * The newest release that was healthy and confirmed: what a failed one is taken back to, with or without a network. Where there is none yet, the
   * first that is healthy: there is nothing better to go back to.
   */
  readonly lastGood: Release | undefined;
  /** Artifacts of the last good releases, newest first: what pruning keeps beside that of `current`. */
  readonly goodArtifacts: readonly string[];
  /** False from the first move of an exchange to its last: link and process are not known to be those of `current`. */
  readonly settled: boolean;
  readonly launch: Launch;
  readonly health: Health;
  /** Ports chosen for `auto`, by name. Kept over releases. */
  readonly ports: Readonly<Record<string, number>>;
  /** Counts gaps after which the probes were asked anew. */
  readonly gaps: number;
  /** For this goal. */
  readonly starts: number;
  /** Exits one after another, none of which had run for long. */
  readonly crashes: number;
  readonly retry: Retry | undefined;
  /**
   * The time for this is over, and only a passing fault keeps it from going on. Nothing better can run here, so it is told as failed, for this reason, and tried again for as long as it takes.
   * Ends where the way does: healthy, reverted or failed; and with a newer goal.
   */
  readonly late: Reason | undefined;
  /** While the goal's release is fetched: when the controller was heard last. */
  readonly heardAt: number;
  /** The time to fetch is over by the clock. That is said when the controller is heard: it may have been away for some of it. */
  readonly isFetchedLate: boolean;
  /** Counts changes of phase, so that the result of a step that was given up is not taken for that of a later one. */
  readonly transitions: number;
}

export function emptyState(app: string, now: number): AppState {
  return {
    app,
    goal: undefined,
    phase: { kind: "idle" },
    phaseSince: now,
    seenAt: now,
    deadlineAt: 0,
    current: undefined,
    lastGood: undefined,
    goodArtifacts: [],
    settled: true,
    launch: { kind: "none" },
    health: { kind: "unknown" },
    ports: {},
    gaps: 0,
    starts: 0,
    crashes: 0,
    retry: undefined,
    late: undefined,
    heardAt: now,
    isFetchedLate: false,
    transitions: 0,
  };
}

/** The release that the goal asks for; undefined when it asks for removal, or there is no goal. */
export function wanted(state: Pick<AppState, "goal">): Release | undefined {
  return state.goal?.goal?.$case === "run" ? state.goal.goal.value : undefined;
}

/** `current` is the wanted release and healthy, but not the last good one: should it turn unhealthy, the agent goes back. */
export function isOnProbation({ phase, current, lastGood }: AppState): boolean {
  return phase.kind === "healthy" && !sameRelease(current, lastGood);
}

/** The agent has switched to the wanted release, which is confirmed: in the middle of an exchange, once it has come to the start. */
export function isOnConfirmed(state: Pick<AppState, "goal" | "current" | "settled" | "phase">): boolean {
  const { goal, current, settled, phase } = state;
  const isSwitched = settled || (phase.kind === "activating" && phase.move === "start");
  return goal?.confirmed === true && isSwitched && sameRelease(current, wanted(state));
}

/** The app is stopped for as long as its machine is drained, and what was good is kept. */
export function isDrain({ goal }: AppState): boolean {
  return goal?.goal?.$case === "remove" && goal.goal.value.drained;
}

export function isProcess(release: Release): boolean {
  return release.driver?.$case === "process";
}

export function enter(state: AppState, phase: Phase, now: number): AppState {
  if (phase.kind === state.phase.kind) return { ...state, phase };
  return { ...state, phase, phaseSince: now, late: isOnTheWay(phase) ? state.late : undefined, isFetchedLate: false, transitions: state.transitions + 1 };
}

/** From one release to another: only there can something be late. */
export function isOnTheWay({ kind }: Phase): boolean {
  return kind === "pulling" || kind === "staged" || kind === "activating" || kind === "probing" || kind === "reverting";
}

/**
 * Equal in every field, whatever the order of map keys; a field that is undefined is as good as absent, as it is after a trip through JSON. Who signed it is no part of what
 * it is: a release that has been signed once more is not run anew.
 */
export function sameRelease(a: Release | undefined, b: Release | undefined): boolean {
  return a !== undefined && b !== undefined && equal({ ...a, signed: undefined }, { ...b, signed: undefined });
}

function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const [left, right] = [fields(a), new Map(fields(b))];
  return left.length === right.size && left.every(([key, value]) => equal(value, right.get(key)));
}

function fields(value: object): readonly (readonly [string, unknown])[] {
  return Object.entries(value).filter(([, field]) => field !== undefined);
}

export function unreachable(value: never): never {
  throw new Error(`bug: unexpected ${JSON.stringify(value)}`);
}
