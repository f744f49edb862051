/**
 * Checks a backup without restoring it: every byte, and the database as a database. That one is laid into a folder of its own meanwhile, readable by nobody else.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BackupSummary } from "@muster/proto/backup-job.ts";
import { BackupError } from "./backup-error.ts";
import { archiveEntry, artifactEntries, DATABASE_ENTRY } from "./contents.ts";
import { type DatabaseContents, inspectDatabase } from "./database.ts";
import { writeDurably } from "./durable.ts";
import { type ReadBackup, readBackup, type ReadOptions } from "./read-backup.ts";
import { damaged } from "./tar.ts";

export type CheckOptions = Omit<ReadOptions, "keep">;

/** Throws BackupError. */
export async function checkBackup(options: CheckOptions): Promise<BackupSummary> {
  const { label } = options.source;
  let scratch: string | undefined;
  try {
    const folder = (scratch = await mkdtemp(join(tmpdir(), "muster-backup-")));
    const read = await readBackup({
      ...options,
      keep: async ({ name, content }) => {
        if (name === DATABASE_ENTRY) return writeDurably(folder, name, content);
        for await (const _ of content) continue;
      },
    });
    return summaryOf(read, inspectRestored(folder, read, label));
  } catch (cause) {
    throw BackupError.from(cause, `check ${label}`);
  } finally {
    if (scratch !== undefined) await rm(scratch, { recursive: true, force: true });
  }
}

/** The database, once it lies in `folder`. */
export function inspectRestored(folder: string, { entries }: ReadBackup, label: string): DatabaseContents {
  if (!entries.has(DATABASE_ENTRY)) throw damaged(label, "there is no database in it");
  return inspectDatabase(join(folder, DATABASE_ENTRY), label);
}

export function summaryOf({ header, isEncrypted, sizeBytes, entries }: ReadBackup, { artifacts, archive, ...counts }: DatabaseContents): BackupSummary {
  const missingArtifacts = artifacts.filter(({ digest }) => artifactEntries(digest).some((name) => !entries.has(name)));
  const missingArchive = archive.map(({ name }) => name).filter((name) => !entries.has(archiveEntry(name)));
  const { madeBy, createdAt, epoch } = header;
  return { madeBy, createdAt, epoch, isEncrypted, sizeBytes, ...counts, artifacts: artifacts.length - missingArtifacts.length, missingArtifacts, missingArchive };
}
