/**
 * Where a deployment, or a machine in it, stands: in one sentence. Pure.
 */
import { counted } from "@muster/proto/text.ts";
import type { ReportAccepted } from "../journal/entry.ts";
import { isBackTail, isEnded, isOvertaken, isTouched, type RolloutState, type Target, wentBack } from "../rollout/state.ts";
import { kindsText, letGoTarget, NOBODY_OUTSTANDING, otherFailures, type Outstanding, outstandingAmong, outstandingSentences, type Overtaken, overtakenSentences, removedCount, stillSentences, type StillThere } from "./outcome.ts";
import { isDrainText } from "./present.ts";
import { because, is, totals } from "./words.ts";

/** What is known after the end. */
export interface Afterwards {
  readonly outstanding: Outstanding;
  readonly overtaken: Overtaken;
  readonly stillThere: StillThere;
  /** Newer deployments have decided about machines that run it no more. */
  readonly isRunElsewhere: boolean;
  /** How its machines are now, where that is other than it ended with; else empty. */
  readonly nowText: string;
}

export function deploymentSummary(state: RolloutState, waiting: string, afterwards: Afterwards): string {
  const { nowText } = afterwards;
  return `${endSummary(state, waiting, afterwards)}${nowText === "" ? "" : ` Now ${nowText}.`}`;
}

function endSummary(state: RolloutState, waiting: string, { outstanding, overtaken, stillThere, isRunElsewhere, nowText }: Afterwards): string {
  const { id, release, phase, beganBack, reason, waves, wave, targets } = state;
  const counts = totals(state);
  const what = `${id} (${release})`;
  const isPast = nowText !== "" || isRunElsewhere;
  const left = counts.removed - removedCount(outstanding);
  const run = `${counts.healthy} of ${counted(targets.size - left, "machine")} ${isPast ? "ran" : counts.healthy === 1 ? "runs" : "run"} it`;
  const version = release.slice(state.app.length + 1);
  const letGo = phase === "succeeded" ? letGoIn(state) : NOBODY_OUTSTANDING;
  const others = isEnded(phase) ? allAfter(outstandingSentences({ phase, beganBack, version, outstanding, letGo })) : "";
  const still = allAfter(stillSentences(version, stillThere));
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
      return `${what} is being rolled back: ${counted(counts.reverted, "machine")} ${is(counts.reverted)} back${why === "" ? "" : `; ${reason?.message}`}.`;
    case "succeeded":
      return targets.size === 0 ? `${what} succeeded with nothing to do${why}.` : `${what} succeeded: ${run}${allAfter(otherFailures({ counts, outstanding, overtaken }))}${others}${allAfter(overtakenSentences(overtaken))}${goneText(left)}.`;
    case "rolled_back":
      if (outstanding.count === 0) return `${what} was rolled back${why}${still}.`;
      return `${what} was rolled back, except ${kindsText({ phase, beganBack, outstanding })}${others.replace(";", ":")}${still}.${reason === null ? "" : ` The reason: ${reason.message}.`}`;
    case "failed":
      return `${what} failed${why}${others}${still}.`;
    case "aborted":
      return `${what} was aborted: ${reason?.message ?? "somebody asked for it"}; ${targets.size === 0 ? "it had not begun" : run}${others}${still}.`;
    case "superseded":
      return `${what} gave way to a newer deployment${why}${others}${still}.`;
  }
}

/** Each behind what was said before. */
function allAfter(sentences: readonly string[]): string {
  return sentences.map((sentence) => `; ${sentence}`).join("");
}

/** Those that had no turn, since their labels matched no more. */
function letGoIn({ targets }: Pick<RolloutState, "targets">): Outstanding {
  const letGo = [...targets.values()].filter(({ state, reason, attempts }) => state === "skipped" && reason?.code === "unmatched" && attempts === 0);
  return outstandingAmong({ phase: "succeeded", beganBack: false }, letGo.map(({ machine }) => letGoTarget(machine)));
}

/** Those that no other sentence names, and that are in no other number. */
function goneText(removed: number): string {
  return removed === 0 ? "" : `; ${removed} more ${removed === 1 ? "was" : "were"} removed from the fleet`;
}

/** What is known of a target's machine beside its state. */
export interface Known {
  /** How it is, where that is other than its state says; undefined: as that says. */
  readonly now: string | undefined;
  /** What its agent said last about what it was told here; undefined: nothing. */
  readonly said: ReportAccepted | undefined;
}

