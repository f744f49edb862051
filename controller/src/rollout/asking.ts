/**
 * What a gate and an alarm keep of the question that they ask the world outside again and again.
 *
 * That it is asked again, and an answer from which nothing follows that did not follow from the one before, change only the cursor: they are no rows of the journal (ADR 26).
 */
import type { Instant } from "@muster/proto/ids.ts";
import { dueAt, type Moment } from "./moment.ts";

/** The answer to one question. `wait`: not yet, ask again. `silent`: there was no answer. */
export type Verdict = "go" | "stop" | "wait" | "silent";

/** How far it has come with asking. */
export interface Cursor {
  /** Questions asked. */
  attempts: number;
  /** A question is under way. */
  isAsked: boolean;
  /** Of the last question or answer; null: there was none. */
  askedAt: Moment | null;
  /** Questions in a row without an answer. */
  unanswered: number;
  /** The last answer, or what was said in its place. */
  said: string;
}

export interface Asking extends Cursor {
  /** Of the last answer; null: there was none. */
  verdict: Verdict | null;
}

/** Of a question or an answer: nothing is new by it. Default false. */
export interface Repeatable {
  readonly repeats?: true;
}

/** The next question. The first alone is news. */
export function nextQuestion({ attempts }: Pick<Asking, "attempts">): Repeatable & { readonly attempt: number } {
  return { attempt: attempts + 1, ...repeating(attempts > 0) };
}

export function repeating(isRepeat: boolean): Repeatable {
  return isRepeat ? { repeats: true } : {};
}

export function noteQuestion(asking: Asking, attempt: number, at: Moment): void {
  asking.attempts = attempt;
  asking.isAsked = true;
  asking.askedAt = at;
}

export function noteAnswer(asking: Asking, verdict: Verdict, said: string, at: Moment): void {
  asking.isAsked = false;
  asking.askedAt = at;
  asking.said = said;
  asking.verdict = verdict;
  asking.unanswered = verdict === "silent" ? asking.unanswered + 1 : 0;
}

/** No answer to the first question nor to any of its retries. */
export function isSilent({ unanswered }: Pick<Asking, "unanswered">, { retries }: { readonly retries: number }): boolean {
  return unanswered > retries;
}

/** When the next question is due; the first at once. */
export function askedNextAt({ askedAt }: Pick<Asking, "askedAt">, intervalMs: number, now: Moment): Instant {
  return askedAt === null ? now.at : dueAt(askedAt, intervalMs, now);
}
