/**
 * A connection to NATS that is made again for ever. Each time with what is trusted and answered at that moment, so that a new certificate authority or a new
 * JWT is used from the next connection on; therefore nats.js does not reconnect by itself, which would use the old ones.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type NatsConnection, type TlsOptions, connect } from "nats";
import type { Logger } from "pino";
import type { Answer } from "./nats-authority.ts";

/** How the server proves itself. */
export interface Trusted {
  /** PEM; those of the system when there is none. */
  readonly ca?: readonly string[];
  /** The name that its certificate must have, when it is not the host's. */
  readonly servername?: string;
}

export interface ConnectionOptions {
  readonly url: string;
  readonly answer: Answer;
  /** Asked at each connection. */
  readonly trusted: () => Trusted;
  readonly inboxPrefix?: string;
  readonly onUp: (connection: NatsConnection) => void;
  readonly onDown: () => void;
  readonly logger: Logger;
}

const CONNECT_TIMEOUT_MS = 5000;
/** A dead connection is noticed after two of these. */
const PING_INTERVAL_MS = 10_000;
/** The controller is one, or a few: no crowd to spread. */
const RETRY_MS = 250;

export class KeptConnection {
  readonly #options: ConnectionOptions;
  readonly #closing = new AbortController();
  readonly #ended: Promise<void>;
  #connection: NatsConnection | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#ended = this.#keep();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#connection?.close();
    await this.#ended;
  }

  async #keep(): Promise<void> {
    const { url, logger, onUp, onDown } = this.#options;
    const { signal } = this.#closing;
    let isSaid = false;
    while (!signal.aborted) {
      try {
        const connection = await endingSockets(() => this.#connect());
        this.#connection = connection;
        if (signal.aborted) await connection.close();
        else onUp(connection);
        isSaid = false;
        await connection.closed();
        this.#connection = undefined;
        onDown();
      } catch (error) {
        if (!isSaid) logger.warn({ url, detail: error instanceof Error ? error.message : String(error) }, "nats not reached; trying again until it is");
        isSaid = true;
      }
      await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  #connect(): Promise<NatsConnection> {
    const { url, answer, trusted, inboxPrefix } = this.#options;
    return connect({
      servers: url,
      name: "muster-controller",
      timeout: CONNECT_TIMEOUT_MS,
      noEcho: true,
      pingInterval: PING_INTERVAL_MS,
      maxPingOut: 2,
      reconnect: false,
      ignoreClusterUpdates: true,
      authenticator: answer,
      tls: tlsOptions(trusted()),
      ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
    });
  }
}

/** nats.js hands what it gets to node:tls; its own type lists only a part of that. */
function tlsOptions({ ca, servername }: Trusted): TlsOptions {
  return { minVersion: "TLSv1.3", ...(ca === undefined ? {} : { ca: ca.join("\n") }), ...(servername === undefined ? {} : { servername }) } as TlsOptions;
}

const opened = new AsyncLocalStorage<Socket[]>();
subscribe("net.client.socket", (message) => opened.getStore()?.push((message as { readonly socket: Socket }).socket));

/** nats.js forgets the socket of a server that takes the connection and then says nothing: one more would stay open at each attempt. */
async function endingSockets<T>(attempt: () => Promise<T>): Promise<T> {
  const sockets: Socket[] = [];
  try {
    return await opened.run(sockets, attempt);
  } catch (error) {
    for (const socket of sockets) socket.destroy();
    throw error;
  }
}
