/**
 * The agent's clock: the wall clock at its start, and from then on what a monotonic clock adds to it. So no correction of the system's time makes a deadline
 * pass early or never, and what is written down still means something to the next agent.
 */
import type { Clock } from "./ports.ts";

export function createClock(): Clock {
  const offsetMs = Date.now() - performance.now();
  return {
    now: () => Math.round(offsetMs + performance.now()),
    after(delayMs, call) {
      const timer = setTimeout(call, delayMs);
      return () => clearTimeout(timer);
    },
  };
}
