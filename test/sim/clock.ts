/**
 * Virtual time: nothing happens but what was put on the timeline, in the order of (time, sequence). The order is total, so the same entries always give
 * the same run.
 */
export type Cancel = () => void;
type Act = () => void | Promise<unknown>;

/** In one millisecond; reaching it means that something asks for itself again without end. */
const ACTS_MAX = 1_000;

export class Spinning extends Error {}

interface Entry {
  readonly at: number;
  readonly sequence: number;
  act: Act | undefined;
}

export class Timeline {
  now = 0;
  /** Entries that were acted on. */
  steps = 0;
  #sequence = 0;
  readonly #actsMax: number;
  /** A binary heap. */
  readonly #heap: Entry[] = [];

  /** `machines`: that many do more at once than a few. */
  constructor(machines = 1) {
    this.#actsMax = ACTS_MAX + 20 * machines;
  }

  after(delayMs: number, act: Act): Cancel {
    this.#sequence += 1;
    const entry: Entry = { at: this.now + Math.max(0, Math.round(delayMs)), sequence: this.#sequence, act };
    this.#heap.push(entry);
    this.#rise(this.#heap.length - 1);
    return () => {
      entry.act = undefined;
    };
  }

  /** Time in which nothing happens. */
  idleUntil(at: number): void {
    if ((this.nextAt ?? Infinity) > at) this.now = Math.max(this.now, at);
  }

  /** Undefined: nothing will ever happen again. */
  get nextAt(): number | undefined {
    while (this.#heap.length > 0 && this.#heap[0]!.act === undefined) this.#pop();
    return this.#heap[0]?.at;
  }

  /**
   * All that happens in the next millisecond in which anything does. What was begun there is waited for together, so that reports that arrive at once
   * share a transaction, as they do in a turn of the real loop.
   */
  async step(): Promise<void> {
    const at = this.nextAt;
    if (at === undefined) return;
    this.now = at;
    const begun: Promise<unknown>[] = [];
    const most = this.steps + this.#actsMax;
    while (this.nextAt === at) {
      const { act } = this.#pop()!;
      this.steps += 1;
      if (this.steps > most) throw new Spinning(`more than ${this.#actsMax} things happen at ${at}, each at once after another`);
      const result = act!();
      if (result instanceof Promise) begun.push(result);
    }
    if (begun.length > 0) await Promise.all(begun);
  }

  #pop(): Entry | undefined {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (last === undefined || first === undefined || last === first) return first;
    this.#heap[0] = last;
    this.#sink(0);
    return first;
  }

  #rise(index: number): void {
    const heap = this.#heap;
    for (let at = index; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (!precedes(heap[at]!, heap[parent]!)) return;
      [heap[at], heap[parent]] = [heap[parent]!, heap[at]!];
      at = parent;
    }
  }

  #sink(index: number): void {
    const heap = this.#heap;
    for (let at = index; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) if (child < heap.length && precedes(heap[child]!, heap[least]!)) least = child;
      if (least === at) return;
      [heap[at], heap[least]] = [heap[least]!, heap[at]!];
      at = least;
    }
  }
}

function precedes(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.sequence < b.sequence);
}
