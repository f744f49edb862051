/**
 * Where a deployment, or a machine in it, stands: in one sentence. Pure.
 */
import { isEnded, isOvertaken, isSupersededBack, isTouched, type RolloutState, type Target } from "../rollout/state.ts";
import { kindsText, outstandingSentences } from "./outcome.ts";
import type { Outstanding } from "./present.ts";
import { because, is, machinesText, totals } from "./words.ts";

/** What is known after the end. */
export interface Afterwards {
  readonly outstanding: Outstanding;
  /** How its machines are now, where that is other than it ended with; else empty. */
  readonly nowText: string;
}

export function deploymentSummary(state: RolloutState, waiting: string, { outstanding, nowText }: Afterwards): string {
  const now = nowText === "" ? "" : ` Now ${nowText}.`;
  return `${endSummary(state, waiting, outstanding, now !== "")}${now}`;
}

function endSummary(state: RolloutState, waiting: string, { targets: left, count: leftCount }: Outstanding, isPast: boolean): string {
  const { id, release, phase, beganBack, reason, waves, wave, targets } = state;
  const counts = totals(state);
  const what = `${id} (${release})`;
  const run = `${counts.healthy} of ${machinesText(targets.size - counts.removed)} ${isPast ? "ran" : counts.healthy === 1 ? "runs" : "run"} it`;
  const version = release.slice(state.app.length + 1);
  const others = isEnded(phase) ? outstandingSentences({ phase, beganBack, version, outstanding: left, outstandingCount: leftCount }).map((sentence) => `; ${sentence}`).join("") : "";
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
      return targets.size === 0 ? `${what} succeeded with nothing to do${why}.` : `${what} succeeded: ${run}${counts.failed === 0 ? "" : `; ${counts.failed} failed`}${others}.`;
    case "rolled_back":
      if (leftCount === 0) return `${what} was rolled back${why}.`;
      return `${what} was rolled back, except ${kindsText({ outstanding: left, outstandingCount: leftCount })}${others.replace(";", ":")}.${reason === null ? "" : ` The reason: ${reason.message}.`}`;
    case "failed":
      return `${what} failed${why}${others}.`;
    case "aborted":
      return `${what} was aborted: ${reason?.message ?? "somebody asked for it"}; ${targets.size === 0 ? "it had not begun" : run}${others}.`;
    case "superseded":
      return `${what} gave way to a newer deployment${why}${others}.`;
  }
}

/** `now`: how its machine is, where that is other than its state says. */
export function targetSummary(state: RolloutState, target: Target, now: string | undefined): string {
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
      if (now !== undefined) return `${machine} became healthy with ${release} in ${where}; ${sinceText(now)}.`;
      return `${machine} runs ${release}: it became healthy in ${where}.`;
    case "failed":
      if (target.purpose === "revert") return `${machine} could not go back to ${before} in ${id}${because(reason)}${runsText(app, target)}.`;
      return `${machine} failed with ${release} in ${where}${because(reason)}${runsText(app, target)}.`;
    case "unreachable":
      if (target.attempts === 0) return `${machine} was passed over in ${where}: nothing is heard from it.`;
      return `${machine} fell silent on its way ${target.purpose === "revert" ? "back from" : "to"} ${release} in ${where}.`;
    case "skipped":
      if (isSupersededBack(state) && isTouched(target) && isOvertaken(target)) return `${machine} was still to go back from ${release} in ${id}${because(reason)}.`;
      return `${machine} was passed over in ${where}${because(reason)}.`;
    case "reverting":
      return `${machine} was told to go back from ${release} to ${before} in ${id} and is on the way.`;
    case "reverted":
      return `${machine} is back ${previous === null ? `to ${before}` : `on ${before}`}: ${id} (${release}) was taken back${now === undefined ? "" : `; ${sinceText(now)}`}.`;
    case "removed":
      return `${machine} counts no more in ${id} (${release})${because(reason)}.`;
  }
}

function sinceText(now: string): string {
  return /^(?:went|goes) /.test(now) ? `since then it ${now}` : `now it is ${now}`;
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
