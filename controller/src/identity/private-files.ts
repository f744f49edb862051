/**
 * Files that only the controller's own user may read: keys above all. Written whole or not at all, and never used when others could have read them.
 */
import { chmodSync, closeSync, fsyncSync, lstatSync, mkdirSync, openSync, readdirSync, renameSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";

/** Others can read what is secret, or it can't be read at all; the message says what and the way out. */
export class IdentityError extends Error {
  readonly code: "exposed" | "damaged" | "io_error";
  readonly retryable = false;

  constructor(code: IdentityError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "IdentityError";
    this.code = code;
  }
}

const OTHERS = 0o077;
const PRIVATE_DIR = 0o700;
const PRIVATE_FILE = 0o600;

export function makePrivateDir(path: string): void {
  mkdirSync(path, { recursive: true, mode: PRIVATE_DIR });
}

/** Throws IdentityError when anybody but the owner can enter the folder or read anything in it. */
export function refuseExposed(dir: string): void {
  const stat = lstatSync(dir);
  const mode = stat.mode & 0o777;
  if ((mode & OTHERS) !== 0) {
    const wanted = stat.isDirectory() ? "700" : "600";
    throw new IdentityError(
      "exposed",
      `others can read ${dir} (mode ${mode.toString(8)}), and it holds keys of the fleet: if nobody has read them, chmod ${wanted} ${dir} and start again; if somebody may have, restore from a backup or begin anew`,
    );
  }
  if (stat.isDirectory()) for (const name of readdirSync(dir)) refuseExposed(join(dir, name));
}

/** On disk when it returns: a new file with the new content takes the place of the old one. */
export function writePrivate(path: string, content: string | Uint8Array): void {
  const temporary = `${path}.tmp`;
  const file = openSync(temporary, "w", PRIVATE_FILE);
  try {
    // An older leftover keeps its own mode.
    chmodSync(temporary, PRIVATE_FILE);
    writeSync(file, typeof content === "string" ? Buffer.from(content) : content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  const folder = openSync(dirname(path), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
