/**
 * HPKE (RFC 9180), base mode, one message: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-GCM. Encrypts to a public key, synchronously, so that an assignment
 * leaves as it was built, with nothing in between; a library that knows only promises can't. Its tests hold it against the RFC's own vectors and that library.
 */
import { createCipheriv, createHmac, createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from "node:crypto";

export interface Aead {
  readonly id: number;
  readonly cipher: "aes-128-gcm" | "aes-256-gcm";
  readonly keyBytes: number;
}

const AES_256_GCM: Aead = { id: 0x0002, cipher: "aes-256-gcm", keyBytes: 32 };

const KEM_ID = 0x0020;
const KDF_ID = 0x0001;
const SECRET_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
export const X25519_BYTES = 32;
/** What stands before the 32 bytes of an X25519 key in DER (RFC 8410). */
const PUBLIC_PREFIX = Buffer.from("302a300506032b656e032100", "hex");
const PRIVATE_PREFIX = Buffer.from("302e020100300506032b656e04220420", "hex");
const EMPTY = Buffer.alloc(0);
const MODE_BASE = Buffer.from([0]);

export interface Sealed {
  /** The encapsulated key. */
  readonly enc: Buffer;
  readonly ciphertext: Buffer;
}

export interface Sealing {
  readonly info: Uint8Array;
  readonly aad: Uint8Array;
  readonly plaintext: Uint8Array;
}

/** `recipient`: 32 bytes. Throws when they are no point to encrypt to. */
export function seal(recipient: Uint8Array, sealing: Sealing): Sealed {
  return sealWith(generateKeyPairSync("x25519").privateKey, recipient, sealing, AES_256_GCM);
}

/** With a key that must never be used twice: for `seal`, and for the vectors of the RFC. */
export function sealWith(ephemeral: KeyObject, recipient: Uint8Array, { info, aad, plaintext }: Sealing, aead: Aead): Sealed {
  const publicKey = createPublicKey({ key: Buffer.concat([PUBLIC_PREFIX, recipient]), format: "der", type: "spki" });
  const enc = rawPublic(ephemeral);
  const shared = encapsulated(diffieHellman({ privateKey: ephemeral, publicKey }), Buffer.concat([enc, recipient]));

  const suite = Buffer.concat([Buffer.from("HPKE"), twoBytes(KEM_ID), twoBytes(KDF_ID), twoBytes(aead.id)]);
  const context = Buffer.concat([MODE_BASE, extract(suite, EMPTY, "psk_id_hash", EMPTY), extract(suite, EMPTY, "info_hash", info)]);
  const secret = extract(suite, shared, "secret", EMPTY);
  const key = expand(suite, secret, "key", context, aead.keyBytes);
  const nonce = expand(suite, secret, "base_nonce", context, NONCE_BYTES);

  const cipher = createCipheriv(aead.cipher, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(aad);
  return { enc, ciphertext: Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]) };
}

/** From 32 bytes. */
export function privateKeyOf(raw: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PRIVATE_PREFIX, raw]), format: "der", type: "pkcs8" });
}

function rawPublic(key: KeyObject): Buffer {
  return createPublicKey(key).export({ format: "der", type: "spki" }).subarray(PUBLIC_PREFIX.length);
}

/** ExtractAndExpand of section 4.1. */
function encapsulated(dh: Buffer, kemContext: Buffer): Buffer {
  const suite = Buffer.concat([Buffer.from("KEM"), twoBytes(KEM_ID)]);
  return expand(suite, extract(suite, EMPTY, "eae_prk", dh), "shared_secret", kemContext, SECRET_BYTES);
}

/** LabeledExtract; HKDF-Extract is HMAC with the salt as its key, and an empty salt is as good as zeros. */
function extract(suite: Buffer, salt: Uint8Array, label: string, material: Uint8Array): Buffer {
  return createHmac("sha256", salt).update("HPKE-v1").update(suite).update(label).update(material).digest();
}

/** LabeledExpand. All that is wanted here fits in one block of HKDF-Expand, which is one HMAC. */
function expand(suite: Buffer, secret: Uint8Array, label: string, info: Uint8Array, lengthBytes: number): Buffer {
  return createHmac("sha256", secret).update(twoBytes(lengthBytes)).update("HPKE-v1").update(suite).update(label).update(info).update(Buffer.from([1])).digest().subarray(0, lengthBytes);
}

function twoBytes(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}
