/**
 * Starts the thread that empties the write-ahead log (checkpoint-thread.ts). Without it the commit that finds the log long does so, and holds the loop up for as long as that takes.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { Logger } from "pino";
import type { Journal } from "./journal.ts";

/** SQLite's own, in pages of 4 KiB. */
const PAGES_BY_COMMIT = 1_000;
/** 512 MiB: more than the thread ever leaves, unless it can't run. */
const PAGES_AT_MOST = 131_072;

/** `path`: of the journal's file. Returns a function that ends the thread, to be called before the journal is closed. */
export function checkpointsBeside({ db, log }: Journal, path: string, logger: Logger): () => Promise<void> {
  const commitsDoIt = (isSo: boolean): unknown => db.pragma(`wal_autocheckpoint = ${isSo ? PAGES_BY_COMMIT : PAGES_AT_MOST}`);
  const thread = new Worker(new URL("./checkpoint-thread.ts", import.meta.url), { workerData: { path } });
  const ended = once(thread, "exit").catch(() => {});
  thread.on("message", (isLong: boolean) => {
    log.isLong = isLong;
  });
  thread.on("exit", () => {
    log.isLong = false;
  });
  thread.on("error", (error) => {
    logger.warn({ err: error }, "the thread that empties the write-ahead log ended; commits do it themselves, and take longer");
    if (db.open) commitsDoIt(true);
  });
  commitsDoIt(false);
  return async () => {
    thread.postMessage("stop");
    await ended;
  };
}
