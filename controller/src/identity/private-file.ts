/**
 * Files that nobody but the controller may read: its keys, and what they rest on. Replaced whole and durably; one that others can read is refused, since
 * what was readable once may be known to anybody.
 */
import { closeSync, fsyncSync, lstatSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The message names the file and the way out. */
export class PrivateFileError extends Error {
  readonly code: "exposed" | "unreadable" | "damaged";
  readonly retryable = false;

  constructor(code: PrivateFileError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "PrivateFileError";
    this.code = code;
  }
}

/** Where they stand in the controller's directory. */
export function identityDir(dir: string): string {
  return join(dir, "identity");
}

/** Undefined when there is none. Throws PrivateFileError. */
export function readPrivate(path: string): string | undefined {
  try {
    const { mode } = statSync(path);
    if ((mode & 0o077) !== 0) throw new PrivateFileError("exposed", `${path} can be read by others: take it for stolen and replace it, or, when nobody has seen it, chmod 600 it`);
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof PrivateFileError) throw error;
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw new PrivateFileError("unreadable", `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** Durable when it returns. */
export function writePrivate(path: string, text: string): void {
  const directory = dirname(path);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const draft = `${path}.new`;
  const file = openSync(draft, "w", 0o600);
  try {
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  movePrivate(draft, path);
}

/** One durable step, in one directory. */
export function movePrivate(from: string, to: string): void {
  renameSync(from, to);
  const handle = openSync(dirname(to), "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** Throws PrivateFileError when anybody but its owner can enter the folder, or read anything in it. */
export function refuseExposed(path: string): void {
  const stat = lstatSync(path);
  if (stat.isSymbolicLink()) return;
  const mode = stat.mode & 0o777;
  if ((mode & 0o077) !== 0) {
    throw new PrivateFileError(
      "exposed",
      `others can read ${path} (mode ${mode.toString(8)}), and it holds keys of the fleet: when nobody has read them, chmod ${stat.isDirectory() ? "700" : "600"} ${path} and start again; when somebody may have, take them for stolen`,
    );
  }
  if (stat.isDirectory()) for (const name of readdirSync(path)) refuseExposed(join(path, name));
}
