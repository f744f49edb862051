/**
 * The controller's directory: that it can be written, that no other controller uses it, and which ports it had before.
 */
import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import SqliteDatabase, { type Database } from "better-sqlite3";

/** Something about the directory keeps the controller from starting; the message says what and the way out. */
export class HomeError extends Error {
  readonly code: "unusable" | "in_use";
  readonly retryable = false;

  constructor(code: "unusable" | "in_use", message: string, cause: unknown) {
    super(message, { cause });
    this.name = "HomeError";
    this.code = code;
  }
}

export interface RememberedPorts {
  readonly grpc: number;
  readonly http: number;
}

/**
 * Makes the directory and takes it for this process, until it ends in whatever way: the lock is the kernel's, held through SQLite.
 * Throws HomeError.
 */
export function takeHome(dir: string): { release(): void } {
  try {
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, ".writable"), "");
  } catch (error) {
    throw unusable(dir, error);
  }
  let lock: Database;
  try {
    lock = new SqliteDatabase(join(dir, "controller.lock"), { timeout: 5000 });
  } catch (error) {
    throw unusable(dir, error);
  }
  try {
    lock.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    lock.close();
    if (codeOf(error) !== "SQLITE_BUSY") throw unusable(dir, error);
    throw new HomeError("in_use", `another controller uses the directory ${dir}; stop it, or choose another with --dir`, error);
  }
  return { release: () => lock.close() };
}

function unusable(dir: string, error: unknown): HomeError {
  return new HomeError("unusable", `the directory ${dir} can't be used: ${whyUnusable(error)}; choose another with --dir`, error);
}

function whyUnusable(error: unknown): string {
  switch (codeOf(error)) {
    case "EEXIST":
    case "ENOTDIR":
      return "a file is in its place, or in the place of a folder above it";
    case "EROFS":
      return "the disk is read-only";
    case "EACCES":
    case "EPERM":
      return "there is no permission to write it";
    case "ENOSPC":
    case "SQLITE_FULL":
      return "the disk is full";
    case "ENOENT":
      return "it is not there and can't be made, as on a read-only disk";
    default:
      return error instanceof Error ? error.message : String(error);
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

/** The ports of an earlier start, so that agents find the controller again; 0: none yet. */
export function rememberedPorts(dir: string): RememberedPorts {
  try {
    const { grpc, http } = JSON.parse(readFileSync(join(dir, "ports.json"), "utf8")) as Partial<RememberedPorts>;
    return { grpc: Number.isInteger(grpc) ? grpc! : 0, http: Number.isInteger(http) ? http! : 0 };
  } catch {
    return { grpc: 0, http: 0 };
  }
}

export function rememberPorts(dir: string, ports: RememberedPorts): void {
  writeJson(join(dir, "ports.json"), ports);
}

/** Paths of unix sockets have at most 107 bytes; a directory that is too deep gets its socket elsewhere, in a folder of its own. */
const SOCKET_PATH_BYTES_MAX = 107;

/** Where operators of this machine reach the controller; nobody but the controller's own user can. */
export function socketPathOf(dir: string): string {
  const path = join(dir, "operators.sock");
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return path;
  const folder = join(tmpdir(), `muster-${createHash("sha256").update(dir).digest("hex").slice(0, 16)}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { uid, mode } = lstatSync(folder);
  if (uid !== process.getuid?.() || (mode & 0o077) !== 0) throw new HomeError("unusable", `${folder} belongs to somebody else, and the socket for operators must lie there since the path of ${dir} is too long; remove it, or choose a shorter directory with --dir`, undefined);
  return join(folder, "operators.sock");
}

/** Whole or not at all, for readers that look at any moment. */
export function writeJson(path: string, value: unknown): void {
  writeFileSync(`${path}.tmp`, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(`${path}.tmp`, path);
}
