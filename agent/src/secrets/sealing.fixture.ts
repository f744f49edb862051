/** For tests alone: keys of a machine, and assignments sealed to them. */
import type { webcrypto } from "node:crypto";
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from "@hpke/core";
import type { AppAssignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { SecretValues } from "@muster/proto/gen/muster/v1/secrets.ts";
import { SEALING_INFO, sealingContext } from "@muster/proto/sealing.ts";
import type { SealingKeyPair } from "./open.ts";

const SUITE = new CipherSuite({ kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });

export interface TestKey extends SealingKeyPair {
  readonly publicKey: webcrypto.CryptoKey;
}

export async function makeKey(keyId: string): Promise<TestKey> {
  const pair = await SUITE.kem.generateKeyPair();
  return { keyId, publicKey: pair.publicKey, privateKey: new Uint8Array(await SUITE.kem.serializePrivateKey(pair.privateKey)) };
}

/** The goal with these values, sealed as the controller does. */
export async function sealed(goal: AppAssignment, values: Readonly<Record<string, string>>, key: TestKey, machine = "m-1"): Promise<AppAssignment> {
  const versions = Object.fromEntries(Object.keys(values).map((name) => [name, 1]));
  const version = goal.goal?.$case === "run" ? goal.goal.value.version : "";
  const context = sealingContext({ machine, app: goal.app, generation: goal.generation, version, secrets: versions });
  const sender = await SUITE.createSenderContext({ recipientPublicKey: key.publicKey, info: bytes(SEALING_INFO) });
  const entries = Object.entries(values).map(([name, value]) => [name, Buffer.from(value)]);
  const plaintext = SecretValues.encode(SecretValues.fromPartial({ values: Object.fromEntries(entries) as Record<string, Buffer> })).finish();
  const ciphertext = Buffer.from(await sender.seal(new Uint8Array(plaintext).buffer, bytes(context)));
  return { ...goal, secrets: { versions, sealed: { keyId: key.keyId, enc: Buffer.from(sender.enc), ciphertext } } };
}

function bytes(text: string): ArrayBuffer {
  return new TextEncoder().encode(text).buffer as ArrayBuffer;
}
