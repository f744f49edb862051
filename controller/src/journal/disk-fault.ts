/**
 * What SQLite says when the disk, the file or the machine does not let it read or write: everybody's fault, for as long as it lasts. All else that it refuses, a row that breaks a constraint say, is a bug of whoever asked.
 */
import SqliteDatabase from "better-sqlite3";

/** Each with all of its extended codes. CORRUPT and NOTADB: what is in the file can't be trusted any more. */
const CODES = ["BUSY", "CANTOPEN", "CORRUPT", "FULL", "IOERR", "LOCKED", "NOLFS", "NOMEM", "NOTADB", "PERM", "PROTOCOL", "READONLY"] as const;

/** A fault of the database: the disk is full, the file can't be read, another process holds it. */
export class JournalError extends Error {
  readonly code: string;
  /** True when the same call may go through later, as after a full disk. */
  readonly retryable: boolean;

  constructor(code: string, message: string, cause: unknown) {
    super(message, { cause });
    this.name = "JournalError";
    this.code = code;
    this.retryable = code === "SQLITE_FULL" || code === "SQLITE_BUSY" || code.startsWith("SQLITE_IOERR");
  }

  static from(error: unknown, doing: string): JournalError {
    if (error instanceof JournalError) return error;
    const code = error instanceof SqliteDatabase.SqliteError ? error.code : "UNKNOWN";
    const detail = error instanceof Error ? error.message : String(error);
    return new JournalError(code, `${doing}: ${detail}${wayOut(code)}`, error);
  }
}

export function isFaultOfDisk(error: unknown): boolean {
  if (error instanceof JournalError) return true;
  return error instanceof SqliteDatabase.SqliteError && CODES.some((code) => error.code === `SQLITE_${code}` || error.code.startsWith(`SQLITE_${code}_`));
}

function wayOut(code: string): string {
  if (code === "SQLITE_FULL") return "; free some space on its disk";
  if (code.startsWith("SQLITE_IOERR")) return "; its disk may be full or damaged";
  if (code.startsWith("SQLITE_NOTADB") || code.startsWith("SQLITE_CORRUPT")) return "; bring back a copy of it, or move it away to begin with an empty one";
  return "";
}
