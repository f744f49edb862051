/**
 * How a command ends. An exit code has one meaning, and a `CliError` is an ending that the user has to be told about.
 * Its message names the thing, the place and the way out, and needs no stack.
 */

export const EXIT = {
  /** Done; with --watch, the rollout reached what was asked for. */
  done: 0,
  /** The rollout failed or was taken back; or something went wrong that has no code of its own. */
  failed: 1,
  /** A bad argument, file or artifact, or a request that does not fit the state of things. */
  badInput: 2,
  /** The controller (or, for logs, the machine) can't be reached. */
  unreachable: 3,
  notFound: 4,
  /** With --watch: the rollout reached what was asked for, but not on every machine; those that are left are named. */
  reachedExcept: 5,
  /** With --watch: it ended otherwise, and it is not known of every machine what it runs; those are named. */
  missedExcept: 6,
  /** With --watch: it is paused, and goes on only when somebody decides. */
  paused: 7,
  /** `plan` alone: all is well, and the deployment would change something. */
  changes: 10,
  /** Ctrl-C: 128 + SIGINT. */
  interrupted: 130,
  /** 128 + SIGTERM. */
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A place in a file, from 1; 0 when there is none. */
interface FileFault {
  readonly line: number;
  readonly column: number;
  readonly path: string;
  readonly message: string;
}

interface CliErrorOptions {
  /** Stable, snake_case: `error.code` of `-o json`. */
  readonly code: string;
  readonly exit: ExitCode;
  readonly faults?: readonly FileFault[];
  /** The file that the faults are in, as the user named it. */
  readonly fileName?: string;
  readonly cause?: unknown;
}

export class CliError extends Error {
  override readonly name = "CliError";
  readonly code: string;
  readonly exit: ExitCode;
  readonly faults: readonly FileFault[];
  readonly fileName: string;

  constructor(message: string, { code, exit, faults = [], fileName = "", cause }: CliErrorOptions) {
    super(message, { cause });
    this.code = code;
    this.exit = exit;
    this.faults = faults;
    this.fileName = fileName;
  }
}

/** Something that the user wrote can't be used. */
export function badInput(message: string, cause?: unknown): CliError {
  return new CliError(message, { code: "bad_input", exit: EXIT.badInput, cause });
}

/** The user ended the command; `message` says what was left as it is. */
export function interrupted(signal: AbortSignal, message: string): CliError {
  return new CliError(message, { code: "interrupted", exit: exitAfter(signal) });
}

/** Of a command that was interrupted. A reader of our output who has gone away had what it wanted. */
export function exitAfter({ reason }: AbortSignal): ExitCode {
  if (reason === "EPIPE") return EXIT.done;
  return reason === "SIGTERM" ? EXIT.terminated : EXIT.interrupted;
}
