/**
 * What the runner is to do now, read off the state alone: so a step that was half done when the agent died is simply asked for again.
 *
 * A key names one try of one step: the same key is never performed twice within one life of the agent, and a result under any other key is stale.
 */
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { forgivenAt, probes, wellEnoughAt } from "./launch.ts";
import { type AppState, type Workload, isProcess, unreachable, wanted } from "./state.ts";
import { SEEN_EVERY_MS, isDeadlineHeld } from "./time.ts";

/** Steps that deal with files; one at a time. */
export type FileStep = { readonly key: string } & (
  | { readonly kind: "pull"; readonly release: Release }
  /** Waits for this app's turn; then makes sure that the release can be run here, before the old one is touched. */
  | { readonly kind: "prepare"; readonly release: Release }
  /** Chooses ports for `auto`, and makes sure that nobody else holds the release's ports. */
  | { readonly kind: "ports"; readonly release: Release }
  | { readonly kind: "switch"; readonly artifact: string | undefined }
  | { readonly kind: "prune"; readonly keep: readonly string[] }
  | { readonly kind: "delete" }
);

/** Steps that deal with the process; one at a time, beside those of files. */
export type ProcessStep = { readonly key: string } & (
  | { readonly kind: "start"; readonly launchId: string; readonly release: Release }
  | { readonly kind: "stop"; readonly workload: Workload; readonly stopTimeoutMs: number }
);

export interface Demand {
  readonly files: FileStep | undefined;
  readonly process: ProcessStep | undefined;
  /** In the middle of an exchange of releases: no other app of this machine may be. */
  readonly holdsTurn: boolean;
  /** Tell when it ends. */
  readonly watch: Workload | undefined;
  /** `wasHealthy`: when somebody looked last, so that one good answer is enough. */
  readonly probe: { readonly key: string; readonly release: Release; readonly wasHealthy: boolean } | undefined;
  /** Attended time; undefined: nothing is due. */
  readonly wakeAt: number | undefined;
}

export function demandOf(state: AppState): Demand {
  const { launch, current, health, gaps } = state;
  return {
    files: fileStepOf(state),
    process: processStepOf(state),
    holdsTurn: holdsTurn(state),
    watch: launch.kind === "running" ? launch.workload : undefined,
    probe:
      probes(state) && current !== undefined
        ? { key: launch.kind === "running" ? `${launch.workload.launchId} ${gaps}` : `files ${current.artifact} ${gaps}`, release: current, wasHealthy: health.kind === "awaited" && health.healthyMs > 0 }
        : undefined,
    wakeAt: wakeAt(state),
  };
}

/** What is late leaves the turn to others between two tries: it is down anyway. */
function holdsTurn({ phase, retry, late }: AppState): boolean {
  if (late !== undefined && retry !== undefined && !retry.due) return false;
  return phase.kind === "activating" || (phase.kind === "reverting" && phase.move !== "probe");
}

export function fileStepOf(state: AppState): FileStep | undefined {
  if (state.retry !== undefined && !state.retry.due) return undefined;
  const { phase } = state;
  const key = (kind: FileStep["kind"]): string => `${state.transitions} ${kind} ${state.retry?.tries ?? 0}`;
  const release = wanted(state);
  switch (phase.kind) {
    case "pulling":
      return release === undefined ? undefined : { kind: "pull", key: key("pull"), release };
    case "staged":
      return release === undefined ? undefined : { kind: "prepare", key: key("prepare"), release };
    case "activating":
      if (release === undefined) return undefined;
      if (phase.move === "ports") return { kind: "ports", key: key("ports"), release };
      return phase.move === "switch" ? { kind: "switch", key: key("switch"), artifact: release.artifact } : undefined;
    case "reverting":
      return phase.move === "switch" ? { kind: "switch", key: key("switch"), artifact: state.lastGood?.artifact } : undefined;
    case "healthy":
      return phase.pruned ? undefined : { kind: "prune", key: key("prune"), keep: keptArtifacts(state) };
    case "removing":
      if (phase.move === "switch") return { kind: "switch", key: key("switch"), artifact: undefined };
      return phase.move === "delete" ? { kind: "delete", key: key("delete") } : undefined;
    case "idle":
    case "probing":
    case "unhealthy":
    case "reverted":
    case "failed":
    case "removed":
      return undefined;
  }
}

/** That of the release that runs, which may be on probation, and those to go back to. */
function keptArtifacts({ current, goodArtifacts }: AppState): readonly string[] {
  return current === undefined || goodArtifacts.includes(current.artifact) ? goodArtifacts : [current.artifact, ...goodArtifacts];
}

function processStepOf({ launch, current }: AppState): ProcessStep | undefined {
  switch (launch.kind) {
    case "starting":
      if (current === undefined || !isProcess(current)) return undefined;
      return { kind: "start", key: `start ${launch.launchId}`, launchId: launch.launchId, release: current };
    case "stopping":
      return { kind: "stop", key: `stop ${launch.workload.launchId}`, workload: launch.workload, stopTimeoutMs: launch.stopTimeoutMs };
    case "none":
    case "running":
    case "waiting":
      return undefined;
    default:
      return unreachable(launch);
  }
}

function wakeAt(state: AppState): number | undefined {
  const { launch, retry } = state;
  const times = deadlinesOf(state);
  if (times.length > 0) times.push(state.seenAt + SEEN_EVERY_MS);
  if (retry !== undefined && !retry.due) times.push(retry.until);
  if (launch.kind === "waiting") times.push(launch.until);
  for (const at of [wellEnoughAt(state), forgivenAt(state)]) if (at !== undefined) times.push(at);
  return times.length === 0 ? undefined : Math.min(...times);
}

export function runsDeadline(state: AppState): boolean {
  return deadlinesOf(state).length > 0;
}

/** None is judged by while a probe's answer is awaited. */
function deadlinesOf(state: AppState): number[] {
  if (isDeadlineHeld(state)) return [];
  const { phase, retry, health, deadlineAt } = state;
  const isAwaited = health.kind === "awaited";
  if (state.late !== undefined && phase.kind !== "probing") return [];
  switch (phase.kind) {
    case "pulling":
      return state.isFetchedLate ? [] : [deadlineAt];
    case "staged":
      return [deadlineAt];
    case "probing":
      return isAwaited ? [] : [deadlineAt];
    case "activating":
      return retry === undefined ? [] : [deadlineAt];
    case "reverting":
      return retry !== undefined || (phase.move === "probe" && !isAwaited && health.kind !== "healthy") ? [phase.deadlineAt] : [];
    case "idle":
    case "healthy":
    case "unhealthy":
    case "reverted":
    case "failed":
    case "removing":
    case "removed":
      return [];
  }
}
