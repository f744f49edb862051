/**
 * Encryption with a passphrase, in the format of age (https://age-encryption.org, specified at https://c2sp.org/age), so that the `age` program opens a backup too.
 *
 * The passphrase, through scrypt, wraps a file key; the file key, through HKDF, yields the key of a header MAC and the key of the content, which is ChaCha20-Poly1305 in
 * chunks of 64 KiB, each numbered and the last one marked: a changed, exchanged or missing chunk is seen. Nothing is given out that was not authenticated.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { BackupError } from "./backup-error.ts";
import type { Pieces } from "./pieces.ts";

const INTRO = "age-encryption.org/v1\n";
const CHUNK_BYTES = 64 * 1024;
const TAG_BYTES = 16;
const SALT_BYTES = 16;
const FILE_KEY_BYTES = 16;
/** As age has it: a guess costs 256 MiB and about a second. */
const WORK_FACTOR = 18;
/** 1 GiB; more, and a made-up file would take all memory of whoever opens it. */
const WORK_FACTOR_MAX = 20;
/** Of the header that we write: intro, stanza, wrapped key, MAC. */
const HEADER_BYTES_MAX = 512;

const STANZA = /^-> scrypt ([A-Za-z0-9+/]{22}) ([1-9][0-9]?)\n([A-Za-z0-9+/]{43})\n--- ([A-Za-z0-9+/]{43})\n/;

/** `workFactor` is the logarithm of scrypt's cost; smaller in tests alone. */
export async function* encrypt(plain: Pieces, passphrase: string, workFactor = WORK_FACTOR): AsyncGenerator<Buffer> {
  const fileKey = randomBytes(FILE_KEY_BYTES);
  const salt = randomBytes(SALT_BYTES);
  const wrapped = seal(await wrappingKey(passphrase, salt, workFactor), Buffer.alloc(12), fileKey);
  const unsigned = `${INTRO}-> scrypt ${base64(salt)} ${workFactor}\n${base64(wrapped)}\n---`;
  yield Buffer.from(`${unsigned} ${base64(macOf(fileKey, unsigned))}\n`);
  const nonce = randomBytes(SALT_BYTES);
  yield nonce;
  const key = contentKey(fileKey, nonce);
  for (let index = 0, isLast = false; !isLast; index += 1) {
    const chunk = await plain.take(CHUNK_BYTES);
    isLast = (await plain.peek(1)).length === 0;
    yield seal(key, chunkNonce(index, isLast), chunk);
  }
}

export async function isEncrypted(pieces: Pieces): Promise<boolean> {
  return (await pieces.peek(INTRO.length)).toString("latin1") === INTRO;
}

/** Throws BackupError. */
export async function* decrypt(sealed: Pieces, passphrase: string): AsyncGenerator<Buffer> {
  const { label } = sealed;
  const fileKey = await openHeader(sealed, passphrase);
  const nonce = await sealed.take(SALT_BYTES);
  if (nonce.length < SALT_BYTES) throw cutOff(label);
  const key = contentKey(fileKey, nonce);
  for (let index = 0, isLast = false; !isLast; index += 1) {
    const at = sealed.position;
    const chunk = await sealed.take(CHUNK_BYTES + TAG_BYTES);
    isLast = (await sealed.peek(1)).length === 0;
    if (chunk.length < TAG_BYTES) throw cutOff(label);
    const plain = open(key, chunkNonce(index, isLast), chunk);
    if (plain === undefined) {
      // The file may end between two chunks, whole as they are.
      if (isLast && open(key, chunkNonce(index, false), chunk) !== undefined) throw cutOff(label);
      throw new BackupError("damaged", `${label} is damaged${isLast ? " or cut off" : ""}, from byte ${at} on; use another copy of it`);
    }
    yield plain;
  }
}

async function openHeader(sealed: Pieces, passphrase: string): Promise<Buffer> {
  const { label } = sealed;
  const intro = await sealed.take(INTRO.length);
  const text = (await sealed.peek(HEADER_BYTES_MAX)).toString("latin1");
  const [stanza, salt, factor, wrapped, mac] = STANZA.exec(text) ?? [];
  const isWritten = stanza !== undefined && salt !== undefined && wrapped !== undefined && mac !== undefined;
  // The last letter of each has bits to spare, which must be as we write them.
  if (!isWritten || ![salt, wrapped, mac].every((each) => base64(Buffer.from(each, "base64")) === each) || Number(factor) > WORK_FACTOR_MAX) {
    throw new BackupError("damaged", `${label} is damaged in its first ${HEADER_BYTES_MAX} bytes, or not encrypted with a passphrase; use another copy of it`);
  }
  await sealed.take(stanza.length);
  const fileKey = open(await wrappingKey(passphrase, Buffer.from(salt, "base64"), Number(factor)), Buffer.alloc(12), Buffer.from(wrapped, "base64"));
  if (fileKey?.length !== FILE_KEY_BYTES) {
    throw new BackupError("wrong_passphrase", `the passphrase does not open ${label}; it was encrypted with another one, or its first bytes are damaged`);
  }
  const unsigned = `${intro.toString("latin1")}${stanza.slice(0, stanza.lastIndexOf("---") + 3)}`;
  if (!timingSafeEqual(Buffer.from(mac, "base64"), macOf(fileKey, unsigned))) throw new BackupError("damaged", `${label} is damaged in its first bytes; use another copy of it`);
  return fileKey;
}

function cutOff(label: string): BackupError {
  return new BackupError("truncated", `${label} is cut off; use another copy of it`);
}

function wrappingKey(passphrase: string, salt: Buffer, workFactor: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const cost = 2 ** workFactor;
  const options = { cost, blockSize: 8, parallelization: 1, maxmem: 2 * 128 * 8 * cost };
  scrypt(passphrase, Buffer.concat([Buffer.from("age-encryption.org/v1/scrypt"), salt]), 32, options, (error, key) => (error === null ? resolve(key) : reject(error)));
  return promise;
}

function macOf(fileKey: Buffer, unsigned: string): Buffer {
  return createHmac("sha256", derived(fileKey, Buffer.alloc(0), "header")).update(unsigned).digest();
}

function contentKey(fileKey: Buffer, nonce: Buffer): Buffer {
  return derived(fileKey, nonce, "payload");
}

function derived(fileKey: Buffer, salt: Buffer, purpose: string): Buffer {
  return Buffer.from(hkdfSync("sha256", fileKey, salt, purpose, 32));
}

function chunkNonce(index: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(index, 5, 6);
  nonce[11] = isLast ? 1 : 0;
  return nonce;
}

function seal(key: Buffer, nonce: Buffer, plain: Buffer): Buffer {
  const cipher = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: TAG_BYTES });
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** Undefined when it is not what was sealed. */
function open(key: Buffer, nonce: Buffer, sealed: Buffer): Buffer | undefined {
  const decipher = createDecipheriv("chacha20-poly1305", key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES)), decipher.final()]);
  } catch {
    return undefined;
  }
}

function base64(bytes: Buffer): string {
  return bytes.toString("base64").replace(/=+$/, "");
}
