/**
 * The thread that moves what was committed from the write-ahead log into the database file, so that no commit has to.
 *
 * That is done when enough has come together, and while others write. Whoever writes begins the log anew when all of it was moved: so a log that has become long is moved in rounds, of which each has to move
 * only what was written during the one before.
 */
import { parentPort, workerData } from "node:worker_threads";
import { openDatabase } from "./database.ts";

/** Between two looks. */
const LOOK_MS = 250;
/** Of 4 KiB each, as SQLite itself does it. */
const PAGES_ENOUGH = 1_000;
const PAGES_MANY = 16_000;
const ROUNDS_MAX = 8;

interface Log {
  /** Pages in the log. */
  readonly log: number;
  /** Of these, moved. */
  readonly checkpointed: number;
}

const { path } = workerData as { readonly path: string };
// It never waits for others: it looks again.
const db = openDatabase(path, { fileMustExist: true, timeout: 0 });

function look(): void {
  try {
    let { log, checkpointed } = checkpoint("NOOP");
    if (log < PAGES_MANY && log - checkpointed < PAGES_ENOUGH) return;
    for (let round = 0; round < ROUNDS_MAX && checkpointed < log; round += 1) ({ log, checkpointed } = checkpoint("PASSIVE"));
  } catch {
    // Whoever writes meets the same fault, as that the disk is full, and says so. What is in the log stays there until it is over.
  }
}

function checkpoint(mode: "NOOP" | "PASSIVE"): Log {
  const [log] = db.pragma(`wal_checkpoint(${mode})`) as [Log];
  return log;
}

const timer = setInterval(look, LOOK_MS);
parentPort?.once("message", () => {
  clearInterval(timer);
  db.close();
});
