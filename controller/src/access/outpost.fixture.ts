/**
 * A controller's access for tests, as it looks from elsewhere: TLS 1.3 with authorities of its own, the real gate, users and audit log, and nothing behind them.
 */
import "reflect-metadata";
import { createHash, randomUUID, webcrypto, X509Certificate } from "node:crypto";
import { createSecureContext, createServer, type SecureContext, type Server as TlsServer, type TLSSocket } from "node:tls";
import type { AddressInfo } from "node:net";
import { Server, ServerCredentials, type UntypedServiceImplementation } from "@grpc/grpc-js";
import SqliteDatabase from "better-sqlite3";
import pino from "pino";
import {
  BasicConstraintsExtension,
  cryptoProvider,
  type Extension,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  X509Certificate as GeneratedCertificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { AccessServiceService } from "@muster/proto/gen/muster/v1/access.ts";
import { authorityName, CONTROLLER_NAME, operatorUri, parseOperatorUri } from "@muster/proto/identity.ts";
import { accessApi, type OperatorAuthority } from "../api/access-api.ts";
import type { Certified, Peer } from "../grpc/caller.ts";
import { gate } from "../grpc/gate.ts";
import { type Access, createAccess } from "./access.ts";
import type { OidcOptions } from "./oidc.ts";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const HOUR_MS = 60 * 60_000;

/** An authority, and a certificate of it for the controller. */
interface Signer {
  readonly pin: string;
  readonly der: Buffer;
  readonly keys: webcrypto.CryptoKeyPair;
  readonly context: SecureContext;
}

export class Outpost {
  readonly db = new SqliteDatabase(":memory:");
  readonly access: Access;
  /** Oldest first. */
  signers: readonly Signer[];
  readonly #peers = new Map<string, Peer>();
  readonly #server: Server;
  readonly #door: TlsServer;
  readonly #sockets = new Set<TLSSocket>();

  private constructor(signer: Signer, oidc: OidcOptions | undefined) {
    cryptoProvider.set(webcrypto as typeof globalThis.crypto);
    this.signers = [signer];
    const logger = pino({ level: "silent" });
    const now = (): number => Date.now();
    this.access = createAccess({ db: this.db, oidc, machines: { judge: () => ({ ok: true, expired: false }) }, now, logger });
    const { users, audit, admit, witness, endCalls } = this.access;
    const authority: OperatorAuthority = {
      pin: () => this.#newest.pin,
      authorities: () => this.signers.map(({ der }) => der),
      issueOperator: (request, operator, expiresAt) => issueOperator(this.#newest, request, operatorUri(operator), expiresAt),
    };
    this.#server = new Server({ interceptors: [gate(admit, (address) => this.#peers.get(address), witness)] });
    const service = accessApi({ users, audit, authority, oidc, address: () => this.address, endCalls, now, logger });
    this.#server.addService(AccessServiceService, service as unknown as UntypedServiceImplementation);
    const injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    const SNICallback = (name: string, done: (error: null, context: SecureContext) => void): void =>
      done(null, (this.signers.find(({ pin }) => authorityName(pin) === name) ?? this.#newest).context);
    const options = { SNICallback, minVersion: "TLSv1.3" as const, requestCert: true, rejectUnauthorized: false, ALPNProtocols: ["h2"] };
    this.#door = createServer(options, (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy());
      const address = `${socket.remoteAddress}:${socket.remotePort}`;
      this.#peers.set(address, { via: "tls", address, certified: this.#certify(socket.getPeerX509Certificate()) });
      injector.injectConnection(socket);
    });
  }

  static async open(oidc?: OidcOptions): Promise<Outpost> {
    const outpost = new Outpost(await makeSigner(), oidc);
    await new Promise<void>((resolve) => outpost.#door.listen(0, "127.0.0.1", resolve));
    return outpost;
  }

  get #newest(): Signer {
    return this.signers.at(-1)!;
  }

  get address(): string {
    return `127.0.0.1:${(this.#door.address() as AddressInfo).port}`;
  }

  get pin(): string {
    return this.#newest.pin;
  }

  /** Another authority beside those that there are. */
  async rotate(): Promise<void> {
    this.signers = [...this.signers, await makeSigner()];
  }

  /** The newest alone is left. */
  retire(): void {
    this.signers = [this.#newest];
  }

  async close(): Promise<void> {
    this.#server.forceShutdown();
    const closed = new Promise((resolve) => this.#door.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    this.access.close();
    this.db.close();
  }

  #certify(certificate: X509Certificate | undefined): Certified {
    if (certificate === undefined || !this.signers.some(({ der }) => certificate.verify(new X509Certificate(der).publicKey))) return { kind: "nobody" };
    const operator = parseOperatorUri(certificate.subjectAltName?.replace(/^URI:/, "") ?? "");
    return operator === undefined ? { kind: "nobody" } : { kind: "operator", ...operator, expiresAt: certificate.validToDate.getTime() };
  }
}

async function makeSigner(): Promise<Signer> {
  cryptoProvider.set(webcrypto as typeof globalThis.crypto);
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const generated = await X509CertificateGenerator.createSelfSigned({ name: `CN=authority ${randomUUID()}`, notBefore: hours(-1), notAfter: hours(24), keys, signingAlgorithm: ALGORITHM, extensions: [new BasicConstraintsExtension(true, 0, true)] });
  const der = Buffer.from(generated.rawData);
  const pin = createHash("sha256").update(der).digest("hex");
  const own = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const names = [authorityName(pin), CONTROLLER_NAME].map((value) => ({ type: "dns" as const, value }));
  const certificate = await issue(generated, keys, own.publicKey, Date.now() + HOUR_MS, [new SubjectAlternativeNameExtension(names)]);
  const key = `-----BEGIN PRIVATE KEY-----\n${Buffer.from(await webcrypto.subtle.exportKey("pkcs8", own.privateKey)).toString("base64")}\n-----END PRIVATE KEY-----\n`;
  return { pin, der, keys, context: createSecureContext({ key, cert: `${certificate.toString("pem")}\n${generated.toString("pem")}\n` }) };
}

async function issueOperator({ der, keys }: Signer, request: Uint8Array, uri: string, expiresAt: number): ReturnType<OperatorAuthority["issueOperator"]> {
  const parsed = new Pkcs10CertificateRequest(request.slice());
  if (!(await parsed.verify())) return { ok: false, message: "it is not signed by its own key" };
  const publicKey = await parsed.publicKey.export();
  const certificate = await issue(new GeneratedCertificate(der), keys, publicKey, expiresAt, [new SubjectAlternativeNameExtension([{ type: "url", value: uri }], true)]);
  return { ok: true, certificate: Buffer.from(certificate.rawData) };
}

function issue(authority: GeneratedCertificate, keys: webcrypto.CryptoKeyPair, publicKey: webcrypto.CryptoKey, expiresAt: number, extensions: readonly Extension[]): Promise<GeneratedCertificate> {
  return X509CertificateGenerator.create({ subject: "CN=test", issuer: authority.subject, notBefore: hours(-1), notAfter: new Date(expiresAt), publicKey, signingKey: keys.privateKey, signingAlgorithm: ALGORITHM, extensions: [...extensions] });
}

function hours(count: number): Date {
  return new Date(Date.now() + count * HOUR_MS);
}
