/**
 * The one error of the archive: rows that were moved to it can't be read. Nothing is decided by them, but who asks for them is told, since what is left would tell another story.
 */

/** Of a frame, what its error needs. */
interface Unreadable {
  readonly first_seq: number;
  readonly last_seq: number;
  readonly file: string;
}

/** Each file begins with its month: `2026-11`. */
const MONTH_LENGTH = 7;
/** Sentences about parts of files: of more there is one that counts them. */
const NAMED_MAX = 3;

export class ArchiveError extends Error {
  /** `MISSING`: the file is gone, with all of its rows. `DAMAGED`: it does not hold what was written there. */
  readonly code: "MISSING" | "DAMAGED";
  /** Until somebody brings back the file. */
  readonly retryable = false;
  /** The last sequence that is not known. */
  readonly lastSeq: number;

  private constructor(code: ArchiveError["code"], message: string, lastSeq: number, cause: unknown) {
    super(message, { cause });
    this.name = "ArchiveError";
    this.code = code;
    this.lastSeq = lastSeq;
  }

  static of({ first_seq: first, last_seq: last, file }: Unreadable, cause: unknown): ArchiveError {
    const month = file.slice(0, MONTH_LENGTH);
    if (isMissing(cause)) return new ArchiveError("MISSING", `the steps of ${month} are missing: archive/${file} cannot be read (there is no such file)`, last, cause);
    const why = cause instanceof Error ? cause.message : String(cause);
    return new ArchiveError("DAMAGED", `steps of ${month} are missing, ${first} to ${last}: archive/${file} cannot be read there (${why})`, last, cause);
  }

  /** One for all of them; undefined: there are none. */
  static all(errors: Iterable<ArchiveError>): ArchiveError | undefined {
    const byMessage = new Map<string, ArchiveError>();
    for (const error of errors) byMessage.set(error.message, error);
    const different = [...byMessage.values()];
    const last = different.at(-1);
    if (last === undefined || different.length === 1) return last;
    const more = different.length - NAMED_MAX;
    const messages = [...different.slice(0, NAMED_MAX).map(({ message }) => message), ...(more > 0 ? [`and so are those of ${more} more ${more === 1 ? "part" : "parts"} of the archive`] : [])];
    return new ArchiveError("DAMAGED", messages.join("; "), Math.max(...different.map(({ lastSeq }) => lastSeq)), last.cause);
  }
}

/** Throws it: for whoever can't answer without those rows. */
export function refuseMissing(error: ArchiveError): never {
  throw error;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}
