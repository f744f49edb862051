/**
 * The thread that reads a snapshot from a file while the controller writes it: one read transaction, and so one moment.
 */
import { parentPort, workerData } from "node:worker_threads";
import SqliteDatabase from "better-sqlite3";
import { partsOf } from "./snapshot.ts";

/** Parts that were sent and not yet written: bounds what is in memory. */
const AHEAD_MAX = 4;

const port = parentPort;
if (port !== null) send(port, workerData as { readonly path: string });

function send(to: NonNullable<typeof parentPort>, { path }: { readonly path: string }): void {
  const db = new SqliteDatabase(path, { fileMustExist: true, readonly: true });
  db.exec("BEGIN");
  const parts = partsOf(db);
  let isDone = false;
  const next = (): void => {
    if (isDone) return;
    const { value } = parts.next();
    if (value !== undefined) return to.postMessage(value);
    isDone = true;
    db.close();
    to.postMessage(null);
    to.close();
  };
  to.on("message", next);
  for (let ahead = 0; ahead < AHEAD_MAX; ahead += 1) next();
}
