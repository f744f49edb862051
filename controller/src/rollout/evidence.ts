/**
 * What a machine that leaves still says of the release: a program that removes or drains dead machines must not hide what kills them. Said once, for rollouts in memory and for the tables of those that have ended.
 */
import type { LeftAs, RolloutPhase, Target } from "./state.ts";

/** The phases in which evidence matters: the release goes on to others, or stays where it is. */
const COUNTING: readonly RolloutPhase[] = ["rolling", "paused", "succeeded", "failed", "aborted", "superseded"];

/**
 * Null: nothing. `leftWell`: nothing suggests that the release silenced the machine: it was heard when it left, had never had the release, or had been told to stop it. After the end of the rollout also that it
 * was well then, or had run the release for long. A machine that is drained with the release leaves well when it is alive, or has said that it stopped the app.
 */
export function evidenceOf(phase: RolloutPhase, target: Pick<Target, "state" | "purpose" | "letGo" | "leftAs" | "reason" | "firstTold" | "onTrial" | "attempts">, leftWell: boolean): LeftAs | null {
  const { state, purpose, letGo, leftAs } = target;
  if (leftAs !== null) return leftAs;
  if (!COUNTING.includes(phase)) return null;
  if (isDrainedWithIt(target)) return leftWell ? null : "lost";
  if (state === "unreachable") return !isLostWithRelease(target) || target.reason?.code === "not_taken" ? null : letGo === "excused" ? "excused" : "lost";
  if (purpose !== "update") return null;
  switch (state) {
    case "failed":
      return "failed";
    case "updating":
    case "healthy":
      return leftWell ? null : "lost";
    case "pending":
    case "skipped":
    case "reverting":
    case "reverted":
    case "removed":
      return null;
  }
}

/** The target was lost with the release before it left, whether a person knows of it or not. */
export function wasLost({ leftAs = null }: { readonly leftAs?: LeftAs | null }): boolean {
  return leftAs === "lost" || leftAs === "excused";
}

/** Of an unreachable target: it was told of the release, took it before a drain gave it something else, or ran it from the first and fell silent while the rollout went on. */
export function isLostWithRelease({ purpose, onTrial, attempts, firstTold, reason }: Pick<Target, "purpose" | "onTrial" | "attempts" | "firstTold" | "reason">): boolean {
  if (purpose !== null) return purpose === "update";
  return reason?.code === "silent" && (firstTold > 0 || (onTrial && attempts === 0));
}

/** The target was let go, since the deployment selects its machine no longer. */
export function isUnmatched({ state, reason }: Pick<Target, "state" | "reason">): boolean {
  return state === "skipped" && reason?.code === "unmatched";
}

/** The target took the release and left the rollout while it was heard, or a person knows of it: it was removed, or it was drained and matches no more. */
export function hasLeftWith(target: Target): boolean {
  if (target.state === "removed") return target.runs !== null && (target.leftAs === null || target.leftAs === "excused");
  return isUnmatched(target) && target.firstTold > 0;
}

/** A drain has stopped the release there, or was to: the machine may have been dead before it heard of that. */
function isDrainedWithIt({ state, reason, firstTold }: Pick<Target, "state" | "reason" | "firstTold">): boolean {
  return state === "skipped" && reason?.code === "cordoned" && firstTold > 0;
}

/**
 * The version that runs on a machine that leaves, as far as its deployment knows; empty: nothing; null: nobody knows, or it was never told anything. `said`: in answer to what it was assigned last. What has gone back is not this deployment's
 * any more, whatever came after it.
 */
export function runsAsLeft({ state, attempts, reason, runs }: Pick<Target, "state" | "attempts" | "reason" | "runs">, said: string | null): string | null {
  if (attempts === 0) return null;
  return state === "reverted" && reason?.code !== "cordoned" ? (runs ?? "") : said;
}
