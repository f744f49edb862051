/**
 * When the controller could judge anything: it was up, its loop was turning and its disk took writes. Kept in true time by the world that does all of this to it, so that what
 * the controller believes about its own absence can be held against it.
 */
import type { Timeline } from "./clock.ts";

/** As ADR 24 has it. */
const LOOK_MS = 2_000;

interface Stretch {
  readonly from: number;
  to: number;
}

export class Attention {
  readonly #timeline: Timeline;
  readonly #stretches: Stretch[] = [];
  #isOpen = false;
  /** When it last came to pay attention. */
  since = 0;

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  set(isAttending: boolean): void {
    const { now } = this.#timeline;
    if (isAttending === this.#isOpen) return;
    this.#isOpen = isAttending;
    if (isAttending) {
      this.since = now;
      this.#stretches.push({ from: now, to: Infinity });
    } else this.#stretches.at(-1)!.to = now;
  }

  get isAttending(): boolean {
    return this.#isOpen;
  }

  /** Since when there was no break that was longer than this. */
  unbrokenSince(breakMs: number): number {
    let since = this.since;
    for (let index = this.#stretches.length - 2; index >= 0; index -= 1) {
      const { from, to } = this.#stretches[index]!;
      if (since - to > breakMs) break;
      since = from;
    }
    return since;
  }

  /** What a controller may take for attended of each gap, however long: it looks at its clocks once in a while. */
  atMost(from: number, to: number, gapMs = LOOK_MS): number {
    let sum = this.between(from, to);
    for (const [index, { to: begun }] of this.#stretches.entries()) {
      const ended = this.#stretches[index + 1]?.from ?? to;
      sum += Math.max(0, Math.min(gapMs, Math.min(ended, to) - Math.max(begun, from)));
    }
    return sum;
  }

  /** Attended milliseconds between two moments of true time. */
  between(from: number, to: number): number {
    let sum = 0;
    for (let index = this.#stretches.length - 1; index >= 0; index -= 1) {
      const stretch = this.#stretches[index]!;
      if (stretch.to <= from) break;
      sum += Math.max(0, Math.min(stretch.to, to) - Math.max(stretch.from, from));
    }
    return sum;
  }
}