/** `known`: undefined: another deployment decides there by now. */
export function targetSummary(state: RolloutState, target: Target, known: Known | undefined): string {
  if (known === undefined) return pastSummary(state, target);
  const { now, said } = known;
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
      if (target.purpose === "revert") return `${machine} could not go back to ${before} in ${id}${because(reason)}${runsText(app, target, said)}.`;
      return `${machine} failed with ${release} in ${where}${because(reason)}${runsText(app, target, said)}.`;
    case "unreachable":
      if (target.attempts === 0) return `${machine} was passed over in ${where}: nothing ${isEnded(state.phase) && state.phase !== "succeeded" ? "was" : "is"} heard from it.`;
      return `${machine} ${lostText(target, release, where, said)}${goesBackText(state, target, before)}.`;
    case "skipped":
      if (isBackTail(state) && isTouched(target) && isOvertaken(target)) return `${machine} was still to go back from ${release} in ${id}${because(reason)}.`;
      return `${machine} was passed over in ${where}${because(reason)}.`;
    case "reverting":
      return `${machine} was told to go back from ${release} to ${before} in ${id} and is on the way.`;
    case "reverted":
      if (previous !== null && isDrainText(now)) return `${machine} is ${now}, and runs ${previous} when the drain ends: ${id} (${release}) was taken back.`;
      if (now !== undefined) return `${machine} went back to ${before}: ${id} (${release}) was taken back; ${sinceText(now)}.`;
      return `${machine} is back ${previous === null ? `to ${before}` : `on ${before}`}: ${id} (${release}) was taken back.`;
    case "removed":
      return `${machine} counts no more in ${id} (${release})${because(reason)}.`;
  }
}

/** What became of it before another deployment decided there. */
function pastSummary(state: RolloutState, target: Target): string {
  const { id, app, release } = state;
  const { machine, previous, reason, purpose } = target;
  const where = `wave ${target.wave + 1} of ${id}`;
  const before = previous ?? `being without ${app}`;
  switch (target.state) {
    case "pending":
      return pendingSummary(state, target);
    case "updating":
      return `${machine} was told to run ${release} in ${where} and had not finished.`;
    case "healthy":
      return `${machine} ran ${release}: it became healthy in ${where}.`;
    case "failed":
      return purpose === "revert" ? `${machine} could not go back to ${before} in ${id}${because(reason)}.` : `${machine} failed with ${release} in ${where}${because(reason)}.`;
    case "unreachable":
      if (target.attempts === 0) return `${machine} was passed over in ${where}: nothing was heard from it.`;
      return `${machine} fell silent ${purpose === "revert" ? "on its way back from" : "with"} ${release} in ${where}.`;
    case "reverting":
      return `${machine} was told to go back from ${release} to ${before} in ${id} and had not finished.`;
    case "reverted":
      return `${machine} went back to ${before}: ${id} (${release}) was taken back.`;
    case "skipped":
    case "removed":
      return targetSummary(state, target, { now: undefined, said: undefined });
  }
}

/** It may have been healthy before. */
function lostText({ purpose, generation }: Target, release: string, where: string, said: ReportAccepted | undefined): string {
  if (purpose === "revert") return `fell silent on its way back from ${release} in ${where}`;
  const wasHealthy = said?.generation === generation && said.phase === "healthy";
  return wasHealthy ? `was healthy with ${release} in ${where}, and has not been heard since` : `fell silent on its way to ${release} in ${where}`;
}

/** What is still to come for one that is lost. */
function goesBackText(state: RolloutState, { purpose }: Target, before: string): string {
  const { id, phase } = state;
  if (phase !== "rolling_back" && !wentBack(state)) return "";
  const what = phase === "rolling_back" ? "is being rolled back" : phase === "failed" ? "was being rolled back" : "was rolled back";
  return purpose === "revert" ? "; it goes on with that when it is heard" : `; ${id} ${what}, and it goes back to ${before} when it is heard`;
}

function sinceText(now: string): string {
  return /^(?:went|goes) /.test(now) ? `since then it ${now}` : `now it is ${now}`;
}

function pendingSummary({ id, release, phase }: RolloutState, { machine, wave, attempts }: Target): string {
  const didNotCome = attempts === 0 ? `${id} did not come to ${machine} with ${release}` : `${machine} had ${release} from ${id}, and was to have another turn`;
  switch (phase) {
    case "pending":
    case "rolling":
    case "paused":
    case "succeeded":
      return `${machine} waits for its turn in wave ${wave + 1} of ${id} (${release}).`;
    case "rolling_back":
      return `${didNotCome}: it is being rolled back.`;
    case "rolled_back":
    case "failed":
    case "aborted":
    case "superseded":
      return `${didNotCome}: it ended before (${phase.replaceAll("_", " ")}).`;
  }
}

/** What it said last counts, and that may be newer than its failure. */
function runsText(app: string, { runs: then, generation }: Target, said: ReportAccepted | undefined): string {
  const runs = said?.generation === generation ? said.runningVersion : then;
  if (runs === null) return "";
  return runs === "" ? `; nothing of ${app} runs there now` : `; ${app}@${runs} runs there now`;
}
