/**
 * The directory that a release is put together in, next to where it will stand. Writes what it is told to; checks hashes only of whole
 * files, at the end.
 *
 * Always holds: every path written lies below the staging directory: directories are real ones (looked at when it is opened), files are made with
 * O_EXCL and opened with O_NOFOLLOW, and symlinks come last, when nothing is written any more.
 */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { chmod, mkdir, open, readdir, rename, rm, stat, symlink, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { FileEntry, Manifest } from "@muster/proto/manifest.ts";
import { syncDirectory, syncTree } from "../disk/durable.ts";
import type { AppLayout } from "../disk/layout.ts";
import { randomSuffix } from "../disk/release.ts";
import { errorCode } from "../runner/fault.ts";
import { eachAtMost } from "./each.ts";
import type { Place } from "./needs.ts";
import { corrupt, short } from "./pull-error.ts";

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;
/** Enough to keep the disk busy; each is a file handle. */
const FILES_AT_ONCE = 8;
const READ_BYTES = 1024 * 1024;

export interface Staging {
  readonly dir: string;
  /** Files that an earlier try left bytes in: path → size. */
  readonly left: ReadonlyMap<string, number>;
}

/** Takes up what an earlier try left, or begins anew; afterwards every directory and file of the manifest is there, and nothing else. */
export async function openStaging(layout: AppLayout, digest: string, manifest: Manifest): Promise<Staging> {
  await mkdir(layout.stagingDir, { recursive: true });
  const [earlier, ...others] = (await readdir(layout.stagingDir)).filter((name) => name.startsWith(`${digest}.`));
  for (const name of others) await rm(join(layout.stagingDir, name), { recursive: true, force: true });
  const dir = join(layout.stagingDir, earlier ?? `${digest}.${randomSuffix()}`);
  await mkdir(dir, { recursive: true, mode: 0o755 });

  const wanted = new Map(manifest.entries.map((entry) => [entry.path, entry]));
  const left = new Map<string, number>();
  const sweep = async (parent: string): Promise<void> => {
    for (const found of await readdir(join(dir, parent), { withFileTypes: true })) {
      const path = parent === "" ? found.name : `${parent}/${found.name}`;
      const entry = wanted.get(path);
      if (entry?.type === "dir" && found.isDirectory()) {
        await sweep(path);
        continue;
      }
      const sizeBytes = entry?.type === "file" && found.isFile() ? (await stat(join(dir, path))).size : undefined;
      if (entry?.type === "file" && sizeBytes !== undefined && sizeBytes <= entry.sizeBytes) left.set(path, sizeBytes);
      else await rm(join(dir, path), { recursive: true, force: true });
    }
  };
  await sweep("");

  // Sorted by path, so a parent comes before what is in it.
  for (const entry of manifest.entries) {
    if (entry.type === "dir") await mkdir(join(dir, entry.path), { recursive: true });
  }
  const missing = manifest.entries.filter((entry) => entry.type === "file" && !left.has(entry.path));
  await eachAtMost(FILES_AT_ONCE, missing, async (entry) => {
    const file = await open(join(dir, entry.path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    await file.close();
  });
  return { dir, left };
}

export async function writeAt(root: string, place: Place, bytes: Uint8Array): Promise<void> {
  const file = await open(join(root, place.path), O_WRONLY | O_NOFOLLOW);
  try {
    let written = 0;
    while (written < bytes.length) {
      const { bytesWritten } = await file.write(bytes, written, bytes.length - written, place.offset + written);
      written += bytesWritten;
    }
  } finally {
    await file.close();
  }
}

/** The bytes at a place, or undefined when they are not there. Never hangs, whatever somebody may have put in the file's place. */
export async function readAt(root: string, place: Place, sizeBytes: number): Promise<Buffer | undefined> {
  let file: FileHandle;
  try {
    file = await open(join(root, place.path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "ELOOP", "EACCES", "ENXIO"].includes(errorCode(error) ?? "")) return undefined;
    throw error;
  }
  try {
    if (!(await file.stat()).isFile()) return undefined;
    const bytes = Buffer.allocUnsafe(sizeBytes);
    let read = 0;
    while (read < sizeBytes) {
      const { bytesRead } = await file.read(bytes, read, sizeBytes - read, place.offset + read);
      if (bytesRead === 0) return undefined;
      read += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

/** Every file whole, every mode and symlink set, all of it flushed, and then under its final name. */
export async function seal(staging: Staging, layout: AppLayout, digest: string, manifest: Manifest): Promise<void> {
  const files = manifest.entries.filter((entry) => entry.type === "file");
  await eachAtMost(FILES_AT_ONCE, files, async (file) => {
    await checkWhole(staging.dir, file);
    // Readable by the agent in any case: the next release is made from it.
    await chmod(join(staging.dir, file.path), (file.mode & 0o755) | 0o600);
  });
  for (const entry of manifest.entries) {
    switch (entry.type) {
      case "file":
        break;
      case "dir":
        await chmod(join(staging.dir, entry.path), (entry.mode & 0o755) | 0o700);
        break;
      case "symlink":
        await symlink(entry.target, join(staging.dir, entry.path));
        break;
    }
  }
  await chmod(staging.dir, 0o755);
  await syncTree(staging.dir);
  await rename(staging.dir, layout.releaseDir(digest));
  await syncDirectory(layout.releasesDir);
  await syncDirectory(layout.stagingDir);
}

/** A file of one chunk is as whole as its chunk; a longer one is read once more, for its chunks might be in the wrong order. */
async function checkWhole(root: string, file: FileEntry): Promise<void> {
  const [only, second] = file.chunks;
  const found = only !== undefined && second === undefined ? only.sha256 : await hashOf(join(root, file.path));
  if (found !== file.sha256) throw corrupt(`${file.path}: expected ${short(file.sha256)}, found ${short(found)}`);
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  const file = await open(path, O_RDONLY | O_NOFOLLOW);
  for await (const piece of file.createReadStream({ highWaterMark: READ_BYTES })) hash.update(piece as Buffer);
  return hash.digest("hex");
}
