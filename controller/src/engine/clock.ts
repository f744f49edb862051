/**
 * Time, as the engine knows it. Stored time is wall time; how long something took is measured by the caller on a monotonic clock.
 */
import type { Instant } from "@muster/proto/ids.ts";

export interface Clock {
  now(): Instant;
  /** Calls back once at `at` or soon after; at once when that has passed. Returns a function that cancels. */
  wake(at: Instant, callback: () => void): () => void;
}

/** A clock that is set, and a machine that slept, are noticed after so long; waking early is harmless, since every timer is checked against `now`. */
const TIMEOUT_MS_MAX = 60_000;

export const systemClock: Clock = {
  now: () => Date.now() as Instant,
  wake(at, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(0, at - Date.now()), TIMEOUT_MS_MAX));
    return () => clearTimeout(timer);
  },
};
