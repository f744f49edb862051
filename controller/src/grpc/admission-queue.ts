/**
 * Which connection shakes hands next. Knows nothing of sockets: connections are names, and what happens to them is done by whoever opened the queue.
 *
 *     arrived ──▶ silent ──first message is there──▶ waiting ──place free──▶ served ──known, or gone──▶ left
 *                   │ too many: the oldest is dropped   │ too many: refused     └── yieldMs ──▶ slow ──▶ left
 *                                                                                               │ too many: the oldest is dropped
 *
 * Always holds: who waits is served in the order of arrival; nobody who is served is dropped for somebody who came later, as long as it is not slow; each set is bounded. A few begin in one turn of the event loop, so
 * those who are served, and everything else, go on in between. A peer that says nothing has no place, and one that stops answering in the middle gives up its place after `yieldMs` (not its connection): so whoever opens connections and
 * says nothing does not hold up the others.
 */

export interface AdmissionBounds {
  /** Connections of which nothing, or half of a first message, has come. */
  readonly silentMax: number;
  readonly waitingMax: number;
  readonly servedMax: number;
  /** For so long somebody who is served and does not become known keeps its place when others wait. */
  readonly yieldMs: number;
  /** Of those that gave up their place and have not shaken hands yet. */
  readonly slowMax: number;
}

export interface AdmissionOptions {
  readonly bounds: AdmissionBounds;
  /** Begins to serve it. */
  readonly begin: (connection: string) => void;
  /** Ends it; it has left already. */
  readonly drop: (connection: string) => void;
  /** Monotonic. */
  readonly elapsedMs: () => number;
  /** Calls in the next turn of the event loop, after what has come in by then. */
  readonly nextTurn: (call: () => void) => void;
  /** Returns what cancels it. */
  readonly after: (delayMs: number, call: () => void) => () => void;
}

/** Begun in one turn: ten to fifteen milliseconds of work, and enough that the hellos which follow share a flush of the disk. */
const BEGUN_A_TURN_MAX = 8;

interface Served {
  readonly since: number;
  hasShakenHands: boolean;
}

export class AdmissionQueue {
  readonly #options: AdmissionOptions;
  // All keep the order of insertion: the first is the oldest.
  readonly #silent = new Set<string>();
  readonly #waiting = new Set<string>();
  readonly #served = new Map<string, Served>();
  readonly #slow = new Set<string>();
  #isTurnAsked = false;
  #cancelYield: (() => void) | undefined;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** It has come, and has said nothing yet. */
  arrive(connection: string): void {
    this.#silent.add(connection);
    this.#bound(this.#silent, this.#options.bounds.silentMax);
  }

  /** Its first message is there. Beyond the bound it is dropped, and the others keep their places. */
  wait(connection: string): void {
    if (!this.#silent.delete(connection)) return;
    if (this.#waiting.size >= this.#options.bounds.waitingMax) return this.#options.drop(connection);
    this.#waiting.add(connection);
    this.#askTurn();
  }

  /** It keeps its place until it is known, since that is work too, but will not have to be dropped for being slow. */
  shookHands(connection: string): void {
    this.#slow.delete(connection);
    const served = this.#served.get(connection);
    if (served !== undefined) served.hasShakenHands = true;
  }

  /** It is known, or has gone. */
  leave(connection: string): void {
    if (this.#silent.delete(connection) || this.#waiting.delete(connection) || this.#slow.delete(connection)) return;
    if (this.#served.delete(connection)) this.#askTurn();
  }

  close(): void {
    this.#cancelYield?.();
    for (const all of [this.#silent, this.#waiting, this.#served, this.#slow]) all.clear();
  }

  counts(): { readonly silent: number; readonly waiting: number; readonly served: number; readonly slow: number } {
    return { silent: this.#silent.size, waiting: this.#waiting.size, served: this.#served.size, slow: this.#slow.size };
  }

  #askTurn(): void {
    if (this.#isTurnAsked || this.#waiting.size === 0) return;
    this.#isTurnAsked = true;
    this.#options.nextTurn(() => {
      this.#isTurnAsked = false;
      this.#beginSome();
    });
  }

  #beginSome(): void {
    const { bounds, begin, elapsedMs } = this.#options;
    let begun = 0;
    for (const connection of this.#waiting) {
      if (this.#served.size >= bounds.servedMax) this.#yieldOverdue();
      if (this.#served.size >= bounds.servedMax) return this.#yieldLater();
      if (begun >= BEGUN_A_TURN_MAX) return this.#askTurn();
      this.#waiting.delete(connection);
      this.#served.set(connection, { since: elapsedMs(), hasShakenHands: false });
      begun += 1;
      begin(connection);
    }
  }

  /** Places of those who have had them for long enough. */
  #yieldOverdue(): void {
    const { bounds, elapsedMs } = this.#options;
    const since = elapsedMs() - bounds.yieldMs;
    for (const [connection, served] of this.#served) {
      if (served.since > since) return;
      this.#served.delete(connection);
      if (!served.hasShakenHands) this.#slow.add(connection);
      this.#bound(this.#slow, bounds.slowMax);
    }
  }

  #yieldLater(): void {
    if (this.#cancelYield !== undefined) return;
    const { bounds, elapsedMs, after } = this.#options;
    const [oldest] = this.#served.values();
    const delayMs = oldest === undefined ? 0 : Math.max(1, oldest.since + bounds.yieldMs - elapsedMs());
    this.#cancelYield = after(delayMs, () => {
      this.#cancelYield = undefined;
      this.#askTurn();
    });
  }

  #bound(connections: Set<string>, most: number): void {
    for (const oldest of connections) {
      if (connections.size <= most) return;
      connections.delete(oldest);
      this.#options.drop(oldest);
    }
  }
}
