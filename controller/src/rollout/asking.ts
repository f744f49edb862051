/**
 * What a gate and an alarm keep of the question that they ask the world outside again and again.
 */
import type { Instant } from "@muster/proto/ids.ts";

/** The answer to one question. `wait`: not yet, ask again. `silent`: there was no answer. */
export type Verdict = "go" | "stop" | "wait" | "silent";

export interface Asking {
  /** Questions asked. */
  attempts: number;
  /** A question is under way. */
  isAsked: boolean;
  /** Of the last question or answer; 0: there was none. */
  askedAt: Instant;
  /** Questions in a row without an answer. */
  unanswered: number;
  /** The last answer, or what was said in its place. */
  said: string;
}

export function noteQuestion(asking: Asking, attempt: number, at: Instant): void {
  asking.attempts = attempt;
  asking.isAsked = true;
  asking.askedAt = at;
}

export function noteAnswer(asking: Asking, verdict: Verdict, said: string, at: Instant): void {
  asking.isAsked = false;
  asking.askedAt = at;
  asking.said = said;
  asking.unanswered = verdict === "silent" ? asking.unanswered + 1 : 0;
}

/** No answer to the first question nor to any of its retries. */
export function isSilent({ unanswered }: Pick<Asking, "unanswered">, { retries }: { readonly retries: number }): boolean {
  return unanswered > retries;
}

/** When the next question is due, the first at `firstAt`. A question that lies ahead was asked before the clock was set back: the next is due now. */
export function askedNextAt({ askedAt }: Pick<Asking, "askedAt">, firstAt: number, intervalMs: number, now: Instant): Instant {
  return (askedAt === 0 || askedAt > now ? Math.min(firstAt, now) : askedAt + intervalMs) as Instant;
}
