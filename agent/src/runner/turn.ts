/**
 * Lets one app at a time exchange its release, so that a machine never has two apps down at once for their upgrades.
 * Apps take their turns in the order in which they asked.
 */
export class Turn {
  #holder: string | undefined;
  readonly #waiting: { readonly app: string; readonly give: (taken: boolean) => void }[] = [];

  /** True once the app has its turn, at once when it has it already; false when the signal aborts before. */
  take(app: string, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    if (this.#holder === undefined || this.#holder === app) {
      this.#holder = app;
      return Promise.resolve(true);
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const onAbort = (): void => {
      this.#waiting.splice(this.#waiting.indexOf(entry), 1);
      resolve(false);
    };
    const give = (taken: boolean): void => {
      signal.removeEventListener("abort", onAbort);
      resolve(taken);
    };
    const entry = { app, give };
    this.#waiting.push(entry);
    signal.addEventListener("abort", onAbort, { once: true });
    return promise;
  }

  /** Does nothing when the app does not have it. */
  release(app: string): void {
    if (this.#holder !== app) return;
    const next = this.#waiting.shift();
    this.#holder = next?.app;
    next?.give(true);
    // The steps of one app wait side by side: all of them have the turn now.
    for (const entry of this.#waiting.filter((waiting) => waiting.app === this.#holder)) {
      this.#waiting.splice(this.#waiting.indexOf(entry), 1);
      entry.give(true);
    }
  }
}
