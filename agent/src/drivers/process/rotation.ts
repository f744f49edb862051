/**
 * Keeps the output files of workloads small: `stdout.log` → `.1` → `.2` → `.3` → gone.
 *
 * A workload writes into its file itself, so that its output survives the agent; the agent therefore cannot change the file under it, but
 * copies it and then truncates it. Most is copied while the workload writes on; the last step (copy the rest, rename, truncate) happens in one
 * turn of the event loop, so the log reader never sees half of it. Lost is what a workload writes in the microseconds between the last read and the
 * truncation, and, of a file that grew beyond twice the limit between two checks, all but the newest. An agent killed just before the
 * truncation leaves the same lines twice.
 */
import { constants, ftruncateSync, readSync, renameSync, rmSync, writeSync } from "node:fs";
import { open, readdir, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { parseAppName } from "@muster/proto/ids.ts";
import type { Logger } from "pino";
import { appLayout, appsDir } from "../../disk/layout.ts";
import { errorCode } from "../../runner/fault.ts";

export const STREAMS = ["stdout", "stderr"] as const;
export type Stream = (typeof STREAMS)[number];

export interface RotationLimits {
  /** A file that is longer is rotated at the next check. */
  readonly fileBytesMax: number;
  /** Old files kept beside the one that is written to. */
  readonly rotatedKept: number;
  readonly checkIntervalMs: number;
}

export const ROTATION_LIMITS: RotationLimits = { fileBytesMax: 10 * 1024 * 1024, rotatedKept: 3, checkIntervalMs: 5_000 };

const COPY_BYTES = 1024 * 1024;
/** What one turn of the event loop may copy: a workload that writes faster than we read must not hold it. */
const LAST_COPY_BYTES_MAX = 4 * COPY_BYTES;

/** `age` 0 is the file that is written to. */
export function logFile(logsDir: string, stream: Stream, age = 0): string {
  return join(logsDir, age === 0 ? `${stream}.log` : `${stream}.log.${age}`);
}

/** Checks the files of all apps, now and then again and again. Needs no word of which workloads run: adopted ones write too. */
export function startRotation(dir: string, limits: RotationLimits, logger: Logger): { stop(): void } {
  let isRunning = false;
  const check = async (): Promise<void> => {
    if (isRunning) return;
    isRunning = true;
    try {
      for (const app of await appsIn(dir)) {
        for (const stream of STREAMS) await rotateIfLarge(appLayout(dir, app).logsDir, stream, limits);
      }
    } catch (error) {
      logger.warn({ err: error }, "log files not rotated");
    } finally {
      isRunning = false;
    }
  };
  const timer = setInterval(() => void check(), limits.checkIntervalMs).unref();
  void check();
  return { stop: () => clearInterval(timer) };
}

export async function rotateIfLarge(logsDir: string, stream: Stream, limits: RotationLimits): Promise<void> {
  const path = logFile(logsDir, stream);
  const file = await openIfThere(path);
  if (file === undefined) return;
  try {
    const { size } = await file.stat();
    if (size <= limits.fileBytesMax) return;
    const draft = `${path}.new`;
    try {
      await copyTo(draft, file, size > 2 * limits.fileBytesMax ? size - limits.fileBytesMax : 0, size, () => {
        for (let age = limits.rotatedKept; age > 1; age -= 1) renameIfThere(logFile(logsDir, stream, age - 1), logFile(logsDir, stream, age));
        renameSync(draft, logFile(logsDir, stream, 1));
        ftruncateSync(file.fd, 0);
      });
    } catch (error) {
      if (errorCode(error) !== "ENOSPC" && errorCode(error) !== "EDQUOT") throw error;
      // No room for a copy. Output must not fill the disk that the releases need, so it is given up.
      rmSync(draft, { force: true });
      ftruncateSync(file.fd, 0);
    }
  } finally {
    await file.close();
  }
}

/** `finish` runs in the same turn as the last copying. */
async function copyTo(draft: string, file: FileHandle, from: number, until: number, finish: () => void): Promise<void> {
  const buffer = Buffer.allocUnsafe(COPY_BYTES);
  const copy = await open(draft, "w", 0o640);
  try {
    let at = from;
    while (at < until) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) break;
      await copy.writeFile(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
    for (let rest = 0; rest < LAST_COPY_BYTES_MAX; ) {
      const bytesRead = readSync(file.fd, buffer, 0, buffer.length, at);
      if (bytesRead === 0) break;
      for (let written = 0; written < bytesRead; ) written += writeSync(copy.fd, buffer, written, bytesRead - written);
      at += bytesRead;
      rest += bytesRead;
    }
    finish();
  } finally {
    await copy.close();
  }
}

async function appsIn(dir: string): Promise<readonly string[]> {
  try {
    return (await readdir(appsDir(dir))).filter((name) => parseAppName(name) !== undefined);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDWR | constants.O_NOFOLLOW);
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return undefined;
    throw error;
  }
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}
