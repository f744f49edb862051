/**
 * What a gate and an alarm keep of the question that they ask the world outside again and again.
 */
import type { Instant } from "@muster/proto/ids.ts";
import { dueAt, type Moment } from "./moment.ts";

/** The answer to one question. `wait`: not yet, ask again. `silent`: there was no answer. */
export type Verdict = "go" | "stop" | "wait" | "silent";

export interface Asking {
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

export function noteQuestion(asking: Asking, attempt: number, at: Moment): void {
  asking.attempts = attempt;
  asking.isAsked = true;
  asking.askedAt = at;
}

export function noteAnswer(asking: Asking, verdict: Verdict, said: string, at: Moment): void {
  asking.isAsked = false;
  asking.askedAt = at;
  asking.said = said;
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
