/**
 * An ed25519 key as NATS has them: signs, and is known by the text of its public half. The seed leaves it in one way, to be written to a file.
 */
import { createPrivateKey, createPublicKey, randomBytes, sign } from "node:crypto";
import { type NkeyKind, formatNkeySeed, formatPublicNkey, parseNkeySeed } from "@muster/proto/nkey.ts";

export interface Nkey {
  readonly kind: NkeyKind;
  /** `O…`, `A…` or `U…`. */
  readonly publicKey: string;
  sign(bytes: Uint8Array): Uint8Array;
}

/** What stands before the 32 bytes in PKCS#8 of ed25519 (RFC 8410). */
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

/** The text of a new seed, `SO…`, `SA…` or `SU…`. */
export function newNkeySeed(kind: NkeyKind): string {
  return formatNkeySeed(kind, randomBytes(32));
}

/** Undefined when the text is no seed, or one of another kind. */
export function nkeyFromSeed(kind: NkeyKind, text: string): Nkey | undefined {
  const parsed = parseNkeySeed(text);
  if (parsed?.kind !== kind) return undefined;
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, parsed.seed]), format: "der", type: "pkcs8" });
  const { x = "" } = createPublicKey(privateKey).export({ format: "jwk" });
  return { kind, publicKey: formatPublicNkey(kind, Buffer.from(x, "base64url")), sign: (bytes) => sign(null, bytes, privateKey) };
}

export function newNkey(kind: NkeyKind): Nkey {
  const key = nkeyFromSeed(kind, newNkeySeed(kind));
  if (key === undefined) throw new Error("a seed that was just made is not one");
  return key;
}
