/**
 * The token of a user: `mut1.<id>.<secret>`. Of the secret only a hash is kept; it is 256 bits of chance, so a plain hash can't be turned around.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

/** 16 hex digits, no secret: what the token is found by. */
const TOKEN = /^mut1\.([0-9a-f]{16})\.([A-Za-z0-9_-]{43})$/;
const ID_BYTES = 8;
const SECRET_BYTES = 32;

export interface MintedToken {
  /** The whole token, which is shown once. */
  readonly token: string;
  readonly id: string;
  readonly hash: Buffer;
}

export function mintToken(): MintedToken {
  const id = randomBytes(ID_BYTES).toString("hex");
  const secret = randomBytes(SECRET_BYTES).toString("base64url");
  return { token: `mut1.${id}.${secret}`, id, hash: hashOf(secret) };
}

/** Undefined when it has not the form of one. */
export function parseToken(text: string): { readonly id: string; readonly hash: Buffer } | undefined {
  const [, id, secret] = TOKEN.exec(text) ?? [];
  return id === undefined || secret === undefined ? undefined : { id, hash: hashOf(secret) };
}

/** Compared with in place of a token that there is not, so that this takes the same time. */
const NO_HASH = randomBytes(SECRET_BYTES);

/** `kept` undefined: there is no such token. */
export function isSameHash(given: Buffer, kept: Buffer | undefined): boolean {
  return timingSafeEqual(given, kept ?? NO_HASH) && kept !== undefined;
}

function hashOf(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}
