/**
 * The manifest of an artifact: what files there are and where their bytes stand in the pack. Its sha256 names the artifact.
 *
 * Always holds after `parseManifest`: entries are sorted by path (by code unit), every path is relative, clean and below the
 * root, every parent directory is an entry, a symlink's target stays inside, chunk lengths add up to the file's size, and frames fill
 * the pack from its first byte to its last. The bytes were the only ones that say this, so one content has one digest.
 * A chunk is any run of a file's bytes: today at most 4 MiB cut at fixed places, later by content; readers must not care.
 */
import { parseDigest, type Digest } from "./ids.ts";

export const MANIFEST_FORMAT = "muster.manifest.v1";
export const MANIFEST_BYTES_MAX = 16 * 1024 * 1024;
/** Bounds the memory that one chunk costs on either side. */
export const CHUNK_BYTES_MAX = 4 * 1024 * 1024;
/** zstd adds less than this to a chunk that does not compress. */
export const FRAME_BYTES_MAX = CHUNK_BYTES_MAX + 64 * 1024;
/** More files than any release we know of; bounds the inodes that one artifact can take. */
export const ENTRIES_MAX = 200_000;
/** Of all files together, unpacked: bounds the disk that a small pack of equal chunks can fill. */
export const UNPACKED_BYTES_MAX = 8 * 1024 ** 3;
/** Linux's PATH_MAX and NAME_MAX. */
export const PATH_BYTES_MAX = 4096;
export const NAME_BYTES_MAX = 255;
/** What `mode` may keep: no setuid, no sticky bit, nobody else writes. */
export const MODE_BITS = 0o755;
/** Of no bytes at all. */
export const EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" as Digest;

export interface Manifest {
  readonly format: typeof MANIFEST_FORMAT;
  /** Length of the pack, bytes. */
  readonly packBytes: number;
  readonly entries: readonly ManifestEntry[];
}

export type ManifestEntry = FileEntry | DirectoryEntry | SymlinkEntry;

export interface FileEntry {
  readonly type: "file";
  readonly path: string;
  /** 0o644 or 0o755 and the like: only bits of 0o755 are kept. */
  readonly mode: number;
  readonly sizeBytes: number;
  /** Of the whole file. */
  readonly sha256: Digest;
  /** In the order of the file; none for an empty file. */
  readonly chunks: readonly Chunk[];
}

export interface DirectoryEntry {
  readonly type: "dir";
  readonly path: string;
  readonly mode: number;
}

export interface SymlinkEntry {
  readonly type: "symlink";
  readonly path: string;
  /**
   * Relative, and inside the artifact. `..` stands only before the first name: since directories on the way to the link are real ones,
   * the link then leads outside neither by itself nor through other links.
   */
  readonly target: string;
}

export interface Chunk {
  /** Of the bytes as they stand in the file. */
  readonly sha256: Digest;
  readonly sizeBytes: number;
  /** Where its zstd frame stands in the pack. Two chunks may share one frame. */
  readonly frameOffset: number;
  readonly frameBytes: number;
  /** Of the frame as it travels. */
  readonly frameSha256: Digest;
}

export type ParsedManifest = { readonly ok: true; readonly manifest: Manifest } | { readonly ok: false; readonly message: string };

/** Canonical bytes: one order of keys, no blanks, entries sorted. It does not check; what breaks a rule is refused when it is parsed. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  return new TextEncoder().encode(canonicalText(manifest));
}

/** For bytes from anybody. `message` names the entry and the rule. */
export function parseManifest(bytes: Uint8Array): ParsedManifest {
  try {
    return { ok: true, manifest: readManifest(bytes) };
  } catch (fault) {
    if (fault instanceof Fault) return { ok: false, message: fault.message };
    throw fault;
  }
}

/** The rule that a path breaks, in words that follow its name, or undefined. */
export function pathFault(path: string): string | undefined {
  if (path === "") return "is empty";
  if (!path.isWellFormed()) return "is not well-formed Unicode";
  if (path.includes("\0")) return "contains a NUL";
  if (path.startsWith("/")) return "is absolute";
  if (utf8Length(path) > PATH_BYTES_MAX) return `is longer than ${PATH_BYTES_MAX} bytes`;
  for (const name of path.split("/")) {
    if (name === "" || name === "." || name === "..") return `has an empty, "." or ".." part`;
    if (utf8Length(name) > NAME_BYTES_MAX) return `has a name longer than ${NAME_BYTES_MAX} bytes`;
  }
  return undefined;
}

/** The rule that a symlink's target breaks, in words that follow its name, or undefined. `path` is the link's own, and clean. */
export function targetFault(path: string, target: string): string | undefined {
  if (target === "") return "is empty";
  if (!target.isWellFormed()) return "is not well-formed Unicode";
  if (target.includes("\0")) return "contains a NUL";
  if (target.startsWith("/")) return "is absolute";
  if (utf8Length(target) >= PATH_BYTES_MAX) return `is longer than ${PATH_BYTES_MAX - 1} bytes`;
  let depth = path.split("/").length - 1;
  let named = false;
  for (const name of target.split("/")) {
    if (name === "" || name === ".") continue;
    if (name !== "..") named = true;
    else if (named) return `has ".." after a name`;
    else if (depth === 0) return "leads outside";
    else depth -= 1;
  }
  return undefined;
}

