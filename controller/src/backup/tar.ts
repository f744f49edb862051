/**
 * The container of a backup: a POSIX ustar archive of regular files, which any `tar` can read. Written and read as a stream, with nothing of it held in memory but a piece.
 *
 * Always holds: whatever a reader is given was where the format says it is; a byte too few or too many, and a header that was changed, are faults.
 * (https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13_06)
 */
import assert from "node:assert";
import { BackupError } from "./backup-error.ts";
import type { Pieces } from "./pieces.ts";

const BLOCK_BYTES = 512;
const PIECE_BYTES = 256 * 1024;
/** What eleven octal digits hold; more is written in binary, as GNU tar does. */
const OCTAL_SIZE_MAX = 8 ** 11 - 1;
const NAME = { at: 0, bytes: 100 };
const SIZE = { at: 124, bytes: 12 };
const CHECKSUM = { at: 148, bytes: 8 };
const TYPE_AT = 156;
const MAGIC_AT = 257;

/** Relative, and never out of the directory that it is unpacked in. Short enough for the one field of a header. */
const SAFE_NAME = /^(?!\.{1,2}(\/|$))[A-Za-z0-9._-]+(\/(?!\.{1,2}(\/|$))[A-Za-z0-9._-]+)*$/;

export interface TarEntry {
  readonly name: string;
  readonly sizeBytes: number;
  /** To be read to its end before the next entry. */
  readonly content: AsyncIterable<Buffer>;
}

export function isArchivable(name: string): boolean {
  return SAFE_NAME.test(name) && name.length <= NAME.bytes;
}

/** Comes before the content. */
export function headerOf(name: string, sizeBytes: number, modifiedAt: number): Buffer {
  assert(isArchivable(name), `${name} can't be the name of an entry`);
  const header = Buffer.alloc(BLOCK_BYTES);
  header.write(name, NAME.at, "ascii");
  header.write("0000600\0" + "0000000\0" + "0000000\0", 100, "ascii");
  writeSize(header, sizeBytes);
  header.write(`${octal(Math.floor(modifiedAt / 1000), 11)}\0`, 136, "ascii");
  header.write("0", TYPE_AT, "ascii");
  header.write("ustar\x0000", MAGIC_AT, "ascii");
  header.write(`${octal(checksumOf(header), 6)}\0 `, CHECKSUM.at, "ascii");
  return header;
}

/** Comes after the content. */
export function paddingOf(sizeBytes: number): Buffer {
  return Buffer.alloc(paddingBytes(sizeBytes));
}

/** Comes after the last entry. */
export function endOfArchive(): Buffer {
  return Buffer.alloc(2 * BLOCK_BYTES);
}

/** Throws BackupError where the archive is not what `headerOf` and the others write. */
export async function* readTar(pieces: Pieces): AsyncGenerator<TarEntry> {
  const { label } = pieces;
  let after = "its first entry";
  for (;;) {
    const header = await pieces.take(BLOCK_BYTES);
    if (header.length < BLOCK_BYTES) throw cutOff(label, after);
    if (isZero(header)) break;
    const entry = readHeader(header);
    if (entry === undefined) throw damaged(label, after === "its first entry" ? "it does not begin as a backup does" : `what follows ${after} can't be read`);
    const { name, sizeBytes } = entry;
    let left = sizeBytes;
    const content = async function* (): AsyncGenerator<Buffer> {
      while (left > 0) {
        const piece = await pieces.some(Math.min(left, PIECE_BYTES));
        if (piece.length === 0) throw cutOff(label, name);
        left -= piece.length;
        yield piece;
      }
    };
    yield { name, sizeBytes, content: content() };
    assert(left === 0, `${name} was not read to its end`);
    const padding = await pieces.take(paddingBytes(sizeBytes));
    if (padding.length < paddingBytes(sizeBytes)) throw cutOff(label, name);
    if (!isZero(padding)) throw damaged(label, `what follows ${name} can't be read`);
    after = name;
  }
  const end = await pieces.take(BLOCK_BYTES);
  if (end.length < BLOCK_BYTES) throw cutOff(label, after);
  if (!isZero(end) || (await pieces.peek(1)).length > 0) throw damaged(label, "something follows its end");
}

export function damaged(label: string, what: string): BackupError {
  return new BackupError("damaged", `${label} is damaged, or no backup: ${what}; use another copy of it`);
}

export function cutOff(label: string, entry: string): BackupError {
  return new BackupError("truncated", `${label} is cut off at ${entry}; use another copy of it`);
}

/** Undefined when it is not as `headerOf` writes it, byte by byte but for name, size and time. */
function readHeader(header: Buffer): { readonly name: string; readonly sizeBytes: number } | undefined {
  const name = textOf(header, NAME);
  const sizeBytes = readSize(header);
  const modifiedAt = Number.parseInt(header.toString("ascii", 136, 147), 8) * 1000;
  if (!isArchivable(name) || !Number.isSafeInteger(sizeBytes) || !Number.isSafeInteger(modifiedAt)) return undefined;
  return headerOf(name, sizeBytes, modifiedAt).equals(header) ? { name, sizeBytes } : undefined;
}

function writeSize(header: Buffer, sizeBytes: number): void {
  if (sizeBytes <= OCTAL_SIZE_MAX) {
    header.write(`${octal(sizeBytes, 11)}\0`, SIZE.at, "ascii");
    return;
  }
  header[SIZE.at] = 0x80;
  header.writeBigUInt64BE(BigInt(sizeBytes), SIZE.at + SIZE.bytes - 8);
}

function readSize(header: Buffer): number {
  if (header[SIZE.at] === 0x80) return Number(header.readBigUInt64BE(SIZE.at + SIZE.bytes - 8));
  return Number.parseInt(textOf(header, SIZE), 8);
}

function textOf(header: Buffer, { at, bytes }: { readonly at: number; readonly bytes: number }): string {
  const text = header.toString("latin1", at, at + bytes);
  const end = text.indexOf("\0");
  return end < 0 ? text : text.slice(0, end);
}

/** The sum of all bytes, its own field counted as spaces. */
function checksumOf(header: Buffer): number {
  let sum = CHECKSUM.bytes * 0x20;
  for (let at = 0; at < header.length; at += 1) if (at < CHECKSUM.at || at >= CHECKSUM.at + CHECKSUM.bytes) sum += header[at]!;
  return sum;
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, "0");
}

function paddingBytes(sizeBytes: number): number {
  return (BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES;
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}
