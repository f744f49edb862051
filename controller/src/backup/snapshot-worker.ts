/** The thread of snapshot.ts: copies, checks the copy, says what is in it, and ends. */
import { parentPort, workerData } from "node:worker_threads";
import type { BackupFaultCode } from "@muster/proto/backup-job.ts";
import SqliteDatabase from "better-sqlite3";
import { BackupError } from "./backup-error.ts";
import { type DatabaseContents, inspectDatabase } from "./database.ts";

export interface SnapshotOrder {
  readonly from: string;
  /** Not there yet. */
  readonly to: string;
}

export type SnapshotAnswer =
  | { readonly ok: true; readonly contents: DatabaseContents }
  | { readonly ok: false; readonly code: BackupFaultCode; readonly message: string };

parentPort?.postMessage(answer(workerData as SnapshotOrder));

function answer({ from, to }: SnapshotOrder): SnapshotAnswer {
  try {
    const db = new SqliteDatabase(from, { fileMustExist: true });
    try {
      // The copy is read once and removed: flushing it would only hold up the flushes of the journal.
      db.pragma("synchronous = OFF");
      db.prepare("VACUUM INTO ?").run(to);
    } finally {
      db.close();
    }
    return { ok: true, contents: inspectDatabase(to, from) };
  } catch (cause) {
    const { code, message } = BackupError.from(cause, `copy the database ${from}`);
    return { ok: false, code, message };
  }
}
