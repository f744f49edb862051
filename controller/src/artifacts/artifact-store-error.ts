/**
 * The one error of the artifact store: the disk would not do what it was asked. What is wrong with an artifact itself is no error but an answer.
 */

export type ArtifactStoreErrorCode = "disk_full" | "not_writable" | "io_error";

export class ArtifactStoreError extends Error {
  readonly code: ArtifactStoreErrorCode;
  /** Whether the same call may succeed later with nobody changing a configuration. */
  readonly retryable: boolean;

  private constructor(code: ArtifactStoreErrorCode, retryable: boolean, message: string, cause: unknown) {
    super(message, { cause });
    this.name = "ArtifactStoreError";
    this.code = code;
    this.retryable = retryable;
  }

  /** `doing` completes "could not …". */
  static from(cause: unknown, doing: string): ArtifactStoreError {
    if (cause instanceof ArtifactStoreError) return cause;
    const systemCode = cause instanceof Error && "code" in cause ? cause.code : undefined;
    switch (systemCode) {
      case "ENOSPC":
      case "EDQUOT":
        return new ArtifactStoreError("disk_full", true, `could not ${doing}: the disk is full`, cause);
      case "EACCES":
      case "EPERM":
      case "EROFS":
        return new ArtifactStoreError("not_writable", false, `could not ${doing}: the directory can't be written (${systemCode})`, cause);
      default:
        return new ArtifactStoreError("io_error", true, `could not ${doing}: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
    }
  }
}
