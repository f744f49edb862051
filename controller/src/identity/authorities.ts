/**
 * The certificate authorities that count, oldest first: one, or during a rotation two. The newest signs what machines get; a caller is answered with a certificate
 * of the one that it trusts, which it names in the handshake; where only one can be shown (NATS), it is the oldest, which everybody trusts.
 *
 *     one ── rotate ──▶ two ── retire (nobody depends on the old one, or forced) ──▶ one
 */
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createSecureContext, type SecureContext } from "node:tls";
import type { X509Certificate } from "node:crypto";
import { authorityName, type OperatorName, operatorUri, parseMachineUri, parseOperatorUri } from "@muster/proto/identity.ts";
import type { Certified } from "../grpc/caller.ts";
import { Authority, type AuthorityFiles, provenKey, type ServerCertificate } from "./authority.ts";
import { PrivateFileError, writePrivate } from "./private-file.ts";

const SERVER_DAYS = 30;
const DAY_MS = 24 * 60 * 60_000;
/** What servers show counts from a little before it was made: a clock that was set back by no more than this leaves it good, for clients whose clocks differ too. */
const SET_BACK_MS = 60_000;
const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
const URI_PREFIX = "URI:";

interface Serving {
  readonly authority: Authority;
  readonly server: ServerCertificate;
  readonly context: SecureContext;
}

export class Authorities {
  readonly #dir: string;
  readonly #now: () => number;
  #serving: readonly Serving[] = [];
  /** What they show was made then, on the wall clock. */
  #madeAt = 0;

  private constructor(dir: string, now: () => number) {
    this.#dir = dir;
    this.#now = now;
  }

  /** Makes the first one when there is none. Throws PrivateFileError. */
  static async open(dir: string, now: () => number): Promise<Authorities> {
    const authorities = new Authorities(dir, now);
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    if (numbers(dir).length === 0) await authorities.#make(1);
    await authorities.refresh();
    return authorities;
  }

  /** Oldest first. */
  get all(): readonly Authority[] {
    return this.#serving.map(({ authority }) => authority);
  }

  /** The one that signs. */
  get newest(): Authority {
    return this.#serving.at(-1)!.authority;
  }

  /** DER, oldest first. */
  get bundle(): readonly Buffer[] {
    return this.all.map(({ certificate }) => certificate.raw);
  }

  /** PEM, oldest first. */
  get pem(): string[] {
    return this.all.map(({ certificate }) => certificate.toString());
  }

  /** What servers show is a day old by the clock as it is now, or made at a time that is still to come: whichever way the clock was set, it is to be made anew. */
  get areStale(): boolean {
    const ageMs = this.#now() - this.#madeAt;
    return ageMs < -SET_BACK_MS || ageMs >= DAY_MS;
  }

  /** Of authorities that do not count now: why, and the way out. */
  get outOfDate(): readonly string[] {
    const now = this.#now();
    return this.all
      .filter(({ certificate }) => now < certificate.validFromDate.getTime() || now >= certificate.validToDate.getTime())
      .map(({ pin, certificate }) => {
        const [from, until, at] = [certificate.validFromDate, certificate.validToDate, new Date(now)].map((date) => date.toISOString());
        return `${pin.slice(0, 12)} counts from ${from} until ${until}, and it is ${at} by this machine's clock: set the clock. If that is right now, and was wrong when the authority was made, stop the controller, remove ${this.#dir}, start it again, and let machines join anew`;
      });
  }

  /** Certificates of servers anew, for all authorities on disk. They live for 30 days: see server-certificates.ts. */
  async refresh(): Promise<void> {
    const now = this.#now();
    const expiresAt = now + SERVER_DAYS * DAY_MS;
    const serving = await Promise.all(
      numbers(this.#dir).map(async (number) => {
        const authority = await this.#load(number);
        const server = await authority.issueServer(now, expiresAt);
        return { authority, server, context: createSecureContext({ key: server.key, cert: server.chain, minVersion: "TLSv1.3" }) };
      }),
    );
    [this.#serving, this.#madeAt] = [serving, now];
  }

  /** For the TLS name that a client asks for; the newest one's where it asks for none that is known. */
  contextFor(serverName: string | undefined): SecureContext {
    const asked = this.#serving.find(({ authority }) => authorityName(authority.pin) === serverName);
    return (asked ?? this.#serving.at(-1)!).context;
  }

  /** For a server that can show only one certificate. */
  get shownToAll(): ServerCertificate {
    return this.#serving[0]!.server;
  }

  /** Who shows this certificate. Its date is part of the answer; whether the machine is still a member is for its record to say. */
  certify(certificate: X509Certificate): Certified {
    const authority = this.all.find((each) => each.hasSigned(certificate));
    if (authority === undefined || certificate.keyUsage?.includes(CLIENT_AUTH) !== true) return { kind: "nobody" };
    const name = certificate.subjectAltName ?? "";
    if (!name.startsWith(URI_PREFIX)) return { kind: "nobody" };
    const uri = name.slice(URI_PREFIX.length);
    const expiresAt = certificate.validToDate.getTime();
    const machine = parseMachineUri(uri);
    if (machine !== undefined) return { kind: "machine", ...machine, expiresAt, authority: authority.pin };
    const operator = parseOperatorUri(uri);
    return operator === undefined ? { kind: "nobody" } : { kind: "operator", ...operator, expiresAt };
  }

  /** For the key of a request (PKCS#10, DER), whatever else that says. */
  async issueOperator(request: Uint8Array, operator: OperatorName, expiresAt: number): Promise<{ readonly ok: true; readonly certificate: Buffer } | { readonly ok: false; readonly message: string }> {
    const key = await provenKey(request);
    if (key === undefined) return { ok: false, message: "it is not a PKCS#10 request for a P-256 key, signed with that key" };
    return { ok: true, certificate: await this.newest.issueClient(key, operatorUri(operator), { issuedAt: this.#now(), expiresAt }) };
  }

  /** Begins a rotation: a further one, which signs from now on. */
  async rotate(): Promise<void> {
    await this.#make(Math.max(...numbers(this.#dir)) + 1);
    await this.refresh();
  }

  /** Ends a rotation: all but the newest are forgotten. */
  async retire(): Promise<void> {
    for (const number of numbers(this.#dir).slice(0, -1)) {
      // The key first: without it the rest is no authority, and a death in between leaves nothing that signs.
      rmSync(this.#path(number, "key"), { force: true });
      rmSync(this.#path(number, "crt"), { force: true });
    }
    await this.refresh();
  }

  async #make(number: number): Promise<void> {
    const { key, certificate } = await Authority.make(this.#now());
    writePrivate(this.#path(number, "crt"), certificate);
    writePrivate(this.#path(number, "key"), key);
  }

  async #load(number: number): Promise<Authority> {
    try {
      const read = (part: "key" | "crt"): string => readFileSync(this.#path(number, part), "utf8");
      const files: AuthorityFiles = { key: read("key"), certificate: read("crt") };
      return await Authority.load(files);
    } catch (cause) {
      throw new PrivateFileError("damaged", `the certificate authority in ${this.#dir} can't be read: restore it from a backup`, { cause });
    }
  }

  #path(number: number, part: "key" | "crt"): string {
    return join(this.#dir, `${number}.${part}`);
  }
}

/** Of the authorities whose key is there, rising. */
function numbers(dir: string): readonly number[] {
  return readdirSync(dir)
    .map((name) => Number(/^([1-9]\d{0,5})\.key$/.exec(name)?.[1]))
    .filter((number) => !Number.isNaN(number))
    .sort((a, b) => a - b);
}
