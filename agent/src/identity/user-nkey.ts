/**
 * The key by which this machine is known to NATS: made here, never leaves the machine. It answers what nats-server asks of whoever connects.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { formatNkeySeed, formatPublicNkey, parseNkeySeed } from "@muster/proto/nkey.ts";
import type { Authenticator } from "nats";

export interface UserNkey {
  /** `U…`. */
  readonly publicKey: string;
  /** The text `SU…` as bytes. Secret. */
  readonly seed: Uint8Array;
}

export interface NatsCredentials {
  readonly jwt: string;
  /** As in UserNkey. */
  readonly seed: Uint8Array;
}

/** What stands before the 32 bytes in PKCS#8 of ed25519 (RFC 8410). */
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

export function createUserNkey(): UserNkey {
  const { x = "", d = "" } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  return { publicKey: formatPublicNkey("user", Buffer.from(x, "base64url")), seed: Buffer.from(formatNkeySeed("user", Buffer.from(d, "base64url"))) };
}

/** Of a seed, `SU…`. Throws when it is none. */
export function publicKeyOf(seed: string): string {
  return publicTextOf(privateKeyOf(seed));
}

const AUTHENTICATORS = new WeakMap<NatsCredentials, Authenticator>();

/** For nats.js, whose own takes 40 ms to sign. The same for the same credentials: to read a key costs more than to sign with it. Throws when the seed is none. */
export function answerWith(credentials: NatsCredentials): Authenticator {
  const known = AUTHENTICATORS.get(credentials);
  if (known !== undefined) return known;
  const { jwt, seed } = credentials;
  const key = privateKeyOf(Buffer.from(seed).toString("utf8"));
  const nkey = publicTextOf(key);
  const answer: Authenticator = (nonce = "") => ({ jwt, nkey, sig: sign(null, Buffer.from(nonce), key).toString("base64url") });
  AUTHENTICATORS.set(credentials, answer);
  return answer;
}

function privateKeyOf(seed: string): KeyObject {
  const parsed = parseNkeySeed(seed);
  if (parsed?.kind !== "user") throw new Error("the key for NATS is not the seed of a user");
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, parsed.seed]), format: "der", type: "pkcs8" });
}

function publicTextOf(privateKey: KeyObject): string {
  const { x = "" } = createPublicKey(privateKey).export({ format: "jwk" });
  return formatPublicNkey("user", Buffer.from(x, "base64url"));
}
