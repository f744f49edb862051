/** How long to wait before the next try. Written into the state, so that it outlives the agent. */
import type { Moment } from "./event.ts";
import type { Fault, Retry } from "./state.ts";

const RESTART_FIRST_MS = 500;
export const RESTART_MAX_MS = 60_000;
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 15_000;

/** Before a process is started again; `crashes` counts from 1. */
export function restartDelayMs(crashes: number): number {
  return Math.min(RESTART_MAX_MS, RESTART_FIRST_MS * 2 ** (crashes - 1));
}

/** Before a step is tried again. Full jitter: anything up to a bound that doubles. */
export function nextRetry(last: Retry | undefined, fault: Fault, { now, chance }: Moment): Retry {
  const tries = (last?.tries ?? 0) + 1;
  const bound = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** (tries - 1));
  return { tries, until: now + Math.round(chance * bound), due: false, fault };
}
