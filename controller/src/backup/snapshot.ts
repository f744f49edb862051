/**
 * A consistent copy of the database while the controller writes it, made by a thread of its own: the loop is not held up, and writers are not (WAL).
 *
 * `VACUUM INTO` reads in one transaction and copies what is there and nothing else: what was deleted, as a credential, is not in the copy.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { BackupError } from "./backup-error.ts";
import type { DatabaseContents } from "./database.ts";
import type { SnapshotAnswer, SnapshotOrder } from "./snapshot-worker.ts";

/** Checked, too. Throws BackupError; then nothing is left at `to`. */
export async function snapshotDatabase(order: SnapshotOrder, signal: AbortSignal): Promise<DatabaseContents> {
  const worker = new Worker(new URL("./snapshot-worker.ts", import.meta.url), { workerData: order });
  const stop = (): void => void worker.terminate();
  signal.addEventListener("abort", stop, { once: true });
  try {
    // When the signal comes first, the thread ends without a word.
    const answer = await Promise.race([once(worker, "message"), once(worker, "exit")]);
    const [said] = answer as [SnapshotAnswer | number];
    if (typeof said === "number") throw new BackupError("interrupted", "the backup was given up");
    if (said.ok) return said.contents;
    throw new BackupError(said.code, said.message);
  } catch (cause) {
    throw BackupError.from(cause, `copy the database ${order.from}`);
  } finally {
    signal.removeEventListener("abort", stop);
    await worker.terminate();
  }
}
