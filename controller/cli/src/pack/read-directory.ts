/**
 * A directory as a source: the whole listing first, in the order of the manifest, then each file.
 *
 * Never follows a symlink below the root. Always notices a file or a directory that changed between the listing and the end of reading it.
 * File calls are synchronous: for many small files that is several times faster than going through the thread pool,
 * which is busy compressing meanwhile.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, type BigIntStats } from "node:fs";
import { join } from "node:path";
import { CHUNK_BYTES_MAX, comparePaths, ENTRIES_MAX } from "@muster/proto/manifest.ts";
import { entryError, systemReason } from "./pack-error.ts";
import type { Source, SourceEntry } from "./source.ts";

interface Listed {
  readonly path: string;
  readonly stats: BigIntStats;
}

export function readDirectory(root: string): Source {
  const rootListed = { path: ".", stats: attempt(root, ".", () => lstatSync(join(root, "."), { bigint: true })) };
  const listing = list(root);
  return { path: root, fileCount: listing.filter(({ stats }) => stats.isFile()).length, entries: read(root, rootListed, listing) };
}

function list(root: string): readonly Listed[] {
  const listing: Listed[] = [];
  const open = [""];
  for (let directory = open.pop(); directory !== undefined; directory = open.pop()) {
    for (const name of namesIn(root, directory)) {
      const path = directory === "" ? name : `${directory}/${name}`;
      const stats = attempt(root, path, () => lstatSync(join(root, path), { bigint: true }));
      if (stats.isDirectory()) open.push(path);
      listing.push({ path, stats });
      if (listing.length > ENTRIES_MAX) throw entryError("too_large", root, path, `is one too many: at most ${ENTRIES_MAX} files and directories are allowed`);
    }
  }
  return listing.sort(comparePaths);
}

function namesIn(root: string, directory: string): readonly string[] {
  const names = attempt(root, directory === "" ? "." : directory, () => readdirSync(join(root, directory), { encoding: "buffer" }));
  return names.map((name) => decodeName(root, directory, name));
}

function decodeName(root: string, directory: string, name: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(name);
  } catch (cause) {
    const shown = Buffer.from(name).toString("latin1");
    throw entryError("refused", root, directory === "" ? shown : `${directory}/${shown}`, "has a name that is not UTF-8", cause);
  }
}

async function* read(root: string, rootListed: Listed, listing: readonly Listed[]): AsyncGenerator<SourceEntry> {
  for (const { path, stats } of listing) {
    if (stats.isFile()) yield { type: "file", path, mode: Number(stats.mode), sizeBytes: Number(stats.size), content: readFile(root, path, stats) };
    else if (stats.isDirectory()) yield { type: "dir", path, mode: Number(stats.mode) };
    else if (stats.isSymbolicLink()) yield { type: "symlink", path, target: readTarget(root, path) };
    else throw entryError("refused", root, path, `is a ${kindOf(stats)}; only files, directories and symlinks can be packed`);
  }
  for (const { path, stats } of [rootListed, ...listing.filter((listed) => listed.stats.isDirectory())]) {
    const now = attempt(root, path, () => lstatSync(join(root, path), { bigint: true }));
    if (!isSame(stats, now)) throw entryError("changed", root, path, "changed while it was packed: files came or went");
  }
}

function readTarget(root: string, path: string): string {
  const target = attempt(root, path, () => readlinkSync(join(root, path), { encoding: "buffer" }));
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(target);
  } catch (cause) {
    throw entryError("refused", root, path, "is a symlink whose target is not UTF-8", cause);
  }
}

async function* readFile(root: string, path: string, listed: BigIntStats): AsyncGenerator<Uint8Array> {
  // Without O_NONBLOCK a fifo that took the file's place would hold us for ever.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const fd = attempt(root, path, () => openSync(join(root, path), flags));
  try {
    if (!isSame(listed, fstatSync(fd, { bigint: true }))) throw changedWhilePacked(root, path);
    for (let left = Number(listed.size); left > 0; ) {
      const chunk = Buffer.allocUnsafeSlow(Math.min(left, CHUNK_BYTES_MAX));
      let filled = 0;
      while (filled < chunk.length) {
        const got = attempt(root, path, () => readSync(fd, chunk, filled, chunk.length - filled, null));
        if (got === 0) throw changedWhilePacked(root, path);
        filled += got;
      }
      left -= chunk.length;
      yield chunk;
    }
    if (!isSame(listed, fstatSync(fd, { bigint: true }))) throw changedWhilePacked(root, path);
  } finally {
    closeSync(fd);
  }
}

/** ctime too: mtime can be set back. */
function isSame(a: BigIntStats, b: BigIntStats): boolean {
  return a.ino === b.ino && a.dev === b.dev && a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;
}

function changedWhilePacked(root: string, path: string): Error {
  return entryError("changed", root, path, "changed while it was packed");
}

function kindOf(stats: BigIntStats): string {
  if (stats.isSocket()) return "socket";
  return stats.isFIFO() ? "fifo" : "device";
}

function attempt<T>(root: string, path: string, act: () => T): T {
  try {
    return act();
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    // It was there a moment ago, and not as a symlink.
    if (code === "ENOENT" || code === "ELOOP") throw entryError("changed", root, path, "changed while it was packed", cause);
    throw entryError("unreadable", root, path, `can't be read (${systemReason(cause)})`, cause);
  }
}
