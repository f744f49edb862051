/**
 * The agent's attended time: milliseconds in which this agent was looking. It is measured on the monotonic clock, so no correction of the system's time reaches it, and
 * advances by at most `ADVANCE_MS_MAX` for each look: an agent that was stopped for an hour, with its machine or without it, has attended two seconds of that.
 *
 * It looks by itself often enough that no time is lost while nothing stands in its way.
 */
import type { Clock } from "./ports.ts";

/** Where its time comes from. */
export interface TimeSource {
  /** Monotonic, milliseconds. */
  readonly elapsedMs: () => number;
  readonly wallMs: () => number;
  /** For as long as the process lives. */
  readonly every: (intervalMs: number, call: () => void) => void;
  readonly after: (delayMs: number, call: () => void) => () => void;
}

const LOOK_INTERVAL_MS = 500;
/** Longer than an event loop under load is held up. What is longer is a gap. */
const ADVANCE_MS_MAX = 2_000;

const SYSTEM: TimeSource = {
  elapsedMs: () => performance.now(),
  wallMs: Date.now,
  every: (intervalMs, call) => void setInterval(call, intervalMs).unref(),
  after(delayMs, call) {
    const timer = setTimeout(call, delayMs);
    return () => clearTimeout(timer);
  },
};

export function createClock(source: TimeSource = SYSTEM): Clock {
  return new AttendedClock(source);
}

class AttendedClock implements Clock {
  readonly after: Clock["after"];
  readonly #source: TimeSource;
  /** Begins with the wall clock, so that what is written down can be read by people. */
  #attendedMs: number;
  #lookedAtMs: number;
  #gaps = 0;

  constructor(source: TimeSource) {
    this.#source = source;
    this.after = source.after;
    this.#attendedMs = source.wallMs();
    this.#lookedAtMs = source.elapsedMs();
    source.every(LOOK_INTERVAL_MS, () => this.now());
  }

  get gaps(): number {
    return this.#gaps;
  }

  now(): number {
    const at = this.#source.elapsedMs();
    const passedMs = at - this.#lookedAtMs;
    this.#lookedAtMs = at;
    this.#attendedMs += Math.min(passedMs, ADVANCE_MS_MAX);
    if (passedMs > ADVANCE_MS_MAX) this.#gaps += 1;
    return Math.round(this.#attendedMs);
  }
}
