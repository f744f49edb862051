/**
 * What always holds of an app. Checked after every transition, in production too: an agent that has lost its footing must stop and be started
 * again from what is on disk, not go on moving releases about.
 */
import { PROBING_EXITS_MAX } from "./launch.ts";
import { type AppState, isDrain, isOnConfirmed, isOnTheWay, isProcess, sameRelease, wanted } from "./state.ts";

/** The first that is broken, in words. */
export function brokenInvariant(before: AppState, state: AppState): string | undefined {
  if ((state.goal?.generation ?? 0) < (before.goal?.generation ?? 0)) return "the generation went back";
  if (state.transitions < before.transitions) return "transitions are counted up";
  return brokenMemory(before, state) ?? brokenLaunch(state) ?? brokenPhase(state);
}

/** What to go back to is forgotten by a removal alone, and replaced by nothing but a healthy release that is confirmed. */
function brokenMemory(before: AppState, { lastGood, current, phase, goal }: AppState): string | undefined {
  if (before.lastGood === undefined || sameRelease(before.lastGood, lastGood)) return undefined;
  if (lastGood === undefined) return phase.kind === "removing" && goal?.goal?.$case === "remove" && !goal.goal.value.drained ? undefined : "the last good release was forgotten";
  // Which was confirmed may be said with the goal that comes after it.
  const isConfirmed = phase.kind === "healthy" && goal?.confirmed === true ? sameRelease(current, lastGood) : lastGood.version === goal?.lastGoodVersion;
  return isConfirmed ? undefined : "the last good release was replaced by one that is not confirmed";
}

function brokenLaunch({ launch, current, settled, health }: AppState): string | undefined {
  const process = current !== undefined && isProcess(current);
  if (launch.kind !== "none" && !process) return "a launch without a process release";
  if (launch.kind === "waiting" && !settled) return "a restart is waited for in the middle of an exchange";
  if (settled && process && launch.kind === "none") return "a settled process release that nobody starts";
  if (settled && launch.kind === "stopping") return "a settled release is being stopped";
  if (health.kind !== "unknown" && !settled) return "health of a release that is not settled";
  if (health.kind !== "unknown" && process && launch.kind !== "running") return "health of a process that does not run";
  return undefined;
}

function brokenPhase(state: AppState): string | undefined {
  const { phase, settled, current, lastGood, launch } = state;
  if (state.late !== undefined && !isOnTheWay(phase)) return "late, and on no way";
  if (state.isFetchedLate && phase.kind !== "pulling") return "late to be fetched, and not being fetched";
  const good = sameRelease(current, lastGood);
  const asWanted = sameRelease(current, wanted(state));
  switch (phase.kind) {
    case "idle":
      return state.goal === undefined ? undefined : "idle with a goal";
    case "pulling":
    case "staged":
      return wanted(state) === undefined ? "on the way to no release" : undefined;
    case "activating":
      if (wanted(state) === undefined) return "on the way to no release";
      if (settled) return "activating, yet settled";
      return phase.move === "start" && !asWanted ? "starts another release than the wanted" : undefined;
    case "probing":
      if (phase.probing.exits >= PROBING_EXITS_MAX) return "started too often while probing";
      return settled && asWanted ? undefined : "probing what is not wanted";
    case "healthy":
      if (!settled || !asWanted) return "healthy with a release that is not wanted";
      return good || (lastGood !== undefined && state.goal?.confirmed === false) ? undefined : "healthy and confirmed, yet not the last good release";
    case "unhealthy":
      return settled && good && asWanted === (phase.revertedFor === undefined) ? undefined : "unhealthy with a release that is not good, or that is not wanted for no reason";
    case "reverting":
      if (settled !== (phase.move === "probe")) return "reverting is settled when it probes, and only then";
      return (phase.move === "start" || phase.move === "probe") && !good ? "reverts to what was not good" : undefined;
    case "reverted":
      return settled && good && !asWanted ? undefined : "reverted to what is not good, or to what is wanted";
    case "failed":
      if (current === undefined || good || isOnConfirmed(state)) return undefined;
      return launch.kind === "none" ? undefined : "failed, and what runs is neither good nor confirmed";
    case "removing":
      return wanted(state) === undefined ? undefined : "removes what is wanted";
    case "removed":
      if (wanted(state) !== undefined) return "removed what is wanted";
      return current === undefined && (lastGood === undefined || isDrain(state)) && launch.kind === "none" ? undefined : "removed, yet something is left";
  }
}
