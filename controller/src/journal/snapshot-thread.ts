/**
 * The thread that reads a snapshot from a file while the controller writes it: one read transaction, and so one moment.
 *
 * Always holds: the transaction has ended before the first part is sent. As long as it lasts the write-ahead log can't be emptied, and whoever does that afterwards holds up the loop by its length: so
 * nothing is written for the snapshot meanwhile. Its parts wait in this thread, compressed: some 15 bytes for each row of the tables.
 */
import { parentPort, workerData } from "node:worker_threads";
import { openDatabase } from "./database.ts";
import { partsOf } from "./snapshot.ts";

const port = parentPort;
if (port !== null) send(port, workerData as { readonly path: string });

function send(to: NonNullable<typeof parentPort>, { path }: { readonly path: string }): void {
  const db = openDatabase(path, { fileMustExist: true, readonly: true });
  db.exec("BEGIN");
  const parts = [...partsOf(db)];
  db.close();
  const next = (): void => {
    const part = parts.shift();
    to.postMessage(part ?? null);
    if (part === undefined) to.close();
  };
  to.on("message", next);
  next();
}