/** By code unit: the order of entries. A directory comes before all that is in it. */
export function comparePaths(a: { readonly path: string }, b: { readonly path: string }): number {
  return a.path < b.path ? -1 : a.path > b.path ? 1 : 0;
}

class Fault extends Error {}

function readManifest(bytes: Uint8Array): Manifest {
  if (bytes.length > MANIFEST_BYTES_MAX) throw new Fault(`the manifest has ${bytes.length} bytes; at most ${MANIFEST_BYTES_MAX} are allowed`);
  const text = decode(bytes);
  const top = fields(parseJson(text), "the manifest", ["format", "packBytes", "entries"]);
  if (top["format"] !== MANIFEST_FORMAT) throw new Fault(`format is ${shown(top["format"])}; only "${MANIFEST_FORMAT}" is known`);
  const packBytes = count(top["packBytes"], "packBytes", Number.MAX_SAFE_INTEGER);
  const list = array(top["entries"], "entries");
  if (list.length > ENTRIES_MAX) throw new Fault(`there are ${list.length} entries; at most ${ENTRIES_MAX} are allowed`);

  const entries: ManifestEntry[] = [];
  const directories = new Set<string>();
  const frames = new Frames();
  let unpackedBytes = 0;
  let before: string | undefined;
  for (const [index, value] of list.entries()) {
    const entry = readEntry(value, index);
    const where = `entry ${shown(entry.path)}`;
    if (before !== undefined && entry.path <= before) {
      throw new Fault(entry.path === before ? `${where} is there twice` : `${where} is not in the order of paths: it comes after ${shown(before)}`);
    }
    before = entry.path;
    const parent = entry.path.slice(0, Math.max(0, entry.path.lastIndexOf("/")));
    if (parent !== "" && !directories.has(parent)) throw new Fault(`${where}: ${shown(parent)} is not a directory of the manifest`);
    if (entry.type === "dir") directories.add(entry.path);
    if (entry.type === "file") {
      unpackedBytes += entry.sizeBytes;
      if (unpackedBytes > UNPACKED_BYTES_MAX) throw new Fault(`the files have more than ${UNPACKED_BYTES_MAX} bytes together`);
      for (const chunk of entry.chunks) frames.add(chunk, where);
    }
    entries.push(entry);
  }
  frames.checkFill(packBytes);

  const manifest: Manifest = { format: MANIFEST_FORMAT, packBytes, entries };
  if (canonicalText(manifest) !== text) throw new Fault("the manifest is not in canonical form (order of keys, blanks, numbers, escapes)");
  return manifest;
}

function readEntry(value: unknown, index: number): ManifestEntry {
  const at = `entries[${index}]`;
  const type = isRecord(value) ? value["type"] : undefined;
  switch (type) {
    case "dir": {
      const entry = fields(value, at, ["type", "path", "mode"]);
      const path = readPath(entry["path"], at);
      return { type, path, mode: readMode(entry["mode"], path) };
    }
    case "symlink": {
      const entry = fields(value, at, ["type", "path", "target"]);
      const path = readPath(entry["path"], at);
      const target = string(entry["target"], `entry ${shown(path)}: target`);
      const fault = targetFault(path, target);
      if (fault !== undefined) throw new Fault(`entry ${shown(path)}: the target ${shown(target)} ${fault}`);
      return { type, path, target };
    }
    case "file":
      return readFile(value, at);
    default:
      throw new Fault(`${at}: type is ${shown(type)}; it must be "file", "dir" or "symlink"`);
  }
}

function readFile(value: unknown, at: string): FileEntry {
  const entry = fields(value, at, ["type", "path", "mode", "sizeBytes", "sha256", "chunks"]);
  const path = readPath(entry["path"], at);
  const where = `entry ${shown(path)}`;
  const sizeBytes = count(entry["sizeBytes"], `${where}: sizeBytes`, UNPACKED_BYTES_MAX);
  const sha256 = digest(entry["sha256"], `${where}: sha256`);
  const chunks = array(entry["chunks"], `${where}: chunks`).map((chunk, index) => readChunk(chunk, `${where}: chunks[${index}]`));
  const chunkBytes = chunks.reduce((sum, chunk) => sum + chunk.sizeBytes, 0);
  if (chunkBytes !== sizeBytes) throw new Fault(`${where}: the chunks have ${chunkBytes} bytes together, the file ${sizeBytes}`);
  const only = chunks.length === 0 ? EMPTY_SHA256 : chunks.length === 1 ? chunks[0]!.sha256 : sha256;
  if (sha256 !== only) throw new Fault(`${where}: sha256 is not that of its content, ${only}`);
  return { type: "file", path, mode: readMode(entry["mode"], path), sizeBytes, sha256, chunks };
}

