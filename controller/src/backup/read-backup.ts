/**
 * Reads a backup from its first byte to its last, decrypts it where it is encrypted, and checks everything on the way.
 *
 * Always holds: when it returns, every entry was whole and is what was written, none is missing and none was added. Until then, what `keep` was given may be wrong.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { decrypt, isEncrypted } from "./age.ts";
import { BackupError } from "./backup-error.ts";
import { type BackupHeader, FORMAT_VERSION, HEADER_ENTRY, headerShape, SUMS_ENTRY } from "./contents.ts";
import { Pieces } from "./pieces.ts";
import { cutOff, damaged, readTar, type TarEntry } from "./tar.ts";

/** Where the bytes come from: a file, or standard input. */
export interface Source {
  /** For messages. */
  readonly label: string;
  readonly bytes: AsyncIterable<Uint8Array>;
  /** 0: nobody knows. */
  readonly sizeBytes: number;
}

export interface ReadOptions {
  readonly source: Source;
  readonly passphrase: string | undefined;
  /** Takes one entry: reads its content to the end. */
  readonly keep: (entry: TarEntry) => Promise<void>;
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
  readonly signal: AbortSignal;
}

export interface ReadBackup {
  readonly header: BackupHeader;
  readonly isEncrypted: boolean;
  readonly sizeBytes: number;
  /** All but the header and the checksums. */
  readonly entries: ReadonlySet<string>;
}

const PIECE_BYTES = 256 * 1024;
const HEADER_BYTES_MAX = 64 * 1024;
/** Of half a million entries. */
const SUMS_BYTES_MAX = 64 * 1024 * 1024;

/** Throws BackupError. */
export async function openSource(path: string): Promise<Source> {
  try {
    const { size } = await stat(path);
    return { label: path, bytes: bytesOf(path), sizeBytes: size };
  } catch (cause) {
    throw BackupError.from(cause, `read ${path}`);
  }
}

/** Opened when it is read. */
async function* bytesOf(path: string): AsyncGenerator<Buffer> {
  for await (const piece of createReadStream(path, { highWaterMark: PIECE_BYTES })) yield piece as Buffer;
}

/** Throws BackupError. */
export async function readBackup({ source, passphrase, keep, onProgress, signal }: ReadOptions): Promise<ReadBackup> {
  const { label, sizeBytes: totalBytes } = source;
  let sizeBytes = 0;
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    for await (const piece of source.bytes) {
      if (signal.aborted) throw new BackupError("interrupted", `the reading of ${label} was given up`);
      sizeBytes += piece.length;
      onProgress(sizeBytes, totalBytes);
      yield piece;
    }
  };
  const raw = new Pieces(label, counted());
  try {
    const sealed = await isEncrypted(raw);
    if (sealed && passphrase === undefined) throw new BackupError("passphrase_needed", `${label} is encrypted; say --passphrase-file FILE`);
    const pieces = sealed ? new Pieces(label, decrypt(raw, passphrase ?? "")) : raw;
    const found = await readEntries(pieces, keep);
    return { ...found, isEncrypted: sealed, sizeBytes };
  } catch (cause) {
    throw BackupError.from(cause, `read ${label}`);
  } finally {
    await raw.close();
  }
}

async function readEntries(pieces: Pieces, keep: ReadOptions["keep"]): Promise<{ readonly header: BackupHeader; readonly entries: ReadonlySet<string> }> {
  const { label } = pieces;
  const sums: string[] = [];
  const entries = new Set<string>();
  let header: BackupHeader | undefined;
  let isClosed = false;
  for await (const entry of readTar(pieces)) {
    const { name } = entry;
    if (isClosed) throw damaged(label, `${name} comes after the checksums`);
    if (header === undefined) {
      const content = await whole(label, entry, HEADER_ENTRY, HEADER_BYTES_MAX);
      header = parseHeader(label, content);
      sums.push(sumLine(createHash("sha256").update(content).digest("hex"), name));
    } else if (name === SUMS_ENTRY) {
      const content = await whole(label, entry, SUMS_ENTRY, SUMS_BYTES_MAX);
      compare(label, content.toString("utf8"), sums);
      isClosed = true;
    } else {
      if (entries.has(name)) throw damaged(label, `${name} is in it twice`);
      entries.add(name);
      sums.push(sumLine(await keepHashed(entry, keep), name));
    }
  }
  if (header === undefined || !isClosed) throw cutOff(label, "its checksums");
  return { header, entries };
}

async function keepHashed(entry: TarEntry, keep: ReadOptions["keep"]): Promise<string> {
  const hash = createHash("sha256");
  const content = async function* (): AsyncGenerator<Buffer> {
    for await (const piece of entry.content) {
      hash.update(piece);
      yield piece;
    }
  };
  await keep({ ...entry, content: content() });
  return hash.digest("hex");
}

function sumLine(sum: string, name: string): string {
  return `${sum}  ${name}\n`;
}

function compare(label: string, written: string, found: readonly string[]): void {
  if (written === found.join("")) return;
  const known = new Set(written.split(/(?<=\n)/));
  const wrong = found.find((line) => !known.has(line));
  throw damaged(label, wrong === undefined ? "its checksums name what is not in it" : `${wrong.slice(66).trim()} does not match its checksum`);
}

/** `formatVersion` is read first: the rest may have another shape in a newer one. */
function parseHeader(label: string, content: Buffer): BackupHeader {
  let value: unknown;
  try {
    value = JSON.parse(content.toString("utf8"));
  } catch {
    throw damaged(label, `${HEADER_ENTRY} can't be read`);
  }
  const { formatVersion, madeBy } = (value ?? {}) as { readonly formatVersion?: unknown; readonly madeBy?: unknown };
  if (typeof formatVersion === "number" && formatVersion > FORMAT_VERSION) {
    throw new BackupError("newer", `${label} was made by a newer Muster (${String(madeBy)}, format ${formatVersion}; this one knows ${FORMAT_VERSION}); use that Muster`);
  }
  const parsed = headerShape.safeParse(value);
  if (!parsed.success) throw damaged(label, `${HEADER_ENTRY} can't be read`);
  return parsed.data;
}

async function whole(label: string, { name, sizeBytes, content }: TarEntry, wanted: string, most: number): Promise<Buffer> {
  if (name !== wanted || sizeBytes > most) throw damaged(label, "it does not begin as a backup does");
  const pieces: Buffer[] = [];
  for await (const piece of content) pieces.push(piece);
  return Buffer.concat(pieces);
}
