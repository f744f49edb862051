/** Which keys have signed an envelope. Says nothing about whether that is enough, or what the payload means. */
import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import type { Envelope } from "@muster/proto/gen/muster/v1/envelope.ts";
import { preAuthEncoding, SIGNATURES_MAX } from "@muster/proto/envelope.ts";

const PUBLIC_KEY_BYTES = 32;

/** By keyid. */
export type Keys = ReadonlyMap<string, KeyObject>;

/** sha256 of the raw public key. */
export function keyidOf(publicKey: Uint8Array): string {
  return createHash("sha256").update(publicKey).digest("hex");
}

/** Undefined when these are not the bytes of an Ed25519 key. */
export function keyOf(publicKey: Uint8Array): KeyObject | undefined {
  if (publicKey.byteLength !== PUBLIC_KEY_BYTES) return undefined;
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: Buffer.from(publicKey).toString("base64url") }, format: "jwk" });
}

/**
 * The keyids of those whose signature is good, each once however often it has signed. A signature counts for the key that it names, and for no other.
 * Those beyond SIGNATURES_MAX are not looked at.
 */
export function goodSignatures({ payload, payloadType, signatures }: Envelope, keys: Keys): ReadonlySet<string> {
  const signed = preAuthEncoding(payloadType, payload);
  const good = new Set<string>();
  for (const { keyid, sig } of signatures.slice(0, SIGNATURES_MAX)) {
    const key = keys.get(keyid);
    if (key !== undefined && !good.has(keyid) && verify(null, signed, key, sig)) good.add(keyid);
  }
  return good;
}
