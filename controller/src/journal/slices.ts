/**
 * Long reads in slices (ADR 29): between two of them everything else has its turn of the loop, and of all reads that go on at the same time only one has its slice in each turn.
 *
 * A statement that is iterated holds the database: none may be left open between two slices. Whoever reads goes on by key.
 */

/** Rows that are looked at in one slice, a few milliseconds of work each five hundred: reading them, and making of them what is answered. */
export const SLICE_ROWS = 500;

/** Reads that wait for a turn, the first one first. */
const waiting: (() => void)[] = [];

/** Resolves in a later turn of the loop, in which no other read goes on. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (waiting.length === 1) setImmediate(admitNext);
  });
}

function admitNext(): void {
  waiting.shift()?.();
  if (waiting.length > 0) setImmediate(admitNext);
}

/** How much of one read's slice is left. */
export class Slice {
  #left = SLICE_ROWS;

  /** So many rows were looked at: resolves in a later turn when that was enough for this one. */
  async took(rows: number): Promise<void> {
    this.#left -= rows;
    if (this.#left > 0) return;
    this.#left = SLICE_ROWS;
    await turn();
  }
}

/** A read in steps, each of a few milliseconds: it yields how many rows it looked at. Whoever asks says what happens between them. */
export type Steps<T> = Generator<number, T, undefined>;

export async function inSlices<T>(steps: Steps<T>, slice: Slice): Promise<T> {
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done === true) return step.value;
    await slice.took(step.value);
  }
}
