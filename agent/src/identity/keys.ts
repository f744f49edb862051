/**
 * The keys of a machine. They are made here, and their private halves never leave it.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, webcrypto } from "node:crypto";
import type { MachineKeys } from "@muster/proto/gen/muster/v1/identity.ts";
import { createUserNkey, publicKeyOf } from "./user-nkey.ts";

/** Private halves, as they are kept. */
export interface PrivateKeys {
  /** P-256, PEM: for TLS. */
  readonly tls: string;
  /** `SU…`: for NATS. */
  readonly nats: string;
  /** X25519, PEM: what is meant for this machine alone is sealed to it. */
  readonly sealing: string;
}

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

export function makeKeys(): PrivateKeys {
  return {
    tls: pemOf(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey),
    nats: Buffer.from(createUserNkey().seed).toString(),
    sealing: pemOf(generateKeyPairSync("x25519").privateKey),
  };
}

/** What the controller is told of them. */
export async function publicHalves({ tls, nats, sealing }: PrivateKeys): Promise<MachineKeys> {
  return { certificateRequest: await certificateRequest(tls), natsKey: publicKeyOf(nats), sealingKey: sealingPublicKey(sealing) };
}

/** X25519, raw. */
export function sealingPublicKey(privatePem: string): Buffer {
  const { x = "" } = createPublicKey(createPrivateKey(privatePem)).export({ format: "jwk" });
  return Buffer.from(x, "base64url");
}

/** `keyId`: sha256 of the public half, hex, as the controller has it. */
export function sealingKeyPair(privatePem: string): { readonly keyId: string; readonly privateKey: Uint8Array } {
  const { d = "" } = createPrivateKey(privatePem).export({ format: "jwk" });
  return { keyId: createHash("sha256").update(sealingPublicKey(privatePem)).digest("hex"), privateKey: Buffer.from(d, "base64url") };
}

/** PKCS#10, DER. It says nothing but the key: names are the controller's to give. Its library is loaded only now: most days nobody needs it. */
async function certificateRequest(privatePem: string): Promise<Buffer> {
  await import("reflect-metadata");
  const { cryptoProvider, Pkcs10CertificateRequestGenerator } = await import("@peculiar/x509");
  cryptoProvider.set(webcrypto as typeof globalThis.crypto);
  const privateKey = createPrivateKey(privatePem);
  const request = await Pkcs10CertificateRequestGenerator.create({
    keys: {
      privateKey: await webcrypto.subtle.importKey("pkcs8", privateKey.export({ type: "pkcs8", format: "der" }), ALGORITHM, false, ["sign"]),
      publicKey: await webcrypto.subtle.importKey("spki", createPublicKey(privateKey).export({ type: "spki", format: "der" }), ALGORITHM, true, ["verify"]),
    },
    signingAlgorithm: ALGORITHM,
  });
  return Buffer.from(request.rawData);
}

function pemOf(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }) as string;
}
