/**
 * What of the controller's directory a backup holds, and how its entries are called: as the files themselves, relative to the directory.
 *
 * Left out is what belongs to a run and not to the controller: locks, the process's addresses, logs, and what is being received or removed.
 */
import { type Dirent, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { BackupError } from "./backup-error.ts";
import { isArchivable } from "./tar.ts";

/** First entry: what the archive is. */
export const HEADER_ENTRY = "muster-backup.json";
/** Last entry: the checksums of all before it, as `sha256sum --check` reads them. */
export const SUMS_ENTRY = "SHA256SUMS";
export const DATABASE_ENTRY = "muster.db";
export const FORMAT_VERSION = 1;

/** A newer format changes the number; a program that does not know it reads no further. */
export const headerShape = z.object({
  formatVersion: z.int().positive(),
  madeBy: z.string(),
  createdAt: z.int().nonnegative(),
  epoch: z.int().nonnegative(),
  withArtifacts: z.boolean(),
});
export type BackupHeader = z.infer<typeof headerShape>;

/** Read whole into memory, twice: keys, certificates, ports. */
const SMALL_FILES = ["ports.json"];
const SMALL_FOLDERS = ["identity", "nats"];
const OF_A_RUN = /^nats\/(nats-server\.(conf|log|pid)|.*\.log(\..*)?)$|\.tmp$|\.sock$/;
/** A hundred times what keys and accounts need; more is something else that was put there. */
const SMALL_BYTES_MAX = 64 * 1024 * 1024;

/** By entry name. One turn of the loop: nothing of this process can write in between. */
export function readSmallFiles(dir: string): ReadonlyMap<string, Buffer> {
  const found = new Map<string, Buffer>();
  let sizeBytes = 0;
  const names = [...SMALL_FILES, ...SMALL_FOLDERS.flatMap((folder) => filesBelow(dir, folder))];
  for (const name of names.filter((each) => !OF_A_RUN.test(each)).sort()) {
    const content = readIfThere(join(dir, name));
    if (content === undefined) continue;
    if (!isArchivable(name)) throw new BackupError("io_error", `${join(dir, name)} can't be kept in a backup: its name is too long or unusual; move it away`);
    sizeBytes += content.length;
    if (sizeBytes > SMALL_BYTES_MAX) throw new BackupError("io_error", `${SMALL_FOLDERS.join("/ and ")}/ in ${dir} hold more than keys: over ${SMALL_BYTES_MAX} bytes; move away what does not belong there`);
    found.set(name, content);
  }
  return found;
}

export function sameFiles(one: ReadonlyMap<string, Buffer>, other: ReadonlyMap<string, Buffer>): boolean {
  return one.size === other.size && [...one].every(([name, content]) => other.get(name)?.equals(content) === true);
}

export function artifactEntries(digest: string): readonly [manifest: string, pack: string] {
  return [`artifacts/${digest}/manifest`, `artifacts/${digest}/pack`];
}

export function archiveEntry(name: string): string {
  return `archive/${name}`;
}

function filesBelow(dir: string, folder: string): readonly string[] {
  let entries: Dirent[];
  try {
    entries = readdirSync(join(dir, folder), { withFileTypes: true });
  } catch (cause) {
    if (isMissing(cause)) return [];
    throw cause;
  }
  return entries.flatMap((entry) => {
    const name = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return filesBelow(dir, name);
    return entry.isFile() ? [name] : [];
  });
}

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw cause;
  }
}

export function isMissing(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && cause.code === "ENOENT";
}
