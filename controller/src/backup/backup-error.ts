/**
 * The one error of backups. Its message names the file or directory and the way out.
 */
import type { BackupFaultCode } from "@muster/proto/backup-job.ts";

export class BackupError extends Error {
  readonly code: BackupFaultCode;
  /** Whether the same call may succeed later with nobody changing a file. */
  readonly retryable: boolean;

  constructor(code: BackupFaultCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "BackupError";
    this.code = code;
    this.retryable = code === "disk_full" || code === "busy" || code === "io_error";
  }

  /** `doing` completes "could not …". */
  static from(cause: unknown, doing: string): BackupError {
    if (cause instanceof BackupError) return cause;
    const systemCode = cause instanceof Error && "code" in cause ? cause.code : undefined;
    switch (systemCode) {
      case "ENOSPC":
      case "EDQUOT":
      case "SQLITE_FULL":
        return new BackupError("disk_full", `could not ${doing}: the disk is full; free some space there, or choose another place`, cause);
      case "EACCES":
      case "EPERM":
      case "EROFS":
        return new BackupError("no_permission", `could not ${doing}: there is no permission (${systemCode})`, cause);
      case "ENOENT":
      case "ENOTDIR":
      case "EISDIR":
        return new BackupError("not_found", `could not ${doing}: ${whyNotFound(systemCode)}`, cause);
      default:
        return new BackupError("io_error", `could not ${doing}: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
    }
  }
}

function whyNotFound(code: "ENOENT" | "ENOTDIR" | "EISDIR"): string {
  if (code === "ENOENT") return "there is no such file or folder";
  return code === "EISDIR" ? "it is a folder" : "a file is in the place of a folder";
}
