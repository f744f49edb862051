/**
 * Whether the write-ahead log has become so long that it has to be emptied before more is written. It is begun anew by whoever writes after all of it was moved into the database file, which never comes to be while others write all the time: so
 * those who have much to write wait for that moment, and the loop serves everybody else meanwhile. Whoever has little to write does not ask.
 */
export class WriteAheadLog {
  #isLong = false;
  readonly #waiting = new Set<() => void>();

  get isLong(): boolean {
    return this.#isLong;
  }

  /** As whoever empties it says (checkpoints.ts). */
  set isLong(isLong: boolean) {
    this.#isLong = isLong;
    if (isLong) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const write of waiting) setImmediate(write);
  }

  /** Calls once, in a later turn of the loop; of many that wait, each in a turn of its own. Returns a function that cancels it, as long as it waits. */
  whenShort(write: () => void): () => void {
    if (!this.#isLong) {
      const next = setImmediate(write);
      return () => clearImmediate(next);
    }
    // The same function may wait twice.
    const waits = (): void => write();
    this.#waiting.add(waits);
    return () => this.#waiting.delete(waits);
  }
}
