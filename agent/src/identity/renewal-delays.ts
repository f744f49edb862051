/**
 * How long a renewal waits, so that a fleet whose machines all have the same reason to renew does not do it at once: a renewal costs the controller two handshakes, its own and that of the session which follows.
 */

/** A controller that wants all machines to renew is not asked by all of them at once: over this, or over what a fleet of its size needs. */
const ASKED_SPREAD_MS = 10_000;

/** `spreadMs`: as the controller said last; `fraction`: from 0 to below 1. */
export interface Crowd {
  readonly spreadMs: number;
  readonly fraction: number;
}

/** After the controller has asked for it, or has not accepted what it was shown. */
export function askedDelayMs({ spreadMs, fraction }: Crowd): number {
  return fraction * Math.max(ASKED_SPREAD_MS, spreadMs);
}

/** After a renewal that failed; `retryMs` grows from one to the next. */
export function retryDelayMs(retryMs: number, { spreadMs, fraction }: Crowd): number {
  return Math.max(retryMs * (1 + fraction), fraction * spreadMs);
}
