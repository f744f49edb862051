/**
 * Writes a backup that comes as a stream to a file, encrypted if a passphrase is given, and reads it back before it gets its name.
 *
 * Always holds: the file of that name is the one that was there before, or the new one, whole and checked; a temporary one beside it is gone when this returns or throws.
 */
import { once } from "node:events";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { Writable } from "node:stream";
import type { BackupSummary } from "@muster/proto/backup-job.ts";
import { encrypt } from "./age.ts";
import { BackupError } from "./backup-error.ts";
import { checkBackup } from "./check-backup.ts";
import { syncFolder } from "./durable.ts";
import { Pieces } from "./pieces.ts";
import { openSource } from "./read-backup.ts";

export interface WriteOptions {
  /** The archive, not encrypted. */
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly passphrase: string | undefined;
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
  readonly signal: AbortSignal;
}

/** Throws BackupError. */
export async function writeBackup(path: string, options: WriteOptions): Promise<BackupSummary> {
  const { passphrase, onProgress, signal } = options;
  const partial = `${path}.partial`;
  try {
    // Of an earlier one that was killed.
    await rm(partial, { force: true });
    await using file = await open(partial, "wx", 0o600);
    await copy(sealed(path, options), file, signal);
    await file.sync();
    const source = { ...(await openSource(partial)), label: path };
    const summary = await checkBackup({ source, passphrase, onProgress, signal });
    await rename(partial, path);
    await syncFolder(dirname(path));
    return summary;
  } catch (cause) {
    await Promise.allSettled([rm(partial, { force: true })]);
    throw BackupError.from(cause, `write ${path}`);
  }
}

/** Nothing can be read back: whoever receives it checks it. */
export async function streamBackup(output: Writable, options: WriteOptions): Promise<void> {
  try {
    for await (const piece of sealed("standard output", options)) if (!output.write(piece)) await once(output, "drain");
    output.end();
    await once(output, "finish");
  } catch (cause) {
    throw BackupError.from(cause, "write to standard output");
  }
}

function sealed(label: string, { bytes, passphrase }: WriteOptions): AsyncIterable<Uint8Array> {
  return passphrase === undefined ? bytes : encrypt(new Pieces(label, bytes), passphrase);
}

async function copy(bytes: AsyncIterable<Uint8Array>, file: FileHandle, signal: AbortSignal): Promise<void> {
  for await (const piece of bytes) {
    if (signal.aborted) throw new BackupError("interrupted", "the backup was given up; nothing was kept");
    await file.writeFile(piece);
  }
}
