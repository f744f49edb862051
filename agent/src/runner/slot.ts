/**
 * Performs one step at a time. A step that is not wanted any more is told so and let end; only then comes the next.
 * Always holds: a key is performed once, however often it is offered.
 */
export class Slot<S extends { readonly key: string }> {
  readonly #perform: (step: S, signal: AbortSignal) => Promise<void>;
  #running: { readonly key: string; readonly abort: AbortController; readonly ended: Promise<void> } | undefined;
  #lastKey: string | undefined;
  #wanted: S | undefined;

  constructor(perform: (step: S, signal: AbortSignal) => Promise<void>) {
    this.#perform = perform;
  }

  offer(step: S | undefined): void {
    this.#wanted = step;
    if (this.#running === undefined) this.#begin();
    else if (this.#running.key !== step?.key) this.#running.abort.abort();
  }

  /** Resolves when nothing is performed any more. */
  async end(): Promise<void> {
    this.#wanted = undefined;
    this.#running?.abort.abort();
    await this.#running?.ended;
  }

  #begin(): void {
    const step = this.#wanted;
    if (step === undefined || step.key === this.#lastKey) return;
    this.#lastKey = step.key;
    const abort = new AbortController();
    const ended = this.#perform(step, abort.signal).then(() => {
      this.#running = undefined;
      this.#begin();
    });
    this.#running = { key: step.key, abort, ended };
  }
}
