/**
 * How a value is kept: encrypted with a key of its own, which is encrypted with a master key; so a new master key touches no value. AES-256-GCM both times, and what is
 * encrypted is bound to its place: a value that is moved to another name or version does not open.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import type { MasterKey } from "./master-key.ts";

const CIPHER = "aes-256-gcm";
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export interface Place {
  readonly name: string;
  readonly version: number;
}

export interface Kept {
  readonly wrappedKey: Buffer;
  readonly ciphertext: Buffer;
}

export function keep(value: Uint8Array, place: Place, master: MasterKey): Kept {
  const key = randomBytes(KEY_BYTES);
  return { wrappedKey: encrypt(master.key, key, context("key", place)), ciphertext: encrypt(key, value, context("value", place)) };
}

/** Throws when it was damaged, or is another's. */
export function bring({ wrappedKey, ciphertext }: Kept, place: Place, master: MasterKey): Buffer {
  return decrypt(decrypt(master.key, wrappedKey, context("key", place)), ciphertext, context("value", place));
}

/** The same key, encrypted with another master key. */
export function rewrap(wrappedKey: Buffer, place: Place, from: MasterKey, to: MasterKey): Buffer {
  return encrypt(to.key, decrypt(from.key, wrappedKey, context("key", place)), context("key", place));
}

function context(what: "key" | "value", { name, version }: Place): Buffer {
  return Buffer.from(`muster secret ${what} ${name} ${version}`);
}

/** nonce ‖ ciphertext ‖ tag */
function encrypt(key: Buffer, plaintext: Uint8Array, aad: Buffer): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES }).setAAD(aad);
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(key: Buffer, sealed: Buffer, aad: Buffer): Buffer {
  const decipher = createDecipheriv(CIPHER, key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES }).setAAD(aad);
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
}
