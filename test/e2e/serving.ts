/**
 * Looks again and again at what really answers on the hosts of a fleet, whatever anybody says about it: each app's probe, asked straight at its port.
 */
import { setTimeout as sleep } from "node:timers/promises";

const LOOK_EVERY_MS = 20;
/** Shorter than `min_healthy_time` of test releases: within one look nobody can come up and, for that, another go down. */
const LOOK_MS_MAX = 250;

/** One app on one machine. */
export interface Place {
  readonly machine: string;
  readonly port: number;
}

export class Serving {
  readonly #places: readonly Place[];
  readonly #looks: ReadonlySet<string>[] = [];
  readonly #ended: Promise<void>;
  #isOver = false;

  /** Looks until `stop`. */
  constructor(places: readonly Place[]) {
    this.#places = places;
    this.#ended = this.#lookOn();
  }

  /** The most machines that were down at once, each with at least one app that did not answer well. */
  async stop(): Promise<{ readonly mostDown: readonly string[]; readonly looks: number }> {
    this.#isOver = true;
    await this.#ended;
    const mostDown = this.#looks.reduce((most, down) => (down.size > most.size ? down : most), new Set<string>());
    return { mostDown: [...mostDown].sort(), looks: this.#looks.length };
  }

  async #lookOn(): Promise<void> {
    while (!this.#isOver) {
      const startedAt = performance.now();
      const down = await Promise.all(this.#places.map(async ({ machine, port }) => ((await isWell(port)) ? undefined : machine)));
      if (performance.now() - startedAt < LOOK_MS_MAX) this.#looks.push(new Set(down.filter((machine) => machine !== undefined)));
      await sleep(LOOK_EVERY_MS);
    }
  }
}

async function isWell(port: number): Promise<boolean> {
  try {
    const { ok, body } = await fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(1000), headers: { connection: "close" } });
    await body?.cancel();
    return ok;
  } catch {
    return false;
  }
}
