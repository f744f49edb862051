/**
 * The time of a replay: runs from one picture to the next, faster than the world's by `speed`, and through a long wait in no more than
 * GAP_MAX_MS, so that a night at a gate does not make a night of watching.
 */
import type { Clock } from "../context.ts";

const GAP_MAX_MS = 2_000;

export class ReplayClock implements Clock {
  readonly #world: Clock;
  readonly #speed: number;
  #from = 0;
  #to = 0;
  #startedAt = 0;
  #waitMs = 0;

  /** `speed` is above 0; Infinity waits for nothing. */
  constructor(world: Clock, speed: number) {
    this.#world = world;
    this.#speed = speed;
  }

  /** The moment that is shown. */
  now(): number {
    if (this.#waitMs === 0) return this.#to;
    const share = Math.min(1, (this.#world.now() - this.#startedAt) / this.#waitMs);
    return this.#from + (this.#to - this.#from) * share;
  }

  /** The world's, for those who draw. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return this.#world.sleep(durationMs, signal);
  }

  /** Without a wait. */
  jump(at: number): void {
    this.#from = at;
    this.#to = at;
    this.#waitMs = 0;
  }

  /** Lets time run up to `at`. */
  async runTo(at: number, signal: AbortSignal): Promise<void> {
    this.#from = this.#to;
    this.#to = Math.max(at, this.#from);
    this.#waitMs = Math.min(GAP_MAX_MS, (this.#to - this.#from) / this.#speed);
    this.#startedAt = this.#world.now();
    if (this.#waitMs > 0) await this.#world.sleep(this.#waitMs, signal);
    this.jump(this.#to);
  }
}
