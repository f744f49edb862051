/**
 * The program that reads and writes backups, for one job. It ships beside the controller and needs none that runs; `muster` starts it, feeds it and hears how it went.
 *
 * It gets a process group of its own, so that the terminal's Ctrl-C reaches it once, through us; when we are gone it gives up and cleans up by itself.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { BackupFaultCode, BackupJob, BackupNews, BackupSummary } from "@muster/proto/backup-job.ts";
import type { CliContext } from "../context.ts";
import { CliError, EXIT, type ExitCode, interrupted } from "../errors.ts";

const PROGRAM = fileURLToPath(new URL("../../../src/backup/main.ts", import.meta.url));
/** As FILE: standard input or output. */
export const STANDARD = "-";

interface RunOptions {
  /** What a job that writes is fed with. */
  readonly feed?: (signal: AbortSignal) => AsyncIterable<Uint8Array>;
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
}

/** Undefined when nothing is known of it, since it went to standard output. Throws CliError. */
export async function runBackupJob(context: CliContext, job: BackupJob, { feed, onProgress }: RunOptions): Promise<BackupSummary | undefined> {
  const signal = context.interruption();
  const isStandard = job.file === STANDARD;
  const stdin = feed !== undefined ? "pipe" : isStandard ? "inherit" : "ignore";
  const stdout = isStandard && job.kind === "write" ? "inherit" : "ignore";
  const child = spawn(process.execPath, [PROGRAM], { cwd: context.cwd, detached: true, stdio: [stdin, stdout, "inherit", "ipc"] });
  const result = resultOf(child, onProgress);
  const ended = new AbortController();
  const giveUp = (): void => void child.kill("SIGTERM");
  signal.addEventListener("abort", giveUp, { once: true });
  if (signal.aborted) giveUp();
  try {
    child.send(job);
    const fed = feed === undefined || child.stdin === null ? undefined : fill(child.stdin, feed, ended.signal, signal);
    // What keeps the controller from going on is the reason, and not that the program was then cut off.
    fed?.catch(giveUp);
    const news = await result;
    ended.abort();
    await fed;
    if (signal.aborted) throw interrupted(signal, "interrupted; nothing was kept");
    if (news.kind === "failed") throw new CliError(news.message, { code: news.code, exit: exitFor(job, news.code) });
    return news.summary;
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}

type Result = Exclude<BackupNews, { readonly kind: "progress" }>;

async function resultOf(child: ChildProcess, onProgress: RunOptions["onProgress"]): Promise<Result> {
  let result: Result = { kind: "failed", code: "io_error", message: "the program for backups ended without a word" };
  child.on("message", (message) => {
    const news = message as BackupNews;
    if (news.kind === "progress") onProgress(news.doneBytes, news.totalBytes);
    else result = news;
  });
  await once(child, "close");
  return result;
}

/** Until all is fed or the program has ended; only what is whole is brought to its end. */
async function fill(input: Writable, feed: NonNullable<RunOptions["feed"]>, ended: AbortSignal, interruption: AbortSignal): Promise<void> {
  // It may end first, and says why.
  input.on("error", () => undefined);
  const signal = AbortSignal.any([ended, interruption]);
  for await (const piece of feed(signal)) {
    if (!input.write(piece) && !signal.aborted) await Promise.race([once(input, "drain", { signal }), once(input, "close", { signal })]).catch(() => undefined);
  }
  if (!signal.aborted) input.end();
}

function exitFor({ kind }: BackupJob, code: BackupFaultCode): ExitCode {
  switch (code) {
    case "disk_full":
    case "io_error":
    case "busy":
    case "interrupted":
      return EXIT.failed;
    case "damaged":
    case "truncated":
    case "newer":
      // Of one that is being made nobody gave us the file.
      return kind === "write" ? EXIT.failed : EXIT.badInput;
    case "wrong_passphrase":
    case "passphrase_needed":
    case "not_empty":
    case "in_use":
    case "not_found":
    case "no_permission":
    case "bad_epoch":
      return EXIT.badInput;
  }
}
