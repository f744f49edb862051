/**
 * A TLS listener: TLS 1.3 alone, client certificates asked for and checked here, a queue before the handshake, and bounds on what nobody knows.
 *
 * Always holds: a connection is handed on only after its handshake, with what its certificate proves, and not beyond that certificate's end; handshakes begin in the order of arrival, as fast as they can be served
 * (admission-queue.ts); connections that have not shaken hands, and those of callers who have not been admitted to anything yet, are bounded in number and time, and when there are too many the oldest of those who say nothing
 * go. So whoever opens connections and says nothing takes no place from machines and operators, and a fleet that comes all at once is served one after another.
 */
import { constants, type X509Certificate } from "node:crypto";
import type { AddressInfo } from "node:net";
import type { SecureContext, Server, TlsOptions, TLSSocket } from "node:tls";
import type { AdmissionBounds } from "./admission-queue.ts";
import { addressOf, Arrivals } from "./arrivals.ts";
import type { Certified, Peer } from "./caller.ts";
import { ListenError } from "./listen-error.ts";

export interface TlsDoorOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** How another port is chosen, for messages. */
  readonly portOption: string;
  /** What is spoken inside. */
  readonly protocol: "h2" | "http/1.1";
  /** For the name that the client asked for; `undefined`, and one that is not known, get the default one. */
  readonly contextFor: (serverName: string | undefined) => SecureContext;
  readonly certify: (certificate: X509Certificate) => Certified;
  readonly bounds?: Partial<Bounds>;
}

interface Bounds extends AdmissionBounds {
  /** For the first message, and then, after the wait for its place, for the handshake. */
  readonly handshakeMs: number;
  /** Without a certificate of ours, and not admitted to anything. */
  readonly strangersMax: number;
  /** With one. They are machines which are about to say hello, or whose certificate counts no more. */
  readonly expectedMax: number;
}

const BOUNDS: Bounds = {
  /** Of an agent on a machine that is very busy. */
  handshakeMs: 30_000,
  /** A fleet of the largest size, all at once, whose machines are so busy that their first messages are still to come; 8 KiB each. */
  silentMax: 16_384,
  waitingMax: 16_384,
  servedMax: 256,
  yieldMs: 1_000,
  /** Agents on machines that are very busy may take 16 s, however fast others come. */
  slowMax: 4_096,
  strangersMax: 1_024,
  expectedMax: 16_384,
};

/** Connections that the kernel holds until the loop looks; it takes no more than net.core.somaxconn. */
const BACKLOG = 4_096;

const RENEWAL_MS = 60_000;
/** What a timer can hold, 24 days. A longer-lived certificate makes its holder connect again by then. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export interface TlsDoor {
  readonly port: number;
  /** `address`: as `remoteAddress:remotePort`. Undefined when that connection has gone. */
  peerAt(address: string): Peer | undefined;
  /** The connection has proved to be somebody's: it is bounded no more. */
  know(address: string): void;
  /** Cuts the connections of a machine at once; returns how many there were. */
  cut(machine: string): number;
  /** `handshakes`: that have not ended, those that wait for their turn among them. */
  counts(): { readonly handshakes: number; readonly waiting: number; readonly strangers: number; readonly connections: number };
  close(): Promise<void>;
}

interface Connection {
  readonly socket: TLSSocket;
  readonly peer: Peer;
}

/** With these a server is made that a door is then put in front of. */
export function tlsOptions({ contextFor, protocol, bounds }: TlsDoorOptions): TlsOptions {
  return {
    // No session tickets: a resumed session would keep a certificate that has been revoked or has expired meanwhile.
    secureOptions: constants.SSL_OP_NO_TICKET,
    minVersion: "TLSv1.3",
    SNICallback: (name, done) => done(null, contextFor(name)),
    requestCert: true,
    // What it shows is judged by `certify`: one that has expired may still be good for a renewal.
    rejectUnauthorized: false,
    ALPNProtocols: [protocol],
    handshakeTimeout: bounds?.handshakeMs ?? BOUNDS.handshakeMs,
    noDelay: true,
  };
}

/** `server` speaks TLS, and never listens itself: it gets each connection when its turn has come. Throws ListenError. */
export async function openTlsDoor(server: Server, options: TlsDoorOptions): Promise<TlsDoor> {
  const { host, port, portOption, certify } = options;
  const bounds = { ...BOUNDS, ...options.bounds };
  const arrivals = new Arrivals({ bounds, helloMs: bounds.handshakeMs, begin: (socket) => void server.emit("connection", socket) });
  const listener = arrivals.server;
  // Both keep the order of insertion: the first is the oldest.
  const strangers = new Set<string>();
  const expected = new Set<string>();
  const connections = new Map<string, Connection>();

  // A handshake that failed, or took too long: Node says so and leaves the socket open.
  server.on("tlsClientError", (_, socket) => socket.destroy());

  // Before whoever speaks inside: it may ask at once who is there.
  server.prependListener("secureConnection", (socket: TLSSocket) => {
    const address = addressOf(socket);
    arrivals.shookHands(address);
    socket.on("error", () => socket.destroy());
    const certificate = socket.getPeerX509Certificate();
    const certified = certificate === undefined ? { kind: "nobody" as const } : certify(certificate);
    connections.set(address, { socket, peer: { via: "tls", address, certified } });
    const [unknown, most] = certified.kind === "nobody" ? [strangers, bounds.strangersMax] : [expected, bounds.expectedMax];
    unknown.add(address);
    const timer = setTimeout(() => socket.destroy(), lifetimeMs(certified));
    socket.once("close", () => {
      clearTimeout(timer);
      connections.delete(address);
      unknown.delete(address);
    });
    const [oldest] = unknown;
    if (unknown.size > most && oldest !== undefined) connections.get(oldest)?.socket.destroy();
  });

  await new Promise<void>((resolve, reject) => {
    listener.once("error", (error) => reject(new ListenError(portOption, host, port, error)));
    listener.listen({ port, host, backlog: BACKLOG }, resolve);
  });

  return {
    port: (listener.address() as AddressInfo).port,
    peerAt: (address) => connections.get(address)?.peer,
    know(address) {
      // Asked at each call: most have been known for long.
      if (strangers.delete(address) || expected.delete(address)) arrivals.know(address);
    },
    cut(machine) {
      const cut = [...connections.values()].filter(({ peer }) => peer.via === "tls" && peer.certified.kind === "machine" && peer.certified.machine === machine);
      for (const { socket } of cut) socket.destroy();
      return cut.length;
    },
    counts: () => ({ handshakes: arrivals.size, waiting: arrivals.waiting, strangers: strangers.size + expected.size, connections: connections.size }),
    async close() {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
      arrivals.close();
      for (const { socket } of connections.values()) socket.destroy();
      await closed;
    },
  };
}

/** Until its certificate ends. One that has ended already is good for a renewal, which takes a moment. */
function lifetimeMs(certified: Certified): number {
  if (certified.kind === "nobody") return TIMER_MS_MAX;
  const leftMs = certified.expiresAt - Date.now();
  return leftMs > 0 ? Math.min(leftMs, TIMER_MS_MAX) : RENEWAL_MS;
}
