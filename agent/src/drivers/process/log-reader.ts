/**
 * Reads the output of workloads for people. Never writes.
 *
 * The two streams are two files without common times, so the beginning is the last lines of stdout and then those of stderr, half of `tailLines`
 * each (what one does not need goes to the other). New lines then come in the order in which they are seen.
 * Always holds: rotation is noticed by the new `.log.1`, and what was not read before it is read from there.
 */
import { closeSync, constants, existsSync, openSync, readSync, fstatSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { appLayout } from "../../disk/layout.ts";
import { errorCode } from "../../runner/fault.ts";
import type { LogReader } from "../../runner/ports.ts";
import { createLineSplitter, shareLines, type LineSplitter } from "./lines.ts";
import { logFile, STREAMS, type Stream } from "./rotation.ts";

export interface LogReaderOptions {
  /** The agent's directory. */
  readonly dir: string;
  readonly limits?: Partial<LogReaderLimits>;
}

export interface LogReaderLimits {
  /** How far back the last lines of a stream are looked for. */
  readonly tailBytesMax: number;
  /** Read at once of a stream that is being followed. */
  readonly pollBytesMax: number;
  readonly pollIntervalMs: number;
  /** A batch ends with the line that reaches either. */
  readonly batchLinesMax: number;
  readonly batchCharsMax: number;
}

const LOG_READER_LIMITS: LogReaderLimits = {
  tailBytesMax: 4 * 1024 * 1024,
  pollBytesMax: 1024 * 1024,
  pollIntervalMs: 250,
  batchLinesMax: 500,
  batchCharsMax: 256 * 1024,
};

type Line = { readonly stream: Stream; readonly text: string };

export function createLogReader({ dir, limits: given }: LogReaderOptions): LogReader {
  const limits = { ...LOG_READER_LIMITS, ...given };
  return {
    async *read({ app, tailLines, follow, signal }) {
      const { logsDir } = appLayout(dir, app);
      const [stdout, stderr] = STREAMS.map((stream) => createTail(logsDir, stream, tailLines, limits)) as [Tail, Tail];
      if (!stdout.exists && !stderr.exists) {
        throw new Error(`${app} has no output on this machine: none of its releases was ever started here as a process`);
      }
      const ends = follow ? [[], []] : [stdout.splitter.rest(), stderr.splitter.rest()];
      const [out, err] = [stdout, stderr].map((tail, index) => [...tail.lines, ...(ends[index] as string[])]) as [string[], string[]];
      const [outCount, errCount] = shareLines(tailLines, out.length, err.length);
      yield* batches([...lastOf(out, outCount, "stdout"), ...lastOf(err, errCount, "stderr")], limits);

      // Reading the world is synchronous here, as the last step of a rotation is: neither sees the other half done.
      while (follow && !signal.aborted && existsSync(logsDir)) {
        const news = [stdout, stderr].flatMap((tail) => tail.poll().map((text): Line => ({ stream: tail.stream, text })));
        if (news.length > 0) yield* batches(news, limits);
        else await pause(limits.pollIntervalMs, signal);
      }
    },
  };
}

interface Tail {
  readonly stream: Stream;
  readonly exists: boolean;
  readonly splitter: LineSplitter;
  /** The ended lines found at first: perhaps more than wanted. */
  readonly lines: readonly string[];
  /** The lines that have ended since. */
  poll(): string[];
}

function createTail(logsDir: string, stream: Stream, tailLines: number, limits: LogReaderLimits): Tail {
  const path = logFile(logsDir, stream);
  const rotatedPath = logFile(logsDir, stream, 1);
  const splitter = createLineSplitter();
  let rotated = inodeOf(rotatedPath);

  const sizeBytes = sizeOf(path);
  let offset = sizeBytes ?? 0;
  const parts = [readBetween(path, offset - limits.tailBytesMax, offset)];
  const newlines = parts[0]!.bytes.filter((byte) => byte === 0x0a).length;
  if (newlines < tailLines && offset < limits.tailBytesMax) {
    const rotatedBytes = sizeOf(rotatedPath) ?? 0;
    parts.unshift(readBetween(rotatedPath, rotatedBytes - (limits.tailBytesMax - offset), rotatedBytes));
  }
  const lines = parts.flatMap((part) => splitter.push(part.bytes));
  // What was cut off in front leaves half a line.
  if (parts[0]!.from > 0) lines.shift();

  return {
    stream,
    exists: sizeBytes !== undefined,
    splitter,
    lines,
    poll() {
      const pieces: Uint8Array[] = [];
      const newest = inodeOf(rotatedPath);
      if (newest !== rotated) {
        rotated = newest;
        pieces.push(readBetween(rotatedPath, offset, offset + limits.tailBytesMax).bytes);
        offset = 0;
      }
      // Shorter than what was read, without a rotation: given up for want of disk space.
      if ((sizeOf(path) ?? 0) < offset) offset = 0;
      const { bytes } = readBetween(path, offset, offset + limits.pollBytesMax);
      offset += bytes.length;
      pieces.push(bytes);
      return pieces.flatMap((piece) => splitter.push(piece));
    },
  };
}

function* batches(lines: readonly Line[], limits: LogReaderLimits): Generator<readonly Line[], void, undefined> {
  let batch: Line[] = [];
  let chars = 0;
  for (const line of lines) {
    batch.push(line);
    chars += line.text.length;
    if (batch.length < limits.batchLinesMax && chars < limits.batchCharsMax) continue;
    yield batch;
    batch = [];
    chars = 0;
  }
  if (batch.length > 0) yield batch;
}

function lastOf(lines: readonly string[], count: number, stream: Stream): readonly Line[] {
  return lines.slice(lines.length - count).map((text) => ({ stream, text }));
}

/** Empty when the file is not there. */
function readBetween(path: string, wantedFrom: number, to: number): { readonly from: number; readonly bytes: Uint8Array } {
  const from = Math.max(0, wantedFrom);
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return { from: 0, bytes: new Uint8Array() };
    throw error;
  }
  try {
    const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(to, fstatSync(fd).size) - from));
    let read = 0;
    while (read < bytes.length) {
      const count = readSync(fd, bytes, read, bytes.length - read, from + read);
      if (count === 0) break;
      read += count;
    }
    return { from, bytes: bytes.subarray(0, read) };
  } finally {
    closeSync(fd);
  }
}

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(delayMs, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
