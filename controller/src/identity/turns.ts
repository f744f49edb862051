/**
 * Takes work that comes in crowds one piece a turn of the event loop, in the order in which it came: so a thousand machines that join at once hold up nobody else for
 * longer than one of them does.
 */
export class Turns {
  readonly #waiting: (() => void)[] = [];

  /** Resolves in a turn that nobody else who asked here has. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#waiting.push(resolve) === 1) setImmediate(() => this.#give());
    });
  }

  #give(): void {
    this.#waiting.shift()?.();
    // What was given goes on in between, and so does everything else.
    if (this.#waiting.length > 0) setImmediate(() => this.#give());
  }
}
