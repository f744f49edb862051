/**
 * Time, as the engine knows it: what a calendar says, which people read, and a clock that never jumps, by which everything is measured.
 */
import type { Instant } from "@muster/proto/ids.ts";

export interface Clock {
  /** Wall time. May jump, forward and back. */
  now(): Instant;
  /** Since some fixed moment; never goes back. */
  monotonicMs(): number;
  /** Calls back once after so long, or soon after that; it may be sooner, as what is waited for is looked at again. Returns a function that cancels. */
  wakeAfter(delayMs: number, callback: () => void): () => void;
}

/** A wall clock that is set is noticed after so long at the latest. */
const TIMEOUT_MS_MAX = 60_000;

export const systemClock: Clock = {
  now: () => Date.now() as Instant,
  monotonicMs: () => performance.now(),
  wakeAfter(delayMs, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(0, delayMs), TIMEOUT_MS_MAX));
    return () => clearTimeout(timer);
  },
};
