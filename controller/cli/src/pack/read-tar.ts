/**
 * A tar, gzipped or not, as a source: one pass from its first byte to its last, nothing unpacked on disk.
 *
 * Each block of the archive is parsed whole before the next is read, so no more than one block's worth of events is ever held.
 * Always refuses an archive without its end mark: one cut between two files would otherwise pass as a smaller one.
 */
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { pipeline, type Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { UNPACKED_BYTES_MAX } from "@muster/proto/manifest.ts";
import { Parser, type ReadEntry } from "tar";
import { entryError, PackError, systemReason } from "./pack-error.ts";
import { archivePath, type Source, type SourceEntry } from "./source.ts";

/** Large, so that a header is hardly ever cut in two: the parser would garble a name that is not ASCII there (and we would refuse it). */
const BLOCK_BYTES = 1024 * 1024;
/** Headers and padding come on top of the files. */
const TAR_BYTES_MAX = UNPACKED_BYTES_MAX + 1024 ** 3;

const FILE_TYPES: ReadonlySet<string> = new Set(["File", "OldFile", "ContiguousFile"]);

export async function readTar(path: string): Promise<Source> {
  return { path, fileCount: undefined, entries: entriesOf(path) };
}

type TarEvent =
  | { readonly kind: "entry"; readonly entry: ReadEntry }
  | { readonly kind: "data"; readonly data: Buffer }
  | { readonly kind: "end" };

async function* entriesOf(sourcePath: string): AsyncGenerator<SourceEntry> {
  const events = eventsOf(sourcePath);
  for await (const event of events) {
    if (event.kind !== "entry") continue; // what the consumer left unread
    const entry = checkedEntry(sourcePath, event.entry);
    const path = archivePath(entry.path);
    if (path === "") continue;
    const mode = Number(entry.mode ?? 0o644);
    if (FILE_TYPES.has(entry.type)) yield { type: "file", path, mode, sizeBytes: entry.size, content: contentOf(events) };
    else if (entry.type === "Directory") yield { type: "dir", path, mode };
    else if (entry.type === "SymbolicLink") yield { type: "symlink", path, target: entry.linkpath ?? "" };
    else if (entry.type !== "Link") throw entryError("refused", sourcePath, path, `is a ${shownType(entry.type)}; only files, directories and links can be packed`);
    else if (entry.size > 0) throw entryError("refused", sourcePath, path, "is a hard link with a content of its own");
    else yield { type: "link", path, to: archivePath(entry.linkpath ?? "") };
  }
}

function checkedEntry(sourcePath: string, entry: ReadEntry): ReadEntry {
  // Extended headers make numbers of texts that look like one.
  if (typeof entry.path !== "string" || (entry.linkpath !== undefined && typeof entry.linkpath !== "string")) {
    throw entryError("refused", sourcePath, String(entry.path), "has an extended header that can't be read");
  }
  const named = `${entry.path}${entry.linkpath ?? ""}`;
  if (named.includes("\ufffd")) throw entryError("refused", sourcePath, entry.path, "has a name or target that is not UTF-8");
  if (/(?:^|\/)GNUSparseFile\.\d+\//.test(entry.header.path ?? "")) throw entryError("refused", sourcePath, entry.path, "is a sparse file; make the tar without --sparse");
  return entry;
}

function shownType(type: string): string {
  return type.replace(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase();
}

async function* contentOf(events: AsyncGenerator<TarEvent>): AsyncGenerator<Uint8Array> {
  // By hand: `for await` would end the archive's own iteration when the file ends.
  for (let next = await events.next(); next.done !== true && next.value.kind === "data"; next = await events.next()) yield next.value.data;
}

async function* eventsOf(sourcePath: string): AsyncGenerator<TarEvent> {
  const state = { events: [] as TarEvent[], fault: undefined as unknown, ended: false };
  const parser = new Parser({ strict: true, zstd: false, brotli: false });
  parser.on("entry", (entry: ReadEntry) => {
    state.events.push({ kind: "entry", entry });
    entry.on("end", () => state.events.push({ kind: "end" }));
    entry.on("data", (data: Buffer) => state.events.push({ kind: "data", data }));
  });
  parser.on("ignoredEntry", (entry: ReadEntry) => {
    state.fault ??= entryError("refused", sourcePath, entry.path, `is of a kind that is not supported (${shownType(entry.type)})`);
  });
  parser.on("error", (error: unknown) => (state.fault ??= error));
  parser.on("eof", () => (state.ended = true));

  const feed = (act: () => unknown): readonly TarEvent[] => {
    try {
      act();
    } catch (error) {
      state.fault ??= error;
    }
    if (state.fault !== undefined) throw tarError(sourcePath, state.fault);
    return state.events.splice(0);
  };

  let tarBytes = 0;
  for await (const block of blocksOf(sourcePath)) {
    // The parser would unpack a second gzip by itself, beyond our limits.
    if (tarBytes === 0 && isGzip(block)) throw new PackError("bad_archive", sourcePath, `${sourcePath}: not a tar archive: gzipped twice`);
    tarBytes += block.length;
    if (tarBytes > TAR_BYTES_MAX) throw new PackError("too_large", sourcePath, `${sourcePath}: unpacks to more than ${TAR_BYTES_MAX} bytes`);
    yield* feed(() => parser.write(block));
  }
  yield* feed(() => parser.end());
  if (!state.ended) throw new PackError("bad_archive", sourcePath, `${sourcePath}: the archive is cut off: its end mark is missing`);
}

async function* blocksOf(path: string): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let length = 0;
  for await (const part of bytesOf(path, await startsAsGzip(path))) {
    parts.push(part);
    length += part.length;
    if (length < BLOCK_BYTES) continue;
    yield Buffer.concat(parts);
    parts = [];
    length = 0;
  }
  if (length > 0) yield Buffer.concat(parts);
}

/** Its content tells whether it is gzipped; its name may not. */
async function startsAsGzip(path: string): Promise<boolean> {
  try {
    await using file = await open(path, "r");
    const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0);
    return isGzip(buffer.subarray(0, bytesRead));
  } catch (cause) {
    throw new PackError("unreadable", path, `${path}: can't be read (${systemReason(cause)})`, { cause });
  }
}

function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

async function* bytesOf(path: string, gzipped: boolean): AsyncGenerator<Buffer> {
  const file = createReadStream(path, { highWaterMark: BLOCK_BYTES });
  const stream: Readable = gzipped ? pipeline(file, createGunzip({ chunkSize: BLOCK_BYTES }), () => undefined) : file;
  try {
    yield* stream as AsyncIterable<Buffer>;
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    if (!code.startsWith("Z_")) throw new PackError("unreadable", path, `${path}: can't be read (${systemReason(cause)})`, { cause });
    const fault = code === "Z_BUF_ERROR" ? "the archive is cut off" : `the archive is damaged (${systemReason(cause)})`;
    throw new PackError("bad_archive", path, `${path}: ${fault}`, { cause });
  } finally {
    file.destroy();
    stream.destroy();
  }
}

function tarError(path: string, fault: unknown): PackError {
  if (fault instanceof PackError) return fault;
  const reason = systemReason(fault);
  const what = reason.includes("Truncated") ? "the archive is cut off" : "not a tar archive, or a damaged one";
  return new PackError("bad_archive", path, `${path}: ${what} (${reason})`, { cause: fault });
}
