/**
 * How soon a peer that says nothing more, because its host vanished or its process stands still, counts as away. It is asked for a sign of life over
 * the connection itself, which costs a few bytes.
 */
export interface Keepalive {
  readonly pingEveryMs: number;
  /** A controller that plans a large rollout answers nobody meanwhile. */
  readonly answerWithinMs: number;
}

export const KEEPALIVE: Keepalive = { pingEveryMs: 10_000, answerWithinMs: 5_000 };

/** For those who show how things stand, and how long a soak has left: not for long without anybody there. A stream that breaks is opened again. */
export const KEEPALIVE_WATCHING: Keepalive = { pingEveryMs: 2_000, answerWithinMs: 5_000 };

/** Whoever is found to be away was there so long before, at the latest. */
export function silenceMs({ pingEveryMs, answerWithinMs }: Keepalive): number {
  return pingEveryMs + answerWithinMs;
}
