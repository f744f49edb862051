/**
 * How NATS writes ed25519 keys as text ("nkeys"): base32 of a prefix that tells what the key is for, the 32 bytes, and a CRC. `U…` is the public key of a
 * user, `SU…` its seed. Only the writing: keys are made and used with node:crypto on either side, since the library for it takes 40 ms a signature.
 *
 * Format: github.com/nats-io/nkeys.
 */

export type NkeyKind = "operator" | "account" | "user";

const PREFIXES: Readonly<Record<NkeyKind, number>> = { operator: 14 << 3, account: 0, user: 20 << 3 };
const KINDS = Object.keys(PREFIXES) as NkeyKind[];
const SEED_PREFIX = 18 << 3;
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const KEY_BYTES = 32;
const CRC_BYTES = 2;

/** `key`: 32 bytes. */
export function formatPublicNkey(kind: NkeyKind, key: Uint8Array): string {
  return withCrc(Uint8Array.of(PREFIXES[kind], ...key));
}

/** `seed`: 32 bytes. */
export function formatNkeySeed(kind: NkeyKind, seed: Uint8Array): string {
  // The five bits of either prefix, so that both can be read as the first two letters.
  const prefix = PREFIXES[kind];
  return withCrc(Uint8Array.of(SEED_PREFIX | (prefix >> 5), (prefix & 31) << 3, ...seed));
}

/** The 32 bytes; undefined when the text is not the public key of such a one. */
export function parsePublicNkey(kind: NkeyKind, text: string): Uint8Array | undefined {
  const bytes = withoutCrc(text);
  return bytes?.length === 1 + KEY_BYTES && bytes[0] === PREFIXES[kind] ? bytes.subarray(1) : undefined;
}

/** The 32 bytes; undefined when the text is not a seed. White space around it is allowed. */
export function parseNkeySeed(text: string): { readonly kind: NkeyKind; readonly seed: Uint8Array } | undefined {
  const bytes = withoutCrc(text.trim());
  if (bytes?.length !== 2 + KEY_BYTES) return undefined;
  const kind = KINDS.find((one) => bytes[0] === (SEED_PREFIX | (PREFIXES[one] >> 5)) && bytes[1] === (PREFIXES[one] & 31) << 3);
  return kind === undefined ? undefined : { kind, seed: bytes.subarray(2) };
}

/** RFC 4648 without padding. */
export function base32(bytes: Uint8Array): string {
  let text = "";
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET[(value >> (bits - 5)) & 31];
  }
  return bits === 0 ? text : text + ALPHABET[(value << (5 - bits)) & 31];
}

/** Undefined when it is not what `base32` writes. */
function fromBase32(text: string): Uint8Array | undefined {
  const bytes: number[] = [];
  let bits = 0;
  let value = 0;
  for (const letter of text) {
    const digit = ALPHABET.indexOf(letter);
    if (digit === -1) return undefined;
    value = ((value << 5) | digit) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((value >> bits) & 255);
  }
  const result = Uint8Array.from(bytes);
  return base32(result) === text ? result : undefined;
}

function withCrc(bytes: Uint8Array): string {
  const crc = crc16(bytes);
  return base32(Uint8Array.of(...bytes, crc & 255, crc >> 8));
}

function withoutCrc(text: string): Uint8Array | undefined {
  const bytes = fromBase32(text);
  if (bytes === undefined || bytes.length <= CRC_BYTES) return undefined;
  const content = bytes.subarray(0, -CRC_BYTES);
  const crc = crc16(content);
  return bytes.at(-2) === (crc & 255) && bytes.at(-1) === crc >> 8 ? content : undefined;
}

/** CRC-16/XMODEM. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x8000) === 0 ? (crc << 1) & 0xffff : ((crc << 1) ^ 0x1021) & 0xffff;
  }
  return crc;
}
