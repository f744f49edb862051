/**
 * Learns a controller's certificate authority and tells whether it is the one that the token names. Nothing is sent to a controller before that but the handshake
 * itself.
 */
import { connect, type DetailedPeerCertificate } from "node:tls";
import { createHash } from "node:crypto";
import { durationText } from "@muster/proto/duration.ts";
import { authorityName } from "@muster/proto/identity.ts";

export type Fetched =
  /** PEM. */
  | { readonly kind: "authority"; readonly pem: string }
  /** Whoever answers there is of another authority: its pins. */
  | { readonly kind: "stranger"; readonly pins: readonly string[] }
  | { readonly kind: "unreachable"; readonly why: string };

/** A controller whose fleet comes back lets handshakes wait in its queue. */
const TIMEOUT_MS = 60_000;
/** A server's own certificate, its authority, and room for one between. */
const CHAIN_MAX = 4;

/** `address`: `host:port`; `pin`: sha256 of the authority's certificate, hex. */
export function fetchAuthority(address: string, pin: string): Promise<Fetched> {
  const { promise, resolve } = Promise.withResolvers<Fetched>();
  const { hostname, port } = new URL(`tls://${address}`);
  const socket = connect({
    host: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port),
    servername: authorityName(pin),
    minVersion: "TLSv1.3",
    ALPNProtocols: ["h2"],
    // Who it is shall be told by the pin; nothing is said to it before.
    rejectUnauthorized: false,
    timeout: TIMEOUT_MS,
  });
  socket.once("secureConnect", () => {
    const chain = chainOf(socket.getPeerCertificate(true));
    const authority = chain.find((raw) => sha256(raw) === pin);
    resolve(authority === undefined ? { kind: "stranger", pins: chain.slice(1).map(sha256) } : { kind: "authority", pem: pemOf(authority) });
    socket.destroy();
  });
  socket.once("timeout", () => socket.destroy(new Error(`no answer within ${durationText(TIMEOUT_MS)}`)));
  socket.once("error", (error) => resolve({ kind: "unreachable", why: error.message }));
  socket.once("close", () => resolve({ kind: "unreachable", why: "the connection was closed" }));
  return promise;
}

/** DER, the server's own first. */
function chainOf(leaf: DetailedPeerCertificate): readonly Buffer[] {
  const chain: Buffer[] = [];
  for (let each: DetailedPeerCertificate | undefined = leaf; each?.raw !== undefined && chain.length < CHAIN_MAX; each = each.issuerCertificate) {
    if (chain.some((known) => known.equals(each!.raw))) break;
    chain.push(each.raw);
  }
  return chain;
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function pemOf(der: Buffer): string {
  return `-----BEGIN CERTIFICATE-----\n${der.toString("base64").replaceAll(/.{64}/g, "$&\n").trimEnd()}\n-----END CERTIFICATE-----\n`;
}
