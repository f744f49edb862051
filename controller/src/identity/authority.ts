/**
 * One certificate authority: a P-256 key, and what is signed with it. It decides nothing about who may have a certificate.
 */
import "reflect-metadata";
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, webcrypto, X509Certificate } from "node:crypto";
import { authorityName, CONTROLLER_NAME } from "@muster/proto/identity.ts";
import {
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";

cryptoProvider.set(webcrypto as typeof globalThis.crypto);

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const DAY_MS = 24 * 60 * 60_000;
/** Ten years. */
const AUTHORITY_LIFETIME_MS = 3_653 * DAY_MS;
/** Clocks differ: that of the controller may be ahead, for good or until its machine knows the time, and what it made then counts with everybody else, and when it has been set back, all the same. */
const BACKDATED_MS = 366 * DAY_MS;
const SERIAL_BYTES = 16;
/** A request for a P-256 key is about 300 bytes. */
const REQUEST_BYTES_MAX = 4_096;

/** PEM; a server's key never leaves the controller. */
export interface ServerCertificate {
  readonly key: string;
  /** The certificate, and the authority's after it. */
  readonly chain: string;
  readonly expiresAt: number;
}

export interface AuthorityFiles {
  readonly key: string;
  readonly certificate: string;
}

export class Authority {
  /** sha256 of the certificate, hex: what join tokens and logins pin. */
  readonly pin: string;
  readonly certificate: X509Certificate;
  readonly #signingKey: webcrypto.CryptoKey;

  private constructor(certificate: X509Certificate, signingKey: webcrypto.CryptoKey) {
    this.certificate = certificate;
    this.pin = createHash("sha256").update(certificate.raw).digest("hex");
    this.#signingKey = signingKey;
  }

  /** What was made before was not signed by it. Milliseconds since 1970, at most a second late. */
  get madeAt(): number {
    return this.certificate.validToDate.getTime() - AUTHORITY_LIFETIME_MS + 1_000;
  }

  /** A new one; its files are the caller's to keep. */
  static async make(now: number): Promise<AuthorityFiles> {
    const { privateKey, publicKey } = keyPair();
    const serialNumber = serial();
    const certificate = await X509CertificateGenerator.createSelfSigned({
      serialNumber,
      // Apart from each other in the lists of those who look at certificates.
      name: `CN=Muster authority ${serialNumber.slice(0, 8)}`,
      notBefore: new Date(now - BACKDATED_MS),
      notAfter: new Date(now + AUTHORITY_LIFETIME_MS),
      keys: { privateKey: await signing(privateKey), publicKey: await verifying(publicKey) },
      signingAlgorithm: ALGORITHM,
      extensions: [new BasicConstraintsExtension(true, 0, true), new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true)],
    });
    return { key: pemOf(privateKey), certificate: `${certificate.toString("pem")}\n` };
  }

  /** Throws when the two are not PEM, or do not belong together. */
  static async load({ key, certificate }: AuthorityFiles): Promise<Authority> {
    const privateKey = createPrivateKey(key);
    const parsed = new X509Certificate(certificate);
    if (!parsed.checkPrivateKey(privateKey)) throw new Error("the key and the certificate do not belong together");
    return new Authority(parsed, await signing(privateKey));
  }

  /** Whether this authority signed it. Dates are the caller's to judge. */
  hasSigned(certificate: X509Certificate): boolean {
    return certificate.checkIssued(this.certificate) && certificate.verify(this.certificate.publicKey);
  }

  /** For a client that has proved its key; the name is the caller's alone, whatever the request said. DER. */
  async issueClient({ publicKey }: ProvenKey, uri: string, { issuedAt, expiresAt }: { readonly issuedAt: number; readonly expiresAt: number }): Promise<Buffer> {
    return this.#issue(publicKey, uri.slice(uri.indexOf("//") + 2), issuedAt, expiresAt, [
      new SubjectAlternativeNameExtension([{ type: "url", value: uri }], true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth], true),
    ]);
  }

  /** For the controller's own servers, with a key of its own. */
  async issueServer(issuedAt: number, expiresAt: number): Promise<ServerCertificate> {
    const { privateKey, publicKey } = keyPair();
    const names = [authorityName(this.pin), CONTROLLER_NAME].map((value) => ({ type: "dns" as const, value }));
    const raw = await this.#issue(await verifying(publicKey), CONTROLLER_NAME, issuedAt, expiresAt, [
      new SubjectAlternativeNameExtension(names),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth], true),
    ]);
    return { key: pemOf(privateKey), chain: `${new X509Certificate(raw).toString()}${this.certificate.toString()}`, expiresAt };
  }

  async #issue(publicKey: webcrypto.CryptoKey, commonName: string, issuedAt: number, expiresAt: number, extensions: readonly Extension[]): Promise<Buffer> {
    const certificate = await X509CertificateGenerator.create({
      serialNumber: serial(),
      subject: [{ CN: [commonName] }],
      issuer: this.certificate.subject.replaceAll("\n", ","),
      notBefore: new Date(issuedAt - BACKDATED_MS),
      notAfter: new Date(expiresAt),
      publicKey,
      signingKey: this.#signingKey,
      signingAlgorithm: ALGORITHM,
      extensions: [...extensions, new BasicConstraintsExtension(false, undefined, true), new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true)],
    });
    return Buffer.from(certificate.rawData);
  }
}

/** A public key whose private half whoever made the request holds. */
export interface ProvenKey {
  readonly publicKey: webcrypto.CryptoKey;
  /** sha256 of the key (SPKI, DER), hex. */
  readonly fingerprint: string;
}

/** The P-256 key of a request (PKCS#10, DER); undefined when it can't be read, is of another kind, or proves nothing. All else in it is ignored. */
export async function provenKey(request: Uint8Array): Promise<ProvenKey | undefined> {
  if (request.byteLength > REQUEST_BYTES_MAX) return undefined;
  try {
    const parsed = new Pkcs10CertificateRequest(request.slice());
    if (!(await parsed.verify())) return undefined;
    const der = Buffer.from(parsed.publicKey.rawData);
    const key = createPublicKey({ key: der, format: "der", type: "spki" });
    if (key.asymmetricKeyDetails?.namedCurve !== "prime256v1") return undefined;
    return { publicKey: await verifying(key), fingerprint: createHash("sha256").update(der).digest("hex") };
  } catch {
    return undefined;
  }
}

function keyPair(): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

function signing(key: KeyObject): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey("pkcs8", key.export({ type: "pkcs8", format: "der" }), ALGORITHM, false, ["sign"]);
}

function verifying(key: KeyObject): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey("spki", key.export({ type: "spki", format: "der" }), ALGORITHM, true, ["verify"]);
}

function pemOf(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }) as string;
}

/** Positive, and never the same twice. */
function serial(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString("hex");
}
