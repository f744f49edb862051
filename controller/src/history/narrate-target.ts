/**
 * What happened to one target, in a sentence: from the state before, and the row. Pure.
 */
import type { RolloutEntry } from "../journal/entry.ts";
import { waveOf } from "../rollout/change.ts";
import { failedTargets, type LeftAs, outstanding, type RolloutState, type Target } from "../rollout/state.ts";
import { afterText, backText, because, type Sum } from "./words.ts";

export type TargetEntry = Extract<RolloutEntry, { readonly kind: "target_assigned" | "target_changed" | "target_joined" | "target_let_go" }>;
type TargetsEntry = Extract<RolloutEntry, { readonly kind: "targets_retried" | "targets_excused" | "targets_left" }>;

export interface Sentence {
  readonly text: string;
  readonly sum?: Sum;
  readonly isKey?: boolean;
  /** Whom it is about. Default: whom the row is about. */
  readonly machine?: string;
}

/** One sentence for each. */
export function targetsSentences(state: RolloutState, entry: TargetsEntry, at: number): readonly Sentence[] {
  const { kind } = entry;
  if (kind === "targets_left") {
    const { deployment, app, reason } = entry;
    return entry.machines.map((machine) => ({ machine, ...changed(state, { kind: "target_changed", deployment, app, machine, state: "skipped", reason, runs: null }, at) }));
  }
  if (kind === "targets_retried") return failedTargets(state).map(({ machine, state: before }) => ({ machine, ...again(machine, before) }));
  return outstanding(state).map(({ machine }) => ({ machine, ...waitedForNoLonger(machine) }));
}

function again(machine: string, before: Target["state"]): Sentence {
  return { text: `${machine} ${RETURNS[before] ?? "has its turn again"}`, sum: "again" };
}

function waitedForNoLonger(machine: string): Sentence {
  return { text: `${machine} is waited for no longer`, sum: "passed" };
}

export function targetSentence(state: RolloutState, entry: TargetEntry, at: number): Sentence {
  switch (entry.kind) {
    case "target_joined":
      return { text: `${entry.target.machine} joined later and has its turn in wave ${Math.max(1, state.waves.length)}` };
    case "target_let_go":
      return waitedForNoLonger(entry.machine);
    case "target_assigned":
      return assigned(state, entry);
    case "target_changed":
      return changed(state, entry, at);
  }
}

function assigned(state: RolloutState, { machine, purpose, release }: Extract<TargetEntry, { readonly kind: "target_assigned" }>): Sentence {
  if (purpose === "update") return { text: `${machine} was told to run ${state.release}`, sum: "told" };
  return { text: `${machine} was told to go back ${backText(state, release)}`, sum: "told_back" };
}

function changed(state: RolloutState, entry: Extract<TargetEntry, { readonly kind: "target_changed" }>, at: number): Sentence {
  const { machine, reason } = entry;
  const before = state.targets.get(machine)!;
  switch (entry.state) {
    case "healthy":
      return { text: `${machine} ${before.state === "failed" ? "is healthy after all" : "became healthy"}${wayText(before, at)}`, sum: "healthy" };
    case "reverted":
      if (before.previous !== null && (reason?.code === "cordoned" || entry.runs === "")) return { text: `${machine} is drained: ${before.previous} starts there when the drain ends` };
      return { text: `${machine} is back ${before.previous === null ? `to being without ${state.app}` : `on ${before.previous}`}${wayText(before, at)}`, sum: "back" };
    case "failed":
      if (before.state === "failed" && entry.runs !== null && state.release !== `${state.app}@${entry.runs}`) return { text: `${machine} went back by itself: ${runsText(state, entry.runs)}`, sum: "back" };
      if (before.purpose === "revert") return { text: `${machine} could not go back ${backText(state, before.previous)}${because(reason)}`, sum: "failed", isKey: true };
      return { text: `${machine} failed in wave ${before.wave + 1}${because(reason)} (${failedText(state, before)})`, sum: "failed", isKey: true };
    case "unreachable":
      if (before.state === "pending") return { text: `${machine} was passed over${because(reason)}`, sum: "passed" };
      if (state.phase === "rolling_back" && before.purpose !== "revert") return { text: `${machine} goes back ${backText(state, before.previous)} when it is heard from${because(reason)}`, sum: "silent" };
      if (before.state === "healthy") return { text: `${machine} fell silent after it was healthy${because(reason)}`, sum: "silent", isKey: true };
      return { text: `${machine} fell silent on its way${before.purpose === "revert" ? " back" : ""}${because(reason)}`, sum: "silent" };
    case "skipped":
      if (reason?.code === "unmatched") return { text: `${machine} was let go: ${reason.message}`, isKey: true };
      return { text: `${machine} was passed over${because(reason)}`, sum: "passed" };
    case "removed":
      return { text: `${machine} ${leftText(entry.leftAs)}${because(reason)}`, isKey: true };
    case "pending":
      return again(machine, before.state);
    case "updating":
    case "reverting":
      return { text: `${machine} is heard from again, still on its way${entry.state === "reverting" ? " back" : ""}`, sum: "again" };
  }
}

function leftText(leftAs: LeftAs | undefined): string {
  switch (leftAs) {
    case undefined:
      return "counts no more";
    case "failed":
      return "is gone, and counts as failed";
    case "excused":
      return "is gone, and counts no more: that it was lost is known";
    case "lost":
      return "is gone, and counts as lost with the release: it was not heard any more, or not well";
  }
}

const RETURNS: Readonly<Partial<Record<Target["state"], string>>> = {
  unreachable: "is heard from again and has its turn",
  skipped: "is not cordoned any more and has its turn",
};

/** Shorter, and it had just been heard from again: how long it was on its way is not known. */
const WAY_MS_MIN = 1000;

function wayText({ state, since }: Target, at: number): string {
  return (state === "updating" || state === "reverting") && at - since.at >= WAY_MS_MIN ? afterText(at - since.at) : "";
}

/** `app@1 runs there now`. */
export function runsText({ app }: RolloutState, runs: string): string {
  return runs === "" ? `nothing of ${app} runs there now` : `${app}@${runs} runs there now`;
}

/** `1 failed, 0 allowed`. */
function failedText(state: RolloutState, { wave, state: before }: Target): string {
  const { counts, maxFailures, acknowledgedFailures } = waveOf(state, wave);
  const failed = counts.failed + (before === "failed" ? 0 : 1);
  return `${failed} failed in it, ${maxFailures} allowed${acknowledgedFailures === 0 ? "" : ` besides ${acknowledgedFailures} acknowledged`}`;
}
