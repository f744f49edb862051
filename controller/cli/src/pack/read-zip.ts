/**
 * A zip as a source: its directory first, then each file in the order of the manifest. Nothing is unpacked on disk.
 *
 * Always checks each file's length and CRC, which yauzl leaves to its caller.
 */
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { crc32 } from "node:zlib";
import { ENTRIES_MAX, PATH_BYTES_MAX } from "@muster/proto/manifest.ts";
import { getFileNameLowLevel, openPromise, type Entry, type ZipFile } from "yauzl";
import { entryError, PackError, systemReason } from "./pack-error.ts";
import { archivePath, type Source, type SourceEntry } from "./source.ts";

const UTF8_FLAG = 0x800;
const MADE_BY_UNIX = 3;
const MADE_BY_MACOS = 19;
const TYPE_BITS = 0o170000;
const TYPES = { file: 0o100000, dir: 0o040000, symlink: 0o120000 } as const;

interface Listed {
  readonly path: string;
  /** Type and permission; 0 where the zip does not say. */
  readonly unixMode: number;
  readonly isDirectory: boolean;
  readonly entry: Entry;
}

export async function readZip(path: string): Promise<Source> {
  const zip = await openPromise(path, { decodeStrings: false, autoClose: false }).catch((cause: unknown) => {
    throw zipError(path, cause);
  });
  try {
    const listing = await list(path, zip);
    return { path, fileCount: listing.filter(({ isDirectory }) => !isDirectory).length, entries: read(path, zip, listing) };
  } catch (error) {
    zip.close();
    throw error;
  }
}

async function list(sourcePath: string, zip: ZipFile): Promise<readonly Listed[]> {
  if (zip.entryCount > ENTRIES_MAX) throw new PackError("too_large", sourcePath, `${sourcePath}: has ${zip.entryCount} entries; at most ${ENTRIES_MAX} are allowed`);
  const listing: Listed[] = [];
  try {
    for await (const entry of zip.eachEntry()) {
      const made = entry.versionMadeBy >> 8;
      const unixMode = made === MADE_BY_UNIX || made === MADE_BY_MACOS ? entry.externalFileAttributes >>> 16 : 0;
      const name = nameOf(sourcePath, entry, unixMode !== 0);
      const path = archivePath(name);
      const isDirectory = name.endsWith("/") || (unixMode & TYPE_BITS) === TYPES.dir;
      if (path !== "") listing.push({ path, unixMode, isDirectory, entry });
    }
  } catch (error) {
    throw zipError(sourcePath, error);
  }
  return listing.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

/** UTF-8 whether or not the entry's flag says so: on Unix it nearly always is. A DOS name that is not ASCII is refused, not guessed. */
function nameOf(sourcePath: string, entry: Entry, isUnix: boolean): string {
  const name = getFileNameLowLevel(entry.generalPurposeBitFlag | UTF8_FLAG, entry.fileNameRaw, entry.extraFields, true);
  if (name.includes("\ufffd")) throw entryError("refused", sourcePath, entry.fileNameRaw.toString("latin1"), "has a name that is not UTF-8");
  return isUnix ? name : name.replaceAll("\\", "/");
}

async function* read(sourcePath: string, zip: ZipFile, listing: readonly Listed[]): AsyncGenerator<SourceEntry> {
  try {
    for (const { path, unixMode, isDirectory, entry } of listing) {
      if (entry.isEncrypted()) throw entryError("refused", sourcePath, path, "is encrypted");
      const type = unixMode & TYPE_BITS;
      if (isDirectory) yield { type: "dir", path, mode: unixMode === 0 ? 0o755 : unixMode };
      else if (type === TYPES.symlink) yield { type: "symlink", path, target: await readTarget(sourcePath, path, zip, entry) };
      else if (type === TYPES.file || type === 0) {
        const content = readFile(sourcePath, path, zip, entry);
        yield { type: "file", path, mode: unixMode === 0 ? 0o644 : unixMode, sizeBytes: entry.uncompressedSize, content };
      } else throw entryError("refused", sourcePath, path, "is a device, fifo or socket; only files, directories and symlinks can be packed");
    }
  } finally {
    zip.close();
  }
}

async function* readFile(sourcePath: string, path: string, zip: ZipFile, entry: Entry): AsyncGenerator<Uint8Array> {
  let crc = 0;
  let stream: Readable | undefined;
  try {
    stream = await zip.openReadStreamPromise(entry);
    for await (const data of stream as AsyncIterable<Buffer>) {
      crc = crc32(data, crc);
      yield data;
    }
  } catch (cause) {
    throw entryError("bad_archive", sourcePath, path, `can't be unpacked (${systemReason(cause)})`, cause);
  } finally {
    stream?.destroy();
  }
  if (crc !== entry.crc32) throw entryError("bad_archive", sourcePath, path, "is damaged: its CRC is not what the archive says");
}

async function readTarget(sourcePath: string, path: string, zip: ZipFile, entry: Entry): Promise<string> {
  if (entry.uncompressedSize > PATH_BYTES_MAX) throw entryError("refused", sourcePath, path, "is a symlink with a target that is too long");
  const target = await buffer(readFile(sourcePath, path, zip, entry));
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(target);
  } catch (cause) {
    throw entryError("refused", sourcePath, path, "is a symlink whose target is not UTF-8", cause);
  }
}

/** yauzl goes on with guesses. */
function firstSentence(error: unknown): string {
  return error instanceof Error ? error.message.split(". ", 1)[0]! : String(error);
}

function zipError(path: string, cause: unknown): PackError {
  if (cause instanceof PackError) return cause;
  const isSystem = cause instanceof Error && "syscall" in cause;
  if (isSystem) return new PackError("unreadable", path, `${path}: can't be read (${systemReason(cause)})`, { cause });
  return new PackError("bad_archive", path, `${path}: not a zip archive, or a damaged or cut off one (${firstSentence(cause)})`, { cause });
}
