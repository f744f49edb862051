/**
 * Making what was written survive a power cut. Never decides what is written.
 */
import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { open, readdir, rename } from "node:fs/promises";
import { dirname, join } from "node:path";

const { O_CREAT, O_NOFOLLOW, O_RDONLY, O_TRUNC, O_WRONLY } = constants;

/** Makes the names in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  await syncPath(path);
}

/** Replaces a file: afterwards it holds all of the bytes or, after a crash, what it held before. */
export async function writeDurably(path: string, bytes: Uint8Array, mode = 0o644): Promise<void> {
  const draft = `${path}.new`;
  const file = await open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, path);
  await syncDirectory(dirname(path));
}

/**
 * Makes a directory with all below it durable. One `sync -f` flushes its filesystem in a fraction of the time that a flush of each
 * file takes; where there is no such command, or it fails, each file is flushed, which also brings the error to light.
 */
export async function syncTree(path: string): Promise<void> {
  if (await syncFilesystem(path)) return;
  await syncEach(path);
}

function syncFilesystem(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const child = spawn("sync", ["-f", path], { stdio: "ignore" });
  child.on("error", () => resolve(false));
  child.on("exit", (code) => resolve(code === 0));
  return promise;
}

/** Exported for its test: the way for systems without `sync -f`. */
export async function syncEach(path: string): Promise<void> {
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) await syncEach(child);
    else if (entry.isFile()) await syncPath(child);
  }
  await syncDirectory(path);
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path, O_RDONLY | O_NOFOLLOW);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
