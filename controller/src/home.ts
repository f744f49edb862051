/**
 * The controller's directory: that it can be written, that no other controller uses it, and which ports it had before.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import SqliteDatabase from "better-sqlite3";

/** Something about the directory keeps the controller from starting; the message says what and the way out. */
export class HomeError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "HomeError";
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
    throw new HomeError(`cannot write the directory ${dir}: ${error instanceof Error ? error.message : String(error)}; choose another with --dir`, error);
  }
  const lock = new SqliteDatabase(join(dir, "controller.lock"), { timeout: 5000 });
  try {
    lock.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    lock.close();
    throw new HomeError(`another controller uses the directory ${dir}; stop it, or choose another with --dir`, error);
  }
  return { release: () => lock.close() };
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

/** Whole or not at all, for readers that look at any moment. */
export function writeJson(path: string, value: unknown): void {
  writeFileSync(`${path}.tmp`, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(`${path}.tmp`, path);
}
