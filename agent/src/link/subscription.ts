/**
 * Listens on NATS for what the controller tells this machine. Publishes nothing. What is lost while there is no connection costs nothing: `onConnected`
 * is called each time there is one again, and whoever listens asks for the newest.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { assignmentSubject, requestSubject } from "@muster/proto/subjects.ts";
import { Events, type NatsConnection, connect } from "nats";
import type { Logger } from "pino";

const CONNECT_TIMEOUT_MS = 5_000;
/** A whole fleet comes back at once after the server was away: full jitter spreads it. */
const RECONNECT_DELAY_MAX_MS = 2_000;
const PING_INTERVAL_MS = 20_000;
const PINGS_OUT_MAX = 2;

export interface SubscriptionOptions {
  readonly machineId: string;
  readonly fraction: () => number;
  /** Bytes that anybody may have sent. */
  readonly onAssignment: (envelope: Uint8Array) => void;
  readonly onRequest: (envelope: Uint8Array) => void;
  readonly onConnected: () => void;
  readonly logger: Logger;
}

export class Subscription {
  readonly #options: SubscriptionOptions;
  #url: string | undefined;
  #stop = new AbortController();

  constructor(options: SubscriptionOptions) {
    this.#options = options;
  }

  /** Listens there, and nowhere else any more. */
  listenAt(url: string): void {
    if (url === this.#url) return;
    this.close();
    this.#url = url;
    this.#stop = new AbortController();
    void this.#keep(url, this.#stop.signal);
  }

  close(): void {
    this.#url = undefined;
    this.#stop.abort();
  }

  async #keep(url: string, signal: AbortSignal): Promise<void> {
    const { logger, fraction } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      try {
        await this.#listen(url, signal);
        failures = 0;
      } catch (error) {
        failures += 1;
        const fields = { url, detail: error instanceof Error ? error.message : String(error), failures };
        if (failures === 1) logger.warn(fields, "nats not reached");
        else logger.debug(fields, "nats not reached");
      }
      await sleep(fraction() * RECONNECT_DELAY_MAX_MS, undefined, { signal }).catch(() => {});
    }
  }

  async #listen(url: string, signal: AbortSignal): Promise<void> {
    const { machineId, fraction, logger, onAssignment, onRequest, onConnected } = this.#options;
    const connection = await connect({
      servers: url,
      name: machineId,
      timeout: CONNECT_TIMEOUT_MS,
      maxReconnectAttempts: -1,
      reconnectDelayHandler: () => fraction() * RECONNECT_DELAY_MAX_MS,
      pingInterval: PING_INTERVAL_MS,
      maxPingOut: PINGS_OUT_MAX,
      ignoreAuthErrorAbort: true,
    });
    const close = (): void => void connection.close();
    signal.addEventListener("abort", close, { once: true });
    if (signal.aborted) close();
    try {
      connection.subscribe(assignmentSubject(machineId), { callback: (error, { data }) => error === null && onAssignment(data) });
      connection.subscribe(requestSubject(machineId), { callback: (error, { data }) => error === null && onRequest(data) });
      await connection.flush();
      logger.info({ url }, "nats connected");
      onConnected();
      await this.#heedReconnects(connection);
    } finally {
      signal.removeEventListener("abort", close);
      await connection.close();
    }
  }

  async #heedReconnects(connection: NatsConnection): Promise<void> {
    for await (const { type } of connection.status()) {
      if (type === Events.Disconnect) this.#options.logger.warn({}, "nats disconnected");
      if (type !== Events.Reconnect) continue;
      this.#options.logger.info({}, "nats connected again");
      this.#options.onConnected();
    }
  }
}
