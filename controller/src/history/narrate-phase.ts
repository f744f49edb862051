/**
 * The start, the turns and the end of a rollout, and what operators asked, in sentences: from the state before, and the row. Pure.
 */
import { counted } from "@muster/proto/text.ts";
import type { CommandAccepted } from "../journal/entry.ts";
import type { Plan } from "../plan/plan.ts";
import { type RolloutPhase, type RolloutReason, type RolloutState, isEnded, isTouched, isToRevert } from "../rollout/state.ts";
import { openStates, outstandingAmong, outstandingSentences } from "./outcome.ts";
import { afterText, colon, countsText, is, listText, membersSaid, totals, whoText } from "./words.ts";

/** Undefined: the rows that follow tell it. */
export function commandSentence(state: RolloutState, { command, detail, reason, by }: CommandAccepted): string | undefined {
  const who = whoText(by);
  switch (command) {
    case "pause":
    case "abort":
    case "rollback":
    case "approve":
      return undefined;
    case "resume":
      return `${who} resumed it${colon(reason)}`;
    case "promote":
      if (detail === "all") return `${who} skipped all gates that were left${colon(reason)}`;
      if (state.hold?.kind === "offline") return `${who} ended the wait for the silent machines of wave ${state.wave + 1}${colon(reason)}`;
      return state.hold?.kind === "begin" ? `${who} let the next wave begin before its time${colon(reason)}` : undefined;
    case "retry":
      return `${who} let ${counted(totals(state).failed, "machine")} that had failed take ${totals(state).failed === 1 ? "its" : "their"} turn again${colon(reason)}`;
    case "set_max_unavailable":
      return `${who} changed max_unavailable to ${detail}${colon(reason)}`;
  }
}

/** Who takes part, who does not, and what may surprise. */
export function planSentences(state: RolloutState, { waves, unchanged, maxUnavailable, lanes, notes }: Plan): readonly string[] {
  const sizes = waves.map(({ targets }) => targets.length);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const lane = lanes.map(({ label, max }) => (max === null ? `, one ${label} at a time` : `, at most ${max} of one ${label}`)).join("");
  const began =
    total === 0
      ? "began, with nobody to change"
      : `began: ${counted(total, "machine")} in ${waves.length === 1 ? "one wave" : `${waves.length} waves (${listText(sizes.map(String), 8)})`}, at most ${maxUnavailable} unavailable at once${lane}`;
  const left = unchanged.length === 0 ? [] : [`${listText(unchanged)} ${is(unchanged.length)} left out: ${unchanged.length === 1 ? "it runs" : "they run"} ${state.release} already`];
  return [began, ...left, ...notes.filter((note) => !/ already runs? it and /.test(note))];
}

export function waveBegan({ waves }: RolloutState, index: number): string {
  const wave = waves[index]!;
  return `wave ${index + 1}${membersSaid(wave.members)} began: ${counted(wave.targets.length, "machine")}, ${listText(wave.targets.map(({ machine }) => machine))}`;
}

export function wavePassed({ waves }: RolloutState, index: number, at: number): string {
  const { startedAt, counts, successThreshold, targets } = waves[index]!;
  const isBeside = counts.pending + counts.updating > 0;
  const enough = isBeside && successThreshold !== null ? `; ${successThreshold} of ${targets.filter(({ onTrial }) => !onTrial).length} are enough, and the others go on` : "";
  return `wave ${index + 1} passed${startedAt === null ? "" : afterText(at - startedAt)}: ${countsText(counts)}${enough}`;
}

/** Undefined: another row tells it. */
export function phaseSentence(state: RolloutState, phase: RolloutPhase, reason: RolloutReason | null, at: number, beganAt: number | undefined): string | undefined {
  const why = reason?.message ?? "";
  const took = beganAt === undefined ? "" : afterText(at - beganAt);
  const counts = totals(state);
  const told = [...state.targets.values()].filter(isTouched).length;
  switch (phase) {
    case "pending":
    case "rolling":
      return undefined;
    case "paused":
      return isOperators(reason) || reason?.code === "internal" ? why : `${why}; it is paused, as on_failure: pause says`;
    case "rolling_back": {
      const back = [...state.targets.values()].filter(isToRevert).length;
      const way = `${counted(back, "machine")} that ${back === 1 ? "was" : "were"} told of ${state.release} ${back === 1 ? "goes" : "go"} back, newest wave first, at most ${state.maxUnavailable} at once`;
      return isOperators(reason) ? `${why}: ${way}` : `${why}; as on_failure: rollback says, ${way}`;
    }
    case "succeeded":
      if (state.targets.size === 0) return `succeeded with nothing to do${colon(why)}`;
      return `succeeded${took}: ${counts.healthy} of ${counted(state.targets.size - counts.removed, "machine")} ${counts.healthy === 1 ? "runs" : "run"} ${state.release}${othersText(state)}`;
    case "rolled_back":
      return `rolled back: ${counted(counts.reverted, "machine")} ${is(counts.reverted)} back on what ${counts.reverted === 1 ? "it" : "they"} ran before${leftText(state, phase)}`;
    case "failed":
      return `failed${isEnded(state.phase) ? "" : took}${colon(why)}${state.phase === "rolling" && state.strategy.onFailure === "abort" && told > 0 ? "; every machine stays as it is, as on_failure: abort says" : ""}`;
    case "aborted":
      return `${why}; every machine stays as it is${told === 0 ? ", and none had been told of it" : `: ${countsText(counts)}`}`;
    case "superseded":
      return `ended, since ${why}${told === 0 ? "" : `: ${countsText(counts)}`}${state.beganBack ? stillBackText(state) : ""}`;
  }
}

/** Of a rollback that gives way. */
function stillBackText({ targets }: RolloutState): string {
  const back = [...targets.values()].filter(isToRevert).length;
  return back === 0 ? "" : `; ${counted(back, "machine")} ${is(back)} still to go back, and ${back === 1 ? "goes" : "go"} back where the newer one decides nothing`;
}

/** Machines that took the release, and of which nothing is known. */
function leftText({ app, release, beganBack, targets }: RolloutState, phase: "rolled_back"): string {
  const open = [...targets.values()].filter(({ state, attempts }) => attempts > 0 && openStates({ phase, beganBack }).includes(state)).map((target) => ({ ...target, reason: target.reason?.code ?? null }));
  return outstandingSentences({ phase, beganBack, version: release.slice(app.length + 1), outstanding: outstandingAmong({ phase, beganBack }, open) }).map((sentence) => `; ${sentence}`).join("");
}

function othersText(state: RolloutState): string {
  const { failed, unreachable, skipped } = totals(state);
  const parts = [
    ...(failed === 0 ? [] : [`${failed} failed`]),
    ...(unreachable === 0 ? [] : [`${unreachable} ${is(unreachable)} silent and ${unreachable === 1 ? "has its" : "have their"} turn when back`]),
    ...(skipped === 0 ? [] : [`${skipped} ${is(skipped)} passed over`]),
  ];
  return parts.length === 0 ? "" : `; ${parts.join(", ")}`;
}

function isOperators(reason: RolloutReason | null): boolean {
  return reason?.code === "operator";
}
