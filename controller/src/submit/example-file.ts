/**
 * Deployment files for tests: a small good one whose parts can be replaced, and its faults as a user sees them.
 */
import { readDeploymentFile } from "./read.ts";

export interface Parts {
  readonly app?: string;
  readonly version?: string;
  readonly artifact?: string;
  /** The lines under `run:`; they begin at line 5. */
  readonly run?: string;
  /** The lines under `rollout:`; they begin at line 7 when `run` has one line. */
  readonly rollout?: string;
  /** What stands at the end; begins at line 8 when the others have one line each. */
  readonly end?: string;
}

export function exampleFile(parts: Parts = {}): string {
  const { app = "web", version = '"1.0"', artifact = "./dist", run = "  command: [./app]", rollout = "  targets: role=web", end = "" } = parts;
  return `app: ${app}\nversion: ${version}\nartifact: ${artifact}\nrun:\n${run}\nrollout:\n${rollout}\n${end}`;
}

/** `line:column path: message` of every fault. */
export function faultLines(content: string | Uint8Array): readonly string[] {
  const outcome = readDeploymentFile(typeof content === "string" ? Buffer.from(content) : content);
  if (outcome.ok) return [];
  return outcome.faults.map(({ line, column, path, message }) => `${line}:${column}${path === "" ? "" : ` ${path}`}: ${message}`);
}

/** The keys that may stand in `rollout`, as a fault lists them. */
export const ROLLOUT_KEYS =
  "targets, waves, gates, alarms, max_unavailable, max_unavailable_per, spread, order, min_healthy_time, healthy_deadline, progress_deadline, max_failures, " +
  "max_unreachable, offline, late_joiners, window, start, start_at, after, priority, on_failure, on_conflict";
