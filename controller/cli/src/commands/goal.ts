/**
 * What `--watch` waits for, and whether a deployment got there. Pure.
 */
import type { Deployment } from "@muster/proto/gen/muster/v1/deployments.ts";
import { countsOf } from "../output/counts.ts";
import { hasEnded, phaseWord } from "../output/words.ts";

/** `paused` is reached once no machine is under way any more; `taken_back` is the end of an abort that takes the changed machines back, unless it took no more of them back since those before could not. */
export type Goal = "succeeded" | "rolled_back" | "aborted" | "taken_back" | "paused";

/** `missed`: it has ended elsewhere, and will never get there. `paused`: it stands still, and whether it gets there somebody has to decide. */
type Outcome = "open" | "reached" | "missed" | "paused";

export interface Wanted {
  readonly goal: Goal;
  /** Machines that are on their way by what was asked for are waited for after the end, too. */
  readonly untilSettled: boolean;
}

export function outcomeOf(deployment: Deployment, { goal, untilSettled }: Wanted): Outcome {
  if (untilSettled && deployment.underWay) return "open";
  const phase = phaseWord(deployment.phase);
  if (goal === "taken_back" && (phase === "rolled_back" || (phase === "aborted" && deployment.reason?.code !== "revert_failed"))) return "reached";
  if (phase === "paused") return isMoving(deployment) ? "open" : goal === "paused" ? "reached" : "paused";
  if (phase === goal) return "reached";
  return hasEnded(deployment.phase) ? "missed" : "open";
}

/** Those that were under way when it was paused finish. Where a fault of the controller had paused it, nobody counts them. */
function isMoving({ counts, reason }: Deployment): boolean {
  const { updating, reverting } = countsOf(counts);
  return updating + reverting > 0 && reason?.code !== "internal";
}
