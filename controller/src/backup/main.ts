/**
 * The program that reads and writes backups for the command `muster`: one job as a message from the process that started it, news and the result as messages back.
 * It needs no controller, and never speaks to one.
 *
 * Always holds: it gives up and cleans up when it is told to, or when the one that started it is gone.
 */
import assert from "node:assert";
import type { BackupJob, BackupNews, BackupSummary } from "@muster/proto/backup-job.ts";
import { BackupError } from "./backup-error.ts";
import { checkBackup } from "./check-backup.ts";
import { openSource, type Source } from "./read-backup.ts";
import { restoreBackup } from "./restore-backup.ts";
import { streamBackup, writeBackup } from "./write-backup.ts";

const STANDARD = "-";
const PROGRESS_INTERVAL_MS = 100;

const ended = new AbortController();
const giveUp = (): void => {
  ended.abort();
  // Nothing may come any more, and then nobody would look at the signal.
  process.stdin.destroy(new BackupError("interrupted", "given up; nothing was kept"));
};
// Whoever reads it hears of its faults; it may not be read yet.
process.stdin.on("error", () => undefined);
process.on("disconnect", giveUp).on("SIGTERM", giveUp).on("SIGINT", giveUp);
process.once("message", (job) => void run(job as BackupJob));

async function run(job: BackupJob): Promise<void> {
  try {
    await tell({ kind: "done", summary: await carryOut(job) });
  } catch (error) {
    if (!(error instanceof BackupError)) throw error;
    await tell({ kind: "failed", code: error.code, message: error.message });
  }
  // Standard input may still be open, and nobody reads it any more.
  process.exit(0);
}

async function carryOut(job: BackupJob): Promise<BackupSummary | undefined> {
  const { file, passphrase } = job;
  const { signal } = ended;
  const common = { passphrase, onProgress: progress(), signal };
  switch (job.kind) {
    case "write":
      if (file !== STANDARD) return writeBackup(file, { ...common, bytes: process.stdin });
      await streamBackup(process.stdout, { ...common, bytes: process.stdin });
      return undefined;
    case "check":
      return checkBackup({ ...common, source: await sourceOf(file) });
    case "restore":
      return restoreBackup({ ...common, source: await sourceOf(file), dir: job.dir, epoch: job.epoch });
  }
}

async function sourceOf(file: string): Promise<Source> {
  return file === STANDARD ? { label: "standard input", bytes: process.stdin, sizeBytes: 0 } : openSource(file);
}

function progress(): (doneBytes: number, totalBytes: number) => void {
  let toldAt = Number.NEGATIVE_INFINITY;
  return (doneBytes, totalBytes) => {
    const now = performance.now();
    if (now - toldAt < PROGRESS_INTERVAL_MS) return;
    toldAt = now;
    void tell({ kind: "progress", doneBytes, totalBytes });
  };
}

/** Resolves when it is sent, or when there is nobody to tell any more. */
function tell(news: BackupNews): Promise<void> {
  assert(process.send !== undefined, "it is started by muster, with a channel for messages");
  const { promise, resolve } = Promise.withResolvers<void>();
  if (process.connected) process.send(news, undefined, undefined, () => resolve());
  else resolve();
  return promise;
}
