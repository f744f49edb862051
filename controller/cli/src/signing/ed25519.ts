/** Ed25519 by node:crypto: whoever signs, and whether somebody has. */
import { createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import type { Signature, Verify } from "@muster/proto/trust/envelope.ts";
import { preAuthEncoding } from "@muster/proto/envelope.ts";
import { type PublicKey, publicKeyOf } from "@muster/proto/trust/public-key.ts";

/** What stands before the 32 bytes in a SubjectPublicKeyInfo (RFC 8410). */
const SPKI_HEADER = Buffer.from("302a300506032b6570032100", "hex");

export const verifyEd25519: Verify = (publicKey, message, signature) =>
  verify(null, message, { key: Buffer.concat([SPKI_HEADER, publicKey]), format: "der", type: "spki" }, signature);

export function publicKeyText(privateKey: KeyObject): PublicKey {
  return publicKeyOf(createPublicKey(privateKey).export({ format: "der", type: "spki" }).subarray(SPKI_HEADER.length));
}

/** Over a payload together with its type. */
export function signPayload(privateKey: KeyObject, payloadType: string, payload: Uint8Array): Signature {
  return { keyId: publicKeyText(privateKey), bytes: sign(null, preAuthEncoding(payloadType, payload), privateKey) };
}
