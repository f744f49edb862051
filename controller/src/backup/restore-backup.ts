/**
 * Brings a controller back from a backup, into a directory that is empty or not there.
 *
 *     lock ─▶ unpack into .restoring/ and check everything ─▶ flush ─▶ move into place ─▶ remove .restoring/ = restored
 *
 * Always holds: no controller starts in the directory before the last step (half-restored.ts), and none runs in it meanwhile (its lock); killed at any moment, the same
 * restore can be run again; what fails leaves the directory as it was.
 */
import { existsSync, readdirSync } from "node:fs";
import { chmod, mkdir, readdir, rename, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import type { BackupSummary } from "@muster/proto/backup-job.ts";
import { firstAndMore } from "@muster/proto/text.ts";
import { HomeError, takeHome } from "../home.ts";
import { BackupError } from "./backup-error.ts";
import { inspectRestored, summaryOf } from "./check-backup.ts";
import { syncFolder, writeDurably } from "./durable.ts";
import { EPOCH_ENTRY, nextEpoch } from "./epoch.ts";
import { RESTORING } from "./half-restored.ts";
import { readBackup, type ReadOptions } from "./read-backup.ts";

export interface RestoreOptions extends Omit<ReadOptions, "keep"> {
  readonly dir: string;
  /** Undefined: the one after the backup's. */
  readonly epoch: number | undefined;
}

/** What taking a directory leaves in it. */
const OF_THE_LOCK = ["controller.lock", "controller.lock-journal", ".writable"];

/** Throws BackupError. */
export async function restoreBackup(options: RestoreOptions): Promise<BackupSummary> {
  const { dir } = options;
  const isNew = !existsSync(dir);
  let home: { release(): void } | undefined;
  try {
    const found = entriesOf(dir);
    home = lock(dir, found);
    await clear(dir);
    const summary = await restore(options);
    home.release();
    return summary;
  } catch (cause) {
    if (home !== undefined) await undo(dir, isNew, home);
    throw BackupError.from(cause, `restore into ${dir}`);
  }
}

async function restore({ dir, epoch: wanted, ...reading }: RestoreOptions): Promise<BackupSummary> {
  const staging = join(dir, RESTORING);
  await chmod(dir, 0o700);
  await mkdir(staging, { mode: 0o700 });
  await syncFolder(dir);
  let former = "";
  const read = await readBackup({
    ...reading,
    keep: async ({ name, content }) => {
      if (name !== EPOCH_ENTRY) return writeDurably(staging, name, content);
      for await (const piece of content) former += piece.toString("utf8");
    },
  });
  const contents = inspectRestored(staging, read, reading.source.label);
  const epoch = nextEpoch(Math.max(read.header.epoch, Number(former)), wanted);
  await writeDurably(staging, EPOCH_ENTRY, [Buffer.from(`${epoch}\n`)]);
  await syncTree(staging);
  for (const name of await readdir(staging)) await rename(join(staging, name), join(dir, name));
  await syncFolder(dir);
  await rmdir(staging);
  await syncFolder(dir);
  return { ...summaryOf(read, contents), epoch };
}

function entriesOf(dir: string): readonly string[] {
  try {
    return existsSync(dir) ? readdirSync(dir) : [];
  } catch (cause) {
    throw BackupError.from(cause, `look into ${dir}`);
  }
}

/** Refuses a directory that holds something, unless it is of a restore that was killed. */
function lock(dir: string, found: readonly string[]): { release(): void } {
  const others = found.filter((name) => !OF_THE_LOCK.includes(name));
  const isEmpty = others.length === 0 || others.includes(RESTORING);
  try {
    // A directory that is in use is known by its lock; one that holds something else is not touched at all.
    const home = isEmpty || found.includes("controller.lock") ? takeHome(dir) : undefined;
    if (isEmpty && home !== undefined) return home;
    home?.release();
  } catch (cause) {
    if (!(cause instanceof HomeError)) throw cause;
    if (cause.code === "in_use") throw new BackupError("in_use", `a controller runs in ${dir}, or another restore is at work there; stop it and move the directory away, or choose another --dir`, cause);
    throw new BackupError("no_permission", cause.message, cause);
  }
  throw new BackupError("not_empty", `${dir} is not empty (${firstAndMore(others, 3)}), and nothing is overwritten; move it away, for example to ${dir}.old, or choose another --dir`);
}

/** Of a restore that was killed: the directory was empty before it. */
async function clear(dir: string): Promise<void> {
  const left = (await readdir(dir)).filter((name) => !OF_THE_LOCK.includes(name) && name !== RESTORING);
  for (const name of left) await rm(join(dir, name), { recursive: true, force: true });
  // Last: as long as it is there no controller starts here.
  await rm(join(dir, RESTORING), { recursive: true, force: true });
}

async function undo(dir: string, isNew: boolean, home: { release(): void }): Promise<void> {
  await Promise.allSettled([clear(dir)]);
  home.release();
  await Promise.allSettled(OF_THE_LOCK.map((name) => rm(join(dir, name), { force: true })));
  if (isNew) await Promise.allSettled([rmdir(dir)]);
}

/** Folders, so that the names in them last; the files were flushed as they were written. */
async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) if (entry.isDirectory()) await syncTree(join(folder, entry.name));
  await syncFolder(folder);
}
