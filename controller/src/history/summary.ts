/**
 * Where a deployment, or a machine in it, stands: in one sentence. Pure.
 */
import type { RolloutState, Target } from "../rollout/state.ts";
import { because, is, machinesText, totals } from "./words.ts";

export function deploymentSummary(state: RolloutState, waiting: string): string {
  const { id, release, phase, reason, waves, wave, targets } = state;
  const counts = totals(state);
  const what = `${id} (${release})`;
  const run = `${counts.healthy} of ${machinesText(targets.size - counts.removed)} ${counts.healthy === 1 ? "runs" : "run"} it`;
  const where = waves.length < 2 ? "" : ` in wave ${wave + 1} of ${waves.length}`;
  const why = because(reason);
  switch (phase) {
    case "pending":
      return `${what} has not begun${waiting === "" ? "" : `: it waits for ${waiting}`}.`;
    case "rolling":
      return `${what} is under way${where}: ${run}.`;
    case "paused":
      return `${what} is paused${where}${why}.`;
    case "rolling_back":
      return `${what} is being rolled back: ${machinesText(counts.reverted)} ${is(counts.reverted)} back${why === "" ? "" : `; ${reason?.message}`}.`;
    case "succeeded":
      return targets.size === 0 ? `${what} succeeded with nothing to do${why}.` : `${what} succeeded: ${run}${counts.failed === 0 ? "" : `; ${counts.failed} failed`}.`;
    case "rolled_back":
      return `${what} was rolled back${why}.`;
    case "failed":
      return `${what} failed${why}.`;
    case "aborted":
      return `${what} was aborted: ${reason?.message ?? "somebody asked for it"}; ${targets.size === 0 ? "it had not begun" : run}.`;
    case "superseded":
      return `${what} gave way to a newer deployment${why}.`;
  }
}

export function targetSummary(state: RolloutState, target: Target): string {
  const { id, app, release } = state;
  const { machine, previous, reason } = target;
  const where = `wave ${target.wave + 1} of ${id}`;
  const before = previous ?? `being without ${app}`;
  switch (target.state) {
    case "pending":
      return pendingSummary(state, target);
    case "updating":
      return `${machine} was told to run ${release} in ${where} and is on the way.`;
    case "healthy":
      if (state.phase === "rolling_back") return `${machine} runs ${release} and goes back to ${before} when its turn comes: ${id} is being rolled back.`;
      return `${machine} runs ${release}: it became healthy in ${where}.`;
    case "failed":
      if (target.purpose === "revert") return `${machine} could not go back to ${before} in ${id}${because(reason)}${runsText(app, target)}.`;
      return `${machine} failed with ${release} in ${where}${because(reason)}${runsText(app, target)}.`;
    case "unreachable":
      if (target.attempts === 0) return `${machine} was passed over in ${where}: nothing is heard from it.`;
      return `${machine} fell silent on its way ${target.purpose === "revert" ? "back from" : "to"} ${release} in ${where}.`;
    case "skipped":
      return `${machine} was passed over in ${where}${because(reason)}.`;
    case "reverting":
      return `${machine} was told to go back from ${release} to ${before} in ${id} and is on the way.`;
    case "reverted":
      return `${machine} is back ${previous === null ? `to ${before}` : `on ${before}`}: ${id} (${release}) was taken back.`;
    case "removed":
      return `${machine} counts no more in ${id} (${release})${because(reason)}.`;
  }
}

function pendingSummary({ id, release, phase }: RolloutState, { machine, wave }: Target): string {
  switch (phase) {
    case "pending":
    case "rolling":
    case "paused":
    case "succeeded":
      return `${machine} waits for its turn in wave ${wave + 1} of ${id} (${release}).`;
    case "rolling_back":
      return `${machine} was never told of ${release}: ${id} is being rolled back.`;
    case "rolled_back":
    case "failed":
    case "aborted":
    case "superseded":
      return `${machine} was never told of ${release}: ${id} ended before its turn (${phase.replaceAll("_", " ")}).`;
  }
}

function runsText(app: string, { runs }: Target): string {
  if (runs === null) return "";
  return runs === "" ? `; nothing of ${app} runs there now` : `; ${app}@${runs} runs there now`;
}
