/**
 * The report of one app that could not be spooled: kept in memory and tried again until it can be, or a newer one takes its place. Each report is the whole picture, so only the
 * newest matters.
 */
import type { Refusal } from "@muster/proto/gen/muster/v1/agent.ts";
import type { Logger } from "pino";
import type { Picture } from "../machine/picture.ts";
import { cannotStore, faultOf } from "./fault.ts";
import type { Clock } from "./ports.ts";

export interface UntoldOptions {
  readonly app: string;
  /** Durable when it returns; throws when it can't be. */
  readonly spool: (report: Picture) => void;
  readonly clock: Clock;
  /** From 0 to below 1. */
  readonly fraction: () => number;
  readonly logger: Logger;
}

const STORE_RETRY_MS = { first: 500, most: 10_000 };

/** Before what the disk did not take is written again; `tries` counts from 1. */
export function storeRetryMs(tries: number, fraction: number): number {
  const bound = Math.min(STORE_RETRY_MS.most, STORE_RETRY_MS.first * 2 ** (tries - 1));
  return bound / 2 + (fraction * bound) / 2;
}

export class Untold {
  readonly #options: UntoldOptions;
  #report: Picture | undefined;
  #refusal: Refusal | undefined;
  #tries = 0;
  #isClosed = false;
  #cancelRetry = (): void => {};

  constructor(options: UntoldOptions) {
    this.#options = options;
  }

  /** Present while there is one. */
  get refusal(): Refusal | undefined {
    return this.#refusal;
  }

  tell(report: Picture): void {
    const { app, spool, clock, fraction, logger } = this.#options;
    this.#cancelRetry();
    this.#report = report;
    try {
      spool(report);
    } catch (error) {
      this.#tries += 1;
      const retryMs = storeRetryMs(this.#tries, fraction());
      this.#refusal = cannotStore(`the report of ${app}`, error);
      // A line for each try would go on filling the disk.
      logger[this.#tries === 1 ? "error" : "debug"]({ app, fault: faultOf(error), retryMs, err: error }, "report not written");
      if (!this.#isClosed) this.#cancelRetry = clock.after(retryMs, () => this.#again());
      return;
    }
    if (this.#tries > 0) logger.info({ app, tries: this.#tries + 1 }, "report written at last");
    this.#report = undefined;
    this.#refusal = undefined;
    this.#tries = 0;
  }

  /** What is told from now on is tried once. */
  close(): void {
    this.#isClosed = true;
    this.#cancelRetry();
  }

  #again(): void {
    if (this.#report !== undefined) this.tell(this.#report);
  }
}
