/**
 * The one error of packing. Its message is whole: it names the source, the entry in it, and the reason.
 */

export type PackErrorCode =
  | "not_found" // there is nothing at the path
  | "not_supported" // neither a directory nor an archive that we read
  | "unreadable" // the operating system would not let us read it
  | "changed" // a file changed while it was packed
  | "bad_archive" // empty, cut off, damaged, or something else than its name says
  | "refused" // an entry that an artifact must not have
  | "too_large" // beyond one of the limits in proto/src/manifest.ts
  | "scratch_failed" // the scratch directory is full or can't be written
  | "aborted"; // by the caller's signal

export class PackError extends Error {
  readonly code: PackErrorCode;
  /** The entry's path within the source, or the source's own when it is about the whole. */
  readonly path: string;

  constructor(code: PackErrorCode, path: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "PackError";
    this.code = code;
    this.path = path;
  }
}

/** A fault of one entry: `fault` follows its name. */
export function entryError(code: PackErrorCode, sourcePath: string, entryPath: string, fault: string, cause?: unknown): PackError {
  return new PackError(code, entryPath, `${sourcePath}: ${JSON.stringify(entryPath)} ${fault}`, { cause });
}

/** What the operating system said, in its own words: `EACCES: permission denied`. */
export function systemReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message.split(",", 1)[0]!;
}
