/**
 * The controller's connection to NATS, over which it only tells.
 *
 * Never holds anything back: what is published while the connection is down is dropped and counted, since the controller sends again what
 * is not confirmed (`onReconnect`) and agents ask for what they missed. Never gives up reconnecting.
 */
import { connect, Events, type NatsConnection } from "nats";
import type { Logger } from "pino";

export interface NatsClientOptions {
  readonly url: string;
  readonly logger: Logger;
}

/** A dead connection is noticed after two of these. */
const PING_INTERVAL_MS = 10_000;
const RECONNECT_WAIT_MS = 250;
const RECONNECT_JITTER_MS = 250;

/** Resolves once it is connected, however long that takes. */
export async function createNatsClient({ url, logger }: NatsClientOptions): Promise<NatsClient> {
  const connection = await connect({
    servers: url,
    name: "muster-controller",
    noEcho: true,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: 2,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_WAIT_MS,
    reconnectJitter: RECONNECT_JITTER_MS,
    waitOnFirstConnect: true,
    ignoreAuthErrorAbort: true,
    ignoreClusterUpdates: true,
  });
  return new NatsClient(connection, logger);
}

export class NatsClient {
  readonly #connection: NatsConnection;
  readonly #logger: Logger;
  readonly #listeners: (() => void)[] = [];
  #connected = true;
  #droppedCount = 0;

  constructor(connection: NatsConnection, logger: Logger) {
    this.#connection = connection;
    this.#logger = logger;
    void this.#follow();
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Messages that were not sent, since the beginning. */
  get droppedCount(): number {
    return this.#droppedCount;
  }

  /** Calls back each time the connection is there again. */
  onReconnect(callback: () => void): void {
    this.#listeners.push(callback);
  }

  /** Never throws and never waits; see above for what is lost. */
  publish(subject: string, payload: Uint8Array): void {
    if (!this.#connected) {
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
    this.#connected = false;
    await this.#connection.close();
  }

  async #follow(): Promise<void> {
    for await (const { type } of this.#connection.status()) {
      if (type === Events.Disconnect) {
        this.#connected = false;
        this.#logger.warn({}, "nats connection lost");
      } else if (type === Events.Reconnect) {
        this.#connected = true;
        this.#logger.info({ droppedCount: this.#droppedCount }, "nats connection is back");
        for (const listener of this.#listeners) listener();
      }
    }
  }
}
