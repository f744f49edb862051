/**
 * The thread that moves what was committed from the write-ahead log into the database file, so that no commit has to.
 *
 * That is done when enough has come together, and while others write. Whoever writes begins the log anew when all of it was moved: so a log that has become long is moved in rounds, of which each has to move
 * only what was written during the one before; and when that is not enough, those who have much to write are told to wait.
 */
import { parentPort, workerData } from "node:worker_threads";
import { openDatabase } from "./database.ts";

/** Between two looks. */
const LOOK_MS = 250;
/** Of 4 KiB each, as SQLite itself does it. */
const PAGES_ENOUGH = 1_000;
const PAGES_MANY = 16_000;
/** More than is moved without making others wait. */
const PAGES_TOO_MANY = 24_000;
const ROUNDS_MAX = 8;

const { path } = workerData as { readonly path: string };
// It never waits for others: it looks again.
const db = openDatabase(path, { fileMustExist: true, timeout: 0 });

function look(): void {
  try {
    const { log, left } = length();
    say(log >= PAGES_TOO_MANY && left > 0);
    if (left >= PAGES_ENOUGH || (log >= PAGES_MANY && left > 0)) move();
  } catch {
    // Whoever writes meets the same fault, as that the disk is full, and says so. What is in the log stays there until it is over.
  } finally {
    say(false);
  }
}

/** As much as can be: whoever reads for long holds it up, and whoever writes little but often may. */
function move(): void {
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    db.pragma("wal_checkpoint(PASSIVE)");
    const { log, left } = length();
    if (left === 0) return;
    say(log >= PAGES_MANY);
  }
}

/** Pages in the log, and of these, left to be moved. What a checkpoint itself answers is how it was when it began. */
function length(): { readonly log: number; readonly left: number } {
  const [{ log, checkpointed }] = db.pragma("wal_checkpoint(NOOP)") as [{ readonly log: number; readonly checkpointed: number }];
  return { log, left: log - checkpointed };
}

let isLong = false;
function say(isLongNow: boolean): void {
  if (isLongNow !== isLong) parentPort?.postMessage(isLongNow);
  isLong = isLongNow;
}

const timer = setInterval(look, LOOK_MS);
parentPort?.once("message", () => {
  clearInterval(timer);
  db.close();
});
