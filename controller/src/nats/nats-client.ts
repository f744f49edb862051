/**
 * The controller's connection to NATS, over which it only tells.
 *
 * Never holds anything back: what is published while the connection is down is dropped and counted, since the controller sends again what
 * is not confirmed (`onConnect`) and agents ask for what they missed. Never gives up reconnecting.
 */
import type { NatsConnection } from "nats";
import type { Logger } from "pino";
import { KeptConnection, type Trusted } from "./connection.ts";
import type { Answer } from "./nats-authority.ts";

export interface NatsClientOptions {
  readonly url: string;
  readonly answer: Answer;
  readonly trusted: () => Trusted;
  readonly logger: Logger;
}

export class NatsClient {
  readonly #kept: KeptConnection;
  readonly #logger: Logger;
  readonly #listeners: (() => void)[] = [];
  readonly #firstConnected = Promise.withResolvers<void>();
  #connection: NatsConnection | undefined;
  #droppedCount = 0;

  constructor({ logger, ...where }: NatsClientOptions) {
    this.#logger = logger;
    this.#kept = new KeptConnection({ ...where, logger, onUp: (connection) => this.#onUp(connection), onDown: () => this.#onDown() });
  }

  get connected(): boolean {
    return this.#connection !== undefined;
  }

  /** Messages that were not sent, since the beginning. */
  get droppedCount(): number {
    return this.#droppedCount;
  }

  /** Resolves once it has been connected, however long that takes. */
  get firstConnected(): Promise<void> {
    return this.#firstConnected.promise;
  }

  /** Calls back each time there is a connection. */
  onConnect(callback: () => void): void {
    this.#listeners.push(callback);
  }

  /** Never throws and never waits; see above for what is lost. */
  publish(subject: string, payload: Uint8Array): void {
    if (this.#connection === undefined) {
      this.#droppedCount += 1;
      return;
    }
    try {
      this.#connection.publish(subject, payload);
    } catch (error) {
      this.#droppedCount += 1;
      this.#logger.warn({ err: error, subject, sizeBytes: payload.length }, "nats message refused by the client");
    }
  }

  async close(): Promise<void> {
    this.#connection = undefined;
    await this.#kept.close();
  }

  #onUp(connection: NatsConnection): void {
    this.#connection = connection;
    this.#logger.info({ droppedCount: this.#droppedCount }, "nats connected");
    this.#firstConnected.resolve();
    for (const listener of this.#listeners) listener();
  }

  #onDown(): void {
    if (this.#connection === undefined) return;
    this.#connection = undefined;
    this.#logger.warn({}, "nats connection lost");
  }
}
