/** For tests alone: an authority, a controller's certificate of it, and the identity of a machine that has joined there. */
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { authorityName, CONTROLLER_NAME, machineUri } from "@muster/proto/identity.ts";
import type { MachineId } from "@muster/proto/ids.ts";
import { BasicConstraintsExtension, cryptoProvider, Pkcs10CertificateRequest, SubjectAlternativeNameExtension, X509CertificateGenerator } from "@peculiar/x509";
import { pinOf } from "./channel.ts";
import type { Credentials } from "./identity-store.ts";
import { makeKeys } from "./keys.ts";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const HOUR_MS = 3_600_000;

export class TestAuthority {
  /** PEM. */
  readonly certificate: string;
  readonly #keys: webcrypto.CryptoKeyPair;
  readonly #name: string;

  private constructor(certificate: string, name: string, keys: webcrypto.CryptoKeyPair) {
    this.certificate = certificate;
    this.#name = name;
    this.#keys = keys;
  }

  static async make(): Promise<TestAuthority> {
    cryptoProvider.set(webcrypto as typeof globalThis.crypto);
    const keys = await newKeys();
    const name = "CN=test authority";
    const made = await X509CertificateGenerator.createSelfSigned({ ...dates(), name, keys, signingAlgorithm: ALGORITHM, extensions: [new BasicConstraintsExtension(true, 0, true)] });
    return new TestAuthority(`${made.toString("pem")}\n`, name, keys);
  }

  /** PEM. */
  async controller(): Promise<{ readonly key: string; readonly certificate: string }> {
    const names = [authorityName(pinOf(this.certificate)), CONTROLLER_NAME].map((value) => ({ type: "dns" as const, value }));
    return this.#issue(new SubjectAlternativeNameExtension(names));
  }

  async machine(id: string): Promise<Credentials> {
    const { key, certificate } = await this.#issue(uriOf(id));
    const issuedAt = Date.now();
    return { keys: { ...makeKeys(), tls: key }, certificate, authorities: [this.certificate], natsJwt: "", issuedAt, expiresAt: issuedAt + HOUR_MS };
  }

  /** PEM; for the keys of a machine that asks with `certificateRequest` (PKCS #10, DER). */
  async renewed(id: string, certificateRequest: Uint8Array): Promise<string> {
    return this.#certificate(await new Pkcs10CertificateRequest(certificateRequest).publicKey.export(), uriOf(id));
  }

  async #issue(names: SubjectAlternativeNameExtension): Promise<{ readonly key: string; readonly certificate: string }> {
    const keys = await newKeys();
    const certificate = await this.#certificate(keys.publicKey, names);
    const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
    return { key: `-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----\n`, certificate };
  }

  async #certificate(publicKey: webcrypto.CryptoKey, names: SubjectAlternativeNameExtension): Promise<string> {
    const signed = { issuer: this.#name, subject: "CN=test", publicKey, signingKey: this.#keys.privateKey, signingAlgorithm: ALGORITHM, extensions: [names] };
    return `${(await X509CertificateGenerator.create({ ...dates(), ...signed })).toString("pem")}\n`;
  }
}

function uriOf(id: string): SubjectAlternativeNameExtension {
  return new SubjectAlternativeNameExtension([{ type: "url", value: machineUri({ machine: id as MachineId, membership: 1 }) }]);
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

function dates(): { readonly notBefore: Date; readonly notAfter: Date } {
  return { notBefore: new Date(Date.now() - HOUR_MS), notAfter: new Date(Date.now() + HOUR_MS) };
}
