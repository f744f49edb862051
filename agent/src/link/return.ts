/**
 * When an agent connects again: a moment of its own, drawn from as much time as the controller said that the fleet needs to come back. So a controller that was restarted gets its fleet one after another, and a small fleet is
 * back at once.
 */

/** A fleet that the controller said nothing of is taken for a small one. */
const LEAST_MS = 250;
/** Whatever a controller says, it is tried again within this. */
export const RETURN_SPREAD_MS_MAX = 10 * 60_000;
/** Of a small fleet whose controller is away: so seldom, at last, each agent tries. */
const FAILING_MS_MAX = 5_000;

export interface Return {
  /** As the controller said; 0: it has said nothing. */
  readonly spreadMs: number;
  /** In a row; 0: a connection that stood was lost. */
  readonly failures: number;
  /** From 0 to below 1. */
  readonly fraction: number;
}

/** A controller that was killed is not there again at once, and whoever comes before it is comes in vain. */
const HOLD_OFF_MS_MAX = 2_000;

/** Full jitter. The bound doubles while it fails, up to a few seconds; that of a large fleet is longer than that from the beginning, and stays. */
export function returnDelayMs({ spreadMs, failures, fraction }: Return): number {
  const failing = Math.min(FAILING_MS_MAX, LEAST_MS * 2 ** Math.min(failures, 16));
  return Math.round(Math.min(HOLD_OFF_MS_MAX, spreadMs / 2) + fraction * Math.max(failing, spreadMs));
}

/** What was heard, as it may be used. */
export function boundedSpreadMs(heardMs: number): number {
  return Math.min(RETURN_SPREAD_MS_MAX, Math.max(0, heardMs));
}
