/**
 * One connection to NATS: known by this machine's key, never without TLS, and with nothing left behind when it fails.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { createSecureContext, type SecureContext } from "node:tls";
import { type NatsConnection, type TlsOptions, connect } from "nats";
import { type NatsCredentials, answerWith } from "../identity/user-nkey.ts";

export interface NatsTls {
  /** Authorities, PEM. */
  readonly ca: readonly string[];
  /** The name that the server's certificate must have. */
  readonly servername: string;
}

export interface NatsAddress {
  readonly url: string;
  readonly machineId: string;
  readonly credentials: NatsCredentials;
  readonly tls: NatsTls;
  readonly timeoutMs: number;
}

/** What a connection loses that hangs for so long, the answer to the next heartbeat makes good. */
const PING_INTERVAL_MS = 60_000;
const PINGS_OUT_MAX = 2;

/** Rejects when it is not there in time, or refused. It ends when it is lost: nats.js would make it again with what it was given here. */
export async function connectNats({ url, machineId, credentials, tls, timeoutMs }: NatsAddress): Promise<NatsConnection> {
  return endingSockets(() =>
    connect({
      servers: url,
      name: machineId,
      timeout: timeoutMs,
      pingInterval: PING_INTERVAL_MS,
      maxPingOut: PINGS_OUT_MAX,
      reconnect: false,
      ignoreClusterUpdates: true,
      authenticator: answerWith(credentials),
      tls: tlsOptions(tls),
    }),
  );
}

/** By the authorities, for as long as they are in use: to read them costs as much as a handshake. */
const CONTEXTS = new WeakMap<readonly string[], SecureContext>();

/** nats.js hands what it gets to node:tls; its own type lists only a part of that. */
function tlsOptions({ ca, servername }: NatsTls): TlsOptions {
  let secureContext = CONTEXTS.get(ca);
  if (secureContext === undefined) {
    secureContext = createSecureContext({ minVersion: "TLSv1.3", ca: ca.join("\n") });
    CONTEXTS.set(ca, secureContext);
  }
  return { secureContext, servername } as TlsOptions;
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
