/**
 * The authority of a controller: fetched with the handshake, known by the sha256 of its certificate. Until somebody has vouched for that, nothing is believed
 * and nothing is said.
 */
import { createHash, X509Certificate } from "node:crypto";
import { connect, type DetailedPeerCertificate } from "node:tls";
import { durationText } from "@muster/proto/duration.ts";
import { authorityName, CONTROLLER_NAME } from "@muster/proto/identity.ts";
import { CliError, EXIT } from "../errors.ts";

const TIMEOUT_MS = 5_000;
/** A controller sends its own certificate and one authority. */
const CHAIN_MAX = 10;

/** sha256 of the certificate, hex. */
export function pinOf(der: Uint8Array): string {
  return createHash("sha256").update(der).digest("hex");
}

/** DER; of the authority with this pin, or, where none is given, of the one that the controller shows. Throws CliError. */
export async function fetchAuthority(address: string, pin: string | undefined): Promise<Buffer> {
  const chain = await fetchChain(address, pin === undefined ? CONTROLLER_NAME : authorityName(pin));
  const authorities = chain.filter((der) => isAuthority(der));
  const found = authorities.find((der) => pin === undefined || pinOf(der) === pin);
  if (found !== undefined) return found;
  const shown = authorities[0] === undefined ? "it shows no authority" : `it shows sha256:${pinOf(authorities[0])}`;
  throw new CliError(
    `the controller at ${address} is not of the authority sha256:${pin ?? ""}: ${shown}. Either the pin is out of date, or somebody is in between. ` +
      "On the controller's machine `muster ca show` shows its pin",
    { code: "untrusted", exit: EXIT.failed },
  );
}

function isAuthority(der: Buffer): boolean {
  const certificate = new X509Certificate(der);
  return certificate.ca && certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
}

function fetchChain(address: string, servername: string): Promise<readonly Buffer[]> {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  return new Promise((resolve, reject) => {
    const options = { host, port: Number(address.slice(colon + 1)), servername, minVersion: "TLSv1.3" as const, ALPNProtocols: ["h2"], rejectUnauthorized: false };
    const socket = connect(options, () => {
      const chain = chainOf(socket.getPeerCertificate(true));
      socket.destroy();
      resolve(chain);
    });
    const fail = (why: string, cause?: unknown): void => {
      socket.destroy();
      reject(new CliError(`cannot reach the controller at ${address}: ${why}`, { code: "unreachable", exit: EXIT.unreachable, cause }));
    };
    socket.setTimeout(TIMEOUT_MS, () => fail(`no answer within ${durationText(TIMEOUT_MS)}`));
    socket.on("error", (error: NodeJS.ErrnoException) => fail(error.code === "ECONNREFUSED" ? "connection refused" : error.message, error));
  });
}

function chainOf(first: DetailedPeerCertificate): readonly Buffer[] {
  const chain: Buffer[] = [];
  for (let next: DetailedPeerCertificate | undefined = first; next?.raw !== undefined && chain.length < CHAIN_MAX; next = next.issuerCertificate) {
    chain.push(next.raw);
    // The last one is its own issuer.
    if (next.issuerCertificate === next) break;
  }
  return chain;
}

/** PEM, for TLS. */
export function pemOf(der: Uint8Array): string {
  return new X509Certificate(der).toString();
}
