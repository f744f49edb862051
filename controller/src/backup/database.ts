/**
 * The database as it lies in a backup: whether it is sound and of a known version, and what is in it. Synchronous and slow with a large one: never in the controller's own loop.
 */
import type { MissingArtifact } from "@muster/proto/backup-job.ts";
import SqliteDatabase, { type Database } from "better-sqlite3";
import { JOURNAL_VERSION } from "../journal/schema.ts";
import { BackupError } from "./backup-error.ts";

export interface DatabaseContents {
  readonly journalSeq: number;
  readonly machines: number;
  readonly deployments: number;
  readonly artifacts: readonly MissingArtifact[];
  /** Files of the journal's archive, as long as this database knows them. */
  readonly archive: readonly ArchiveFile[];
}

export interface ArchiveFile {
  /** Within `archive/`. */
  readonly name: string;
  readonly sizeBytes: number;
}

/** `label` is what the database is of. Throws BackupError. */
export function inspectDatabase(path: string, label: string): DatabaseContents {
  let db: Database | undefined;
  try {
    db = new SqliteDatabase(path, { fileMustExist: true, readonly: true });
    const found = db.pragma("integrity_check(1)", { simple: true }) as string;
    if (found !== "ok") throw unsound(label, found);
    const version = Number(count(db, "SELECT value FROM meta WHERE key = 'journal_version'"));
    if (version > JOURNAL_VERSION) throw new BackupError("newer", `${label} is of a newer Muster: its journal has version ${version}, and this one knows ${JOURNAL_VERSION}; restore it with that Muster`);
    const artifacts = db
      .prepare(
        `SELECT digest, (SELECT json_group_array(r.id ORDER BY r.created_at DESC) FROM releases r WHERE r.artifact = a.digest) AS releases FROM artifacts a ORDER BY digest`,
      )
      .all() as { readonly digest: string; readonly releases: string }[];
    return {
      journalSeq: count(db, "SELECT coalesce(max(seq), 0) FROM journal"),
      machines: count(db, "SELECT count(*) FROM machines"),
      deployments: count(db, "SELECT count(*) FROM deployments"),
      archive: db.prepare("SELECT file AS name, max(offset + size_bytes) AS sizeBytes FROM archive_frames GROUP BY file ORDER BY file").all() as ArchiveFile[],
      artifacts: artifacts.map(({ digest, releases }) => ({ digest, releases: JSON.parse(releases) as string[] })),
    };
  } catch (cause) {
    if (cause instanceof SqliteDatabase.SqliteError && !cause.code.startsWith("SQLITE_IOERR")) throw unsound(label, cause.message, cause);
    throw BackupError.from(cause, `read the database of ${label}`);
  } finally {
    db?.close();
  }
}

function count(db: Database, sql: string): number {
  return db.prepare(sql).pluck().get() as number;
}

function unsound(label: string, what: string, cause?: unknown): BackupError {
  return new BackupError("damaged", `the database of ${label} is damaged (${what}); use another copy of it`, cause);
}
