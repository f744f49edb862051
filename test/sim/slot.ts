/** One step at a time, as the real runner's slot does: a key is performed once; a step that is not wanted any more is told so, and only at its end comes the next. */
type Perform<S> = (step: S, isAborted: () => boolean, end: () => void) => void;

export class Slot<S extends { readonly key: string }> {
  readonly #perform: Perform<S>;
  #running: { readonly key: string; isAborted: boolean } | undefined;
  #lastKey: string | undefined;
  #wanted: S | undefined;

  constructor(perform: Perform<S>) {
    this.#perform = perform;
  }

  offer(step: S | undefined): void {
    this.#wanted = step;
    if (this.#running === undefined) this.#begin();
    else if (this.#running.key !== step?.key) this.#running.isAborted = true;
  }

  #begin(): void {
    const step = this.#wanted;
    if (step === undefined || step.key === this.#lastKey) return;
    this.#lastKey = step.key;
    const running = { key: step.key, isAborted: false };
    this.#running = running;
    this.#perform(
      step,
      () => running.isAborted,
      () => {
        this.#running = undefined;
        this.#begin();
      },
    );
  }
}

/** Which app of a machine may exchange its release now: one at a time, in the order in which they asked. */
export class Turn {
  #holder: string | undefined;
  #waiting: { readonly app: string; readonly give: () => void }[] = [];

  take(app: string, give: () => void): void {
    if (this.#holder !== undefined && this.#holder !== app) {
      this.#waiting.push({ app, give });
      return;
    }
    this.#holder = app;
    give();
  }

  release(app: string): void {
    if (this.#holder !== app) return;
    this.#holder = this.#waiting[0]?.app;
    const next = this.#waiting.filter((waiting) => waiting.app === this.#holder);
    this.#waiting = this.#waiting.filter((waiting) => waiting.app !== this.#holder);
    for (const { give } of next) give();
  }
}
