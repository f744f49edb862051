/**
 * Listens on NATS for what the controller tells this machine. Publishes nothing. What is lost while there is no connection costs nothing: `onConnected`
 * is called each time there is one again, and whoever listens asks what is the newest.
 *
 * Each connection is made with the credentials and authorities of that moment, and never without TLS. One that is refused is tried
 * again for ever, since credentials are renewed meanwhile; nats.js does not reconnect by itself, which would use the old ones.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { assignmentSubject, requestSubject } from "@muster/proto/subjects.ts";
import type { Logger } from "pino";
import { type NatsTls, connectNats } from "./connect-nats.ts";
import { returnDelayMs } from "./return.ts";
import type { NatsCredentials } from "../identity/user-nkey.ts";

/** A server that a whole fleet comes back to is slow to shake hands. */
const CONNECT_TIMEOUT_MS = 20_000;

export interface SubscriptionOptions {
  readonly machineId: string;
  /** Asked at each connection. */
  readonly credentials: () => NatsCredentials;
  /** Asked at each connection. */
  readonly tls: () => NatsTls;
  readonly fraction: () => number;
  /** How far the fleet spreads its return. Asked before each connection but the first. */
  readonly spreadMs: () => number;
  /** Bytes that anybody may have sent. */
  readonly onAssignment: (envelope: Uint8Array) => void;
  readonly onRequest: (envelope: Uint8Array) => void;
  readonly onConnected: () => void;
  readonly logger: Logger;
  readonly connectTimeoutMs?: number;
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
    const { logger, fraction, spreadMs } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      let detail: string | undefined;
      try {
        detail = await this.#listen(url, signal);
        failures = 0;
      } catch (error) {
        detail = error instanceof Error ? error.message : String(error);
        failures += 1;
      }
      if (signal.aborted) return;
      const delayMs = returnDelayMs({ spreadMs: spreadMs(), failures, fraction: fraction() });
      const fields = { url, detail, failures, delayMs };
      if (failures === 0) logger.warn(fields, "nats disconnected");
      else if (failures === 1) logger.warn(fields, "nats not reached");
      else logger.debug(fields, "nats not reached");
      await sleep(delayMs, undefined, { signal }).catch(() => {});
    }
  }

  /** Resolves when a connection that stood has ended, with why, where that is known. */
  async #listen(url: string, signal: AbortSignal): Promise<string | undefined> {
    const { machineId, credentials, tls, connectTimeoutMs: timeoutMs = CONNECT_TIMEOUT_MS, logger, onAssignment, onRequest, onConnected } = this.#options;
    const connection = await connectNats({ url, machineId, credentials: credentials(), tls: tls(), timeoutMs });
    const close = (): void => void connection.close();
    signal.addEventListener("abort", close, { once: true });
    if (signal.aborted) close();
    try {
      connection.subscribe(assignmentSubject(machineId), { callback: (error, { data }) => error === null && onAssignment(data) });
      connection.subscribe(requestSubject(machineId), { callback: (error, { data }) => error === null && onRequest(data) });
      await connection.flush();
      logger.info({ url }, "nats connected");
      onConnected();
      const fault = await connection.closed();
      return fault === undefined ? undefined : fault.message;
    } finally {
      signal.removeEventListener("abort", close);
      await connection.close();
    }
  }
}
