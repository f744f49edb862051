/** How long to wait before the next try. Written into the state, so that it outlives the agent. */
import type { Moment } from "./event.ts";
import type { AppState, Fault, Retry } from "./state.ts";

const RESTART_FIRST_MS = 500;
export const RESTART_MAX_MS = 60_000;
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 15_000;
/** What is late may stay so for days, on many machines. */
const RETRY_LATE_MAX_MS = 60_000;

/** Before a process is started again; `crashes` counts from 1. */
export function restartDelayMs(crashes: number): number {
  return Math.min(RESTART_MAX_MS, RESTART_FIRST_MS * 2 ** (crashes - 1));
}

/** Before a step is tried again. Full jitter: anything up to a bound that doubles. */
export function nextRetry({ retry, late }: Pick<AppState, "retry" | "late">, fault: Fault, { now, chance }: Moment): Retry {
  const tries = (retry?.tries ?? 0) + 1;
  const bound = Math.min(late === undefined ? RETRY_MAX_MS : RETRY_LATE_MAX_MS, RETRY_FIRST_MS * 2 ** (tries - 1));
  return { tries, until: now + Math.round(chance * bound), due: false, fault };
}
