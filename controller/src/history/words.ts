/**
 * The small words of history: spans of time, names, who did it. Pure.
 */
import { durationText, rounded } from "@muster/proto/duration.ts";
import type { ReleaseId } from "@muster/proto/ids.ts";
import { firstAndMore } from "@muster/proto/text.ts";
import type { RolloutReason, RolloutState, TargetCounts } from "../rollout/state.ts";

/** One thing that was decided, asked or observed. */
export interface Line {
  readonly seq: number;
  readonly at: number;
  /** Of the journal's row; for changes of a target or a phase with what became of it: `target_changed_failed`. */
  readonly kind: string;
  /** Empty: about the deployment as a whole. */
  readonly machine: string;
  readonly text: string;
  /** What may be told together with others like it; undefined: this stands by itself. */
  readonly sum: Sum | undefined;
  /** What nobody who asks why must miss. */
  readonly isKey: boolean;
}

/** Of many at a time only the number is told. */
export type Sum = "told" | "healthy" | "told_back" | "back" | "again" | "silent" | "passed" | "failed" | "unanswered" | "alarmed";

/** What was measured: `250ms`, `12s`, `4m12s`, `3h5m`, `2d4h`. */
export function spanText(ms: number): string {
  return durationText(rounded(ms));
}

/** ` after 12s`; nothing when it was at once. */
export function afterText(ms: number): string {
  return ms > 0 ? ` after ${spanText(ms)}` : "";
}

export function is(n: number): string {
  return n === 1 ? "is" : "are";
}

export function was(n: number): string {
  return n === 1 ? "was" : "were";
}

/** `a`, `a and b`, `a, b and c`, `a, b, c and 4 more`. */
export function listText(names: readonly string[], most = 3): string {
  if (names.length > most + 1) return firstAndMore(names, most);
  return names.length < 2 ? (names[0] ?? "") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

export function whoText(by: string): string {
  return by === "" ? "an operator" : by;
}

export function colon(text: string): string {
  return text === "" ? "" : `: ${text}`;
}

export function because(reason: RolloutReason | null): string {
  return reason === null ? "" : colon(reason.message);
}

/** Where a machine goes back to. */
export function backText({ app }: Pick<RolloutState, "app">, previous: ReleaseId | null): string {
  return previous === null ? `to being without ${app}` : `to ${previous}`;
}

/** What a deployment tells a machine: `run shop@2`. */
export function orderText(app: string, release: string | null): string {
  return release === null ? `be without ${app}` : `run ${release}`;
}

/** `3 healthy, 1 failed`. */
export function countsText(counts: TargetCounts): string {
  const words: Readonly<Record<keyof TargetCounts, string>> = {
    healthy: "healthy",
    failed: "failed",
    unreachable: "silent",
    skipped: "passed over",
    pending: "not yet told",
    updating: "on the way",
    reverting: "on the way back",
    reverted: "back on what they ran before",
    removed: "removed from the fleet",
  };
  const parts = (Object.keys(words) as (keyof TargetCounts)[]).filter((state) => counts[state] > 0).map((state) => `${counts[state]} ${words[state]}`);
  return parts.length === 0 ? "nobody was in it" : parts.join(", ");
}

export function selectorText(selector: string): string {
  return selector === "" ? "all machines" : `the machines with ${selector}`;
}

/** ` (25%)`, ` (canary=true)`; a mere number says nothing, since sizes add up. */
export function membersSaid(members: string): string {
  return /^[0-9]+$/.test(members) ? "" : ` (${members})`;
}

export function totals({ waves }: Pick<RolloutState, "waves">): TargetCounts {
  const sum = { pending: 0, updating: 0, healthy: 0, failed: 0, unreachable: 0, skipped: 0, reverting: 0, reverted: 0, removed: 0 };
  for (const { counts } of waves) for (const state of Object.keys(sum) as (keyof TargetCounts)[]) sum[state] += counts[state];
  return sum;
}
