/** What is told of an app: the whole picture at one moment, so only the newest matters. */
import type { AppState, Phase, Reason } from "./state.ts";
import { whyNotYet } from "./words.ts";

export interface Picture {
  readonly app: string;
  readonly generation: number;
  readonly phase: Exclude<Phase["kind"], "idle">;
  readonly reason: Reason | undefined;
  /** Empty when nothing runs. */
  readonly runningVersion: string;
  readonly runningArtifact: string;
  readonly starts: number;
  /** 0 without a process. */
  readonly pid: number;
  readonly ports: Readonly<Record<string, number>>;
}

/** Undefined while there is nothing to tell: no goal yet. */
export function pictureOf(state: AppState): Picture | undefined {
  if (state.phase.kind === "idle" || state.goal === undefined) return undefined;
  const { current, launch } = state;
  const runs = state.settled || launch.kind === "running" || launch.kind === "stopping" ? current : undefined;
  return {
    app: state.app,
    generation: state.goal.generation,
    phase: state.late === undefined ? shownPhase(state.phase.kind, state.health.kind === "healthy") : "failed",
    reason: state.late ?? reasonOf(state),
    runningVersion: runs?.version ?? "",
    runningArtifact: runs?.artifact ?? "",
    starts: state.starts,
    pid: launch.kind === "running" || launch.kind === "stopping" ? launch.workload.pid : 0,
    ports: runs === undefined ? {} : portsOf(runs.ports, state.ports),
  };
}

/** What was healthy before this agent was started, or before its machine was, is only said to be so once a probe has answered since. */
function shownPhase(phase: Picture["phase"], isHealthy: boolean): Picture["phase"] {
  if (isHealthy) return phase;
  return phase === "healthy" ? "probing" : phase === "reverted" ? "reverting" : phase;
}

/** Whether `after` is news: another goal, phase, kind of reason, or, where a release runs, another process. */
export function isNews(before: Picture | undefined, after: Picture | undefined): after is Picture {
  if (after === undefined) return false;
  if (before === undefined) return true;
  if (after.generation !== before.generation || after.phase !== before.phase || after.reason?.code !== before.reason?.code) return true;
  return after.pid !== before.pid && after.pid !== 0 && after.phase !== "activating" && after.phase !== "reverting";
}

/** The ports of a release by name, `auto` ones as they were chosen; one that was not chosen yet is left out. */
export function portsOf(wanted: Readonly<Record<string, number>>, chosen: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  const ports: Record<string, number> = {};
  for (const [name, fixed] of Object.entries(wanted)) {
    const port = fixed === 0 ? chosen[name] : fixed;
    if (port !== undefined) ports[name] = port;
  }
  return ports;
}

function reasonOf({ phase, retry, health, launch }: AppState): Reason | undefined {
  switch (phase.kind) {
    case "probing":
      return whyNotYet(phase.probing, health.kind === "unhealthy", launch.kind === "waiting");
    case "unhealthy":
    case "reverted":
    case "failed":
      return phase.reason;
    case "reverting":
      return phase.cause;
    case "pulling":
    case "staged":
    case "activating":
    case "removing":
      return retry === undefined ? undefined : { code: retry.fault.code, message: retry.fault.message };
    case "idle":
    case "healthy":
    case "removed":
      return undefined;
  }
}
