/**
 * Makes a backup of a running controller, as a stream: what it is, the database, the keys and settings, the archive of the journal, the artifacts, and the checksums of it all.
 *
 * Always holds: the database and the files beside it are of one moment; artifacts are those that the database knows. At most one copy of the database is on the disk,
 * in a folder of its own that is gone afterwards, or at the next backup.
 */
import { createHash } from "node:crypto";
import { mkdir, open, rm, stat, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import packageJson from "../../package.json" with { type: "json" };
import { BackupError } from "./backup-error.ts";
import { archiveEntry, artifactEntries, type BackupHeader, DATABASE_ENTRY, FORMAT_VERSION, HEADER_ENTRY, isMissing, readSmallFiles, sameFiles, SUMS_ENTRY } from "./contents.ts";
import type { ArchiveFile, DatabaseContents } from "./database.ts";
import { readEpoch } from "../identity/epoch.ts";
import { snapshotDatabase } from "./snapshot.ts";
import { endOfArchive, headerOf, paddingOf } from "./tar.ts";

export interface MakeOptions {
  /** The controller's. */
  readonly dir: string;
  readonly withArtifacts: boolean;
  readonly now: () => number;
  readonly signal: AbortSignal;
}

export interface Backup {
  /** About. */
  readonly totalBytes: number;
  readonly pieces: AsyncIterable<Buffer>;
  /** Removes what it needed. */
  close(): Promise<void>;
}

/** Keys change seldom, and within milliseconds. */
const ATTEMPTS_MAX = 3;
/** Of the files; a message of the API holds 1 MiB. */
const PIECE_BYTES = 256 * 1024;
const SCRATCH = ".backup";

/** Throws BackupError, and then nothing is left. */
export async function makeBackup(options: MakeOptions): Promise<Backup> {
  const { dir, withArtifacts, signal } = options;
  const scratch = join(dir, SCRATCH);
  const close = (): Promise<void> => rm(scratch, { recursive: true, force: true });
  try {
    await close();
    await mkdir(scratch, { mode: 0o700 });
    const snapshot = join(scratch, DATABASE_ENTRY);
    const { files, contents } = await copyOfOneMoment(dir, snapshot, signal);
    const digests = withArtifacts ? contents.artifacts.map(({ digest }) => digest) : [];
    const archive = new Archive({ files, snapshot, dir, digests, steps: contents.archive, header: headerFor(options), madeAt: options.now() });
    const totalBytes = await totalOf([snapshot, ...contents.archive.map(({ name }) => join(dir, archiveEntry(name))), ...digests.flatMap((digest) => artifactEntries(digest).map((name) => join(dir, name)))]);
    return { totalBytes, pieces: inPieces(archive.bytes()), close };
  } catch (cause) {
    await close();
    throw BackupError.from(cause, `make a backup of ${dir}`);
  }
}

function headerFor({ dir, withArtifacts, now }: MakeOptions): BackupHeader {
  return { formatVersion: FORMAT_VERSION, madeBy: packageJson.version, createdAt: now(), epoch: readEpoch(dir).number, withArtifacts };
}

/** The files beside the database are read before and after it: when they are the same, they were so all the while. */
async function copyOfOneMoment(dir: string, snapshot: string, signal: AbortSignal): Promise<{ files: ReadonlyMap<string, Buffer>; contents: DatabaseContents }> {
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
    await rm(snapshot, { force: true });
    const files = readSmallFiles(dir);
    const contents = await snapshotDatabase({ from: join(dir, DATABASE_ENTRY), to: snapshot }, signal);
    if (sameFiles(files, readSmallFiles(dir))) return { files, contents };
  }
  throw new BackupError("busy", `the keys in ${dir} are being changed; try again when that is done`);
}

interface Parts {
  readonly dir: string;
  readonly snapshot: string;
  readonly files: ReadonlyMap<string, Buffer>;
  readonly digests: readonly string[];
  readonly steps: readonly ArchiveFile[];
  readonly header: BackupHeader;
  readonly madeAt: number;
}

class Archive {
  readonly #parts: Parts;
  readonly #sums: string[] = [];

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async *bytes(): AsyncGenerator<Buffer> {
    const { dir, snapshot, files, digests, steps, header } = this.#parts;
    yield* this.#inline(HEADER_ENTRY, Buffer.from(`${JSON.stringify(header, null, 2)}\n`));
    await using database = await open(snapshot, "r");
    yield* this.#file(DATABASE_ENTRY, database);
    for (const [name, content] of files) yield* this.#inline(name, content);
    for (const { name, sizeBytes } of steps) {
      await using file = await openIfThere(join(dir, archiveEntry(name)));
      // What was appended since the database was copied is not of that moment; what is missing is named by whoever reads the backup.
      if (file !== undefined && (await file.stat()).size >= sizeBytes) yield* this.#file(archiveEntry(name), file, sizeBytes);
    }
    for (const digest of digests) {
      const [manifest, pack] = artifactEntries(digest);
      // Once both are open they can be removed and still be read: whole or not at all.
      await using manifestFile = await openIfThere(join(dir, manifest));
      await using packFile = await openIfThere(join(dir, pack));
      if (manifestFile === undefined || packFile === undefined) continue;
      yield* this.#file(manifest, manifestFile);
      yield* this.#file(pack, packFile);
    }
    yield* this.#inline(SUMS_ENTRY, Buffer.from(this.#sums.join("")));
    yield endOfArchive();
  }

  async *#inline(name: string, content: Buffer): AsyncGenerator<Buffer> {
    yield headerOf(name, content.length, this.#parts.madeAt);
    yield content;
    yield paddingOf(content.length);
    this.#sums.push(`${createHash("sha256").update(content).digest("hex")}  ${name}\n`);
  }

  /** `most`: only its beginning. */
  async *#file(name: string, file: FileHandle, most = Infinity): AsyncGenerator<Buffer> {
    const { size: whole, mtimeMs } = await file.stat();
    const size = Math.min(whole, most);
    yield headerOf(name, size, mtimeMs);
    const hash = createHash("sha256");
    for (let at = 0; at < size; ) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(Math.min(PIECE_BYTES, size - at)), 0, undefined, at);
      if (bytesRead === 0) throw new BackupError("io_error", `${name} became shorter while it was read`);
      const piece = buffer.subarray(0, bytesRead);
      hash.update(piece);
      yield piece;
      at += bytesRead;
    }
    yield paddingOf(size);
    this.#sums.push(`${hash.digest("hex")}  ${name}\n`);
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r");
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw cause;
  }
}

async function totalOf(paths: readonly string[]): Promise<number> {
  let total = 0;
  for (const path of paths) {
    try {
      total += (await stat(path)).size;
    } catch (cause) {
      if (!isMissing(cause)) throw cause;
    }
  }
  return total;
}

/** Small ones together. */
async function* inPieces(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  for await (const piece of bytes) {
    held.push(piece);
    heldBytes += piece.length;
    if (heldBytes < PIECE_BYTES) continue;
    yield Buffer.concat(held, heldBytes);
    held = [];
    heldBytes = 0;
  }
  if (heldBytes > 0) yield Buffer.concat(held, heldBytes);
}
