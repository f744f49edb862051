/**
 * What the runner needs of the world. Each is implemented in a folder of its own and bound in compose.ts alone.
 * Everything here may be called again after a crash at any point: each operation is idempotent, and looks at the world before it acts.
 */
import type { ReasonCode } from "@muster/proto/reason.ts";
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Probe, Release } from "@muster/proto/gen/muster/v1/release.ts";

/** Why something expected went wrong. `retryable` faults are of the surroundings (network, disk full), not of the release. */
export interface Fault {
  readonly code: ReasonCode;
  readonly message: string;
  readonly retryable: boolean;
}

export type Outcome<T = void> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly fault: Fault };

/** `trust/`: whether this machine runs a release at all. It asks the trust root that is pinned here, and believes no controller in it. */
export interface ReleaseTrust {
  /** Of a release that is to be run anew. May ask for a newer trust root first. */
  judge(release: Release): Promise<Outcome>;
  /** Of the one that ran here last and was good. */
  judgeReturn(release: Release): Promise<Outcome>;
}

/**
 * `pull/`: brings an artifact's files to this machine. Resolves with ok only when `releases/<digest>/` of the app stands whole: every byte
 * verified against the manifest, flushed, renamed into place. What was verified in an earlier try is not fetched again.
 */
export interface Puller {
  pull(request: { readonly app: string; readonly artifact: string; readonly artifactUrl: string; readonly signal: AbortSignal }): Promise<Outcome>;
}

/** `apply/`: release directories of apps: `apps/<app>/{releases/<digest>/, current → releases/<digest>, shared/, state.json}`. */
export interface ReleaseStore {
  /** Absolute and resolved (never through `current`); whether or not it exists. */
  releaseDir(app: string, artifact: string): string;
  has(app: string, artifact: string): Promise<boolean>;
  /** Where `current` points, or undefined. */
  current(app: string): Promise<string | undefined>;
  /** Makes sure that a switch to it will need no room on the disk; done before anything is stopped for it. */
  makeReady(app: string, artifact: string): Promise<Outcome>;
  /** Atomic (symlink + rename), durable when it resolves. Undefined takes `current` away. */
  switchTo(app: string, artifact: string | undefined): Promise<Outcome>;
  /** Deletes all releases but `keep`, and staging left over. */
  prune(app: string, keep: readonly string[]): Promise<void>;
  /** Deletes the app's folder. */
  removeApp(app: string): Promise<void>;
}

/**
 * `secrets/`: the values that releases on this machine name, in folders that nobody else may enter. A release that names none needs nothing of it, and all of this
 * does nothing for it.
 */
export interface SecretStore {
  /** Remembers what came sealed in an assignment, in place of what it had. Opens nothing yet. */
  take(assignment: Assignment): void;
  /** Where a release finds its files of secrets; whether or not it exists. */
  dir(app: string, version: string): string;
  /** Makes sure that all values of the release are on disk, durable when it resolves. What is there is not opened again. */
  place(app: string, release: Release): Promise<Outcome>;
  /** The variables that hold secrets, once they are placed. */
  environment(app: string, release: Release): Outcome<Readonly<Record<string, string>>>;
  /** Switches `secrets/current` to the files of a release; undefined takes it away. */
  point(app: string, release: Release | undefined): Promise<Outcome>;
  /** A text for people without the values of the app's secrets. */
  redact(app: string, text: string): string;
  /** Deletes all but those of these versions. */
  prune(app: string, keep: readonly string[]): Promise<void>;
}

/** A started process group, as it is written to disk: enough to know it again after this agent was killed, and never to take another for it. */
export interface Workload {
  /** Unguessable; in the process's environment as MUSTER_LAUNCH_ID, so it is found again even when the agent died before it knew the pid. */
  readonly launchId: string;
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat, and the boot it belongs to. */
  readonly startTicks: string;
  readonly bootId: string;
}

export interface LaunchSpec {
  readonly app: string;
  readonly version: string;
  readonly launchId: string;
  /** Working directory: the release, resolved. */
  readonly releaseDir: string;
  /** All `${…}` filled in. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** How a workload ended; code and signal are null when it was adopted, since only a parent may ask. */
export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** `drivers/`: how a release is run. `files` has no workloads, so it needs no driver calls at all. */
export interface ProcessDriver {
  start(spec: LaunchSpec): Promise<Outcome<Workload>>;
  /** The living workload of a launch, or undefined. `known` saves the search of /proc; it is believed only if everything matches. */
  find(launchId: string, known: Workload | undefined): Promise<Workload | undefined>;
  /** Resolves when it has ended; at once when it is gone already. */
  waitForExit(workload: Workload, signal: AbortSignal): Promise<Exit>;
  /** SIGTERM to the group, SIGKILL after the time-out; resolves when nothing of the group is left. */
  stop(workload: Workload, stopTimeoutMs: number): Promise<void>;
}

/** The verdict of all probes of a release together, after healthy_after / unhealthy_after. */
export type Verdict =
  | { readonly health: "unknown" }
  | { readonly health: "healthy" }
  /** What the failing probe saw last, for example `GET http://127.0.0.1:4000/healthz answered 500`. */
  | { readonly health: "unhealthy"; readonly detail: string };

export interface ProbeTarget {
  /** It was healthy when somebody looked last: one good answer of each probe is enough, instead of `healthy_after`. */
  readonly wasHealthy: boolean;
  /** With every `${…}` filled in. */
  readonly probes: readonly Probe[];
  readonly releaseDir: string;
  readonly env: Readonly<Record<string, string>>;
  /** Takes secrets out of what a command has written, before it is told. */
  readonly redact: (text: string) => string;
}

/** `health/`: asks the probes until told to stop. */
export interface Prober {
  /**
   * Calls back on each change of the verdict, and with each failed sample while not yet healthy (so that the last detail is known).
   * No probes: healthy at once. Never overlaps two samples of one probe.
   */
  watch(target: ProbeTarget, onVerdict: (verdict: Verdict) => void): { stop(): void };
}

/** Free ports for `auto`. */
export interface PortPicker {
  /** A port on 127.0.0.1 that nobody listens on now and that is not in `taken`. */
  pick(taken: ReadonlySet<number>): Promise<number>;
  isFree(port: number): Promise<boolean>;
}

/** A workload's output, kept by the driver in size-capped, rotated files. */
export interface LogReader {
  /** The last lines, oldest first, and then (with follow) each new one until the signal aborts. */
  read(request: {
    readonly app: string;
    readonly tailLines: number;
    readonly follow: boolean;
    readonly signal: AbortSignal;
  }): AsyncIterable<readonly { readonly stream: "stdout" | "stderr"; readonly text: string }[]>;
}

/** Time. */
export interface Clock {
  /** Attended time in milliseconds, for decisions: it never goes back, and passes only while the agent looks. Where it begins means nothing. */
  now(): number;
  /** How often it has found, when asked, that nobody had looked for a while. */
  readonly gaps: number;
  /** Calls back once, in real time; what it returns takes the call back. */
  after(delayMs: number, call: () => void): () => void;
}

/** Chance. */
export interface Random {
  /** From 0 to below 1. */
  fraction(): number;
  /** Never given before, on any machine. */
  uuid(): string;
}