function readChunk(value: unknown, at: string): Chunk {
  const chunk = fields(value, at, ["sha256", "sizeBytes", "frameOffset", "frameBytes", "frameSha256"]);
  return {
    sha256: digest(chunk["sha256"], `${at}.sha256`),
    sizeBytes: count(chunk["sizeBytes"], `${at}.sizeBytes`, CHUNK_BYTES_MAX, 1),
    frameOffset: count(chunk["frameOffset"], `${at}.frameOffset`, Number.MAX_SAFE_INTEGER),
    frameBytes: count(chunk["frameBytes"], `${at}.frameBytes`, FRAME_BYTES_MAX, 1),
    frameSha256: digest(chunk["frameSha256"], `${at}.frameSha256`),
  };
}

/** All frames of a manifest: a chunk that names a known one must say the same of it. */
class Frames {
  readonly #byOffset = new Map<number, Chunk>();

  add(chunk: Chunk, where: string): void {
    const known = this.#byOffset.get(chunk.frameOffset);
    if (known === undefined) this.#byOffset.set(chunk.frameOffset, chunk);
    else if (chunkText(known) !== chunkText(chunk)) throw new Fault(`${where}: another chunk says otherwise of the frame at ${chunk.frameOffset}`);
  }

  checkFill(packBytes: number): void {
    let at = 0;
    for (const frame of [...this.#byOffset.values()].sort((a, b) => a.frameOffset - b.frameOffset)) {
      const fault = frame.frameOffset > at ? `bytes ${at} to ${frame.frameOffset} of the pack are in no frame` : `the frame at ${frame.frameOffset} overlaps another`;
      if (frame.frameOffset !== at) throw new Fault(fault);
      at += frame.frameBytes;
    }
    if (at > packBytes) throw new Fault(`the frames end at ${at}, outside the pack of ${packBytes} bytes`);
    if (at < packBytes) throw new Fault(`bytes ${at} to ${packBytes} of the pack are in no frame`);
  }
}

function readPath(value: unknown, at: string): string {
  const path = string(value, `${at}: path`);
  const fault = pathFault(path);
  if (fault !== undefined) throw new Fault(`${at}: the path ${shown(path)} ${fault}`);
  return path;
}

function readMode(value: unknown, path: string): number {
  const mode = count(value, `entry ${shown(path)}: mode`, MODE_BITS);
  if ((mode & ~MODE_BITS) !== 0) throw new Fault(`entry ${shown(path)}: mode 0${mode.toString(8)} has bits outside 0755`);
  return mode;
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Fault("the manifest is not UTF-8");
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Fault("the manifest is not JSON");
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fields(value: unknown, at: string, keys: readonly string[]): Record<string, unknown> {
  if (!isRecord(value)) throw new Fault(`${at} is not an object`);
  for (const key of keys) if (!Object.hasOwn(value, key)) throw new Fault(`${at}: ${key} is missing`);
  for (const key of Object.keys(value)) if (!keys.includes(key)) throw new Fault(`${at}: ${shown(key)} is unknown`);
  return value;
}

function array(value: unknown, at: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new Fault(`${at} is not a list`);
  return value;
}

function string(value: unknown, at: string): string {
  if (typeof value !== "string") throw new Fault(`${at} is not a text`);
  return value;
}

function digest(value: unknown, at: string): Digest {
  const found = typeof value === "string" ? parseDigest(value) : undefined;
  if (found === undefined) throw new Fault(`${at} is not 64 lower-case hex digits`);
  return found;
}

function count(value: unknown, at: string, max: number, min = 0): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw new Fault(`${at} is not a whole number`);
  if (value < min || value > max) throw new Fault(`${at} is ${value}; it must be from ${min} to ${max}`);
  return value;
}

/** A hostile value may be megabytes long, or nested deeper than the stack. */
function shown(value: unknown): string {
  if (typeof value === "string") return value.length <= 200 ? JSON.stringify(value) : `${JSON.stringify(value.slice(0, 200))}…`;
  return typeof value === "object" ? "no text" : String(value);
}

function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length;
}

function canonicalText({ format, packBytes, entries }: Manifest): string {
  return `{"format":${JSON.stringify(format)},"packBytes":${packBytes},"entries":[${entries.toSorted(comparePaths).map(entryText).join(",")}]}`;
}

function entryText(entry: ManifestEntry): string {
  const start = `{"type":"${entry.type}","path":${JSON.stringify(entry.path)}`;
  switch (entry.type) {
    case "dir":
      return `${start},"mode":${entry.mode}}`;
    case "symlink":
      return `${start},"target":${JSON.stringify(entry.target)}}`;
    case "file":
      return `${start},"mode":${entry.mode},"sizeBytes":${entry.sizeBytes},"sha256":"${entry.sha256}","chunks":[${entry.chunks.map(chunkText).join(",")}]}`;
  }
}

function chunkText({ sha256, sizeBytes, frameOffset, frameBytes, frameSha256 }: Chunk): string {
  return `{"sha256":"${sha256}","sizeBytes":${sizeBytes},"frameOffset":${frameOffset},"frameBytes":${frameBytes},"frameSha256":"${frameSha256}"}`;
}
