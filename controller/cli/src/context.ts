/**
 * What a command may use of the process: streams, environment, time and the end of it all. Commands never touch `process`,
 * so each can be run in a test with its own context.
 */
import { once } from "node:events";
import type picocolors from "picocolors";
import type { ExitCode } from "./errors.ts";

export { EXIT, type ExitCode } from "./errors.ts";

export type Colors = ReturnType<typeof picocolors.createColors>;
export type Env = Readonly<Record<string, string | undefined>>;
/** `isTTY`, `columns` and `rows` are there when it is a terminal. */
export type Output = NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };

export interface Clock {
  /** Wall clock, milliseconds since 1970. */
  now(): number;
  /** Ends early, without an error, when the signal is aborted. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>;
}

/** The clock of the controller that answers: instants are its own, and another machine's clock makes no ages of them. Until an answer has said the time, as far as is known, it is ours. */
export class ControllerClock {
  readonly #own: Pick<Clock, "now">;
  #aheadMs = 0;

  constructor(own: Pick<Clock, "now">) {
    this.#own = own;
  }

  /** An answer has begun, and said its time. */
  heard(now: number): void {
    this.#aheadMs = now - this.#own.now();
  }

  now(): number {
    return this.at(this.#own.now());
  }

  /** What it shows when ours shows this. */
  at(own: number): number {
    return own + this.#aheadMs;
  }
}

export interface CliContext {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdin: NodeJS.ReadableStream;
  readonly env: Env;
  readonly cwd: string;
  readonly clock: Clock;
  /** For whatever is shown of the controller's instants. */
  readonly controllerClock: ControllerClock;
  /** Who asks, for the journal: `user@host`, or what MUSTER_USER says. */
  user(): string;
  /** Whether stdout is a terminal that can redraw. */
  readonly isTty: boolean;
  /** For stdout; they do nothing when colours are not wanted. */
  readonly colors: Colors;
  /** Of the terminal now; 80 when there is none. */
  columns(): number;
  /** Of the terminal now; 24 when there is none. */
  rows(): number;
  /**
   * From the first call on, SIGINT, SIGTERM and a closed stdout no longer end the process: they abort this, with the signal's name or
   * "EPIPE" as the reason. A second signal ends the process at once.
   */
  interruption(): AbortSignal;
  /** Of the process once all is done; the last one set counts. Endings that need words are thrown as `CliError`. */
  setExitCode(code: ExitCode): void;
}

/** Without a terminal. */
export const DEFAULT_COLUMNS = 80;
export const DEFAULT_ROWS = 24;

/** Writes, and waits while the reader is slower than we are. Once the reader has gone, it does nothing. */
export async function write(output: Output, text: string): Promise<void> {
  if (!output.writable || output.write(text)) return;
  const settled = new AbortController();
  const { signal } = settled;
  try {
    await Promise.race([once(output, "drain", { signal }), once(output, "close", { signal })]);
  } catch {
    // The stream's own error: whoever owns it (main.ts for stdout) decides what it means.
  } finally {
    settled.abort();
  }
}

export async function writeLines(output: Output, lines: readonly string[]): Promise<void> {
  if (lines.length > 0) await write(output, `${lines.join("\n")}\n`);
}

/** As wide as the terminal that it goes to; undefined when it goes to a file or a program, whose lines nobody breaks. */
export function terminalColumns({ isTTY, columns }: Output): number | undefined {
  return isTTY === true ? (columns ?? DEFAULT_COLUMNS) : undefined;
}

/** Colours are for people at a terminal, unless they said otherwise: https://no-color.org, https://force-color.org. */
export function wantsColor(env: Env, isTty: boolean): boolean {
  if (env["NO_COLOR"] !== undefined && env["NO_COLOR"] !== "") return false;
  if (env["FORCE_COLOR"] !== undefined && env["FORCE_COLOR"] !== "") return env["FORCE_COLOR"] !== "0";
  return isTty;
}

/** A terminal that calls itself dumb can't go back up a line. */
export function isRedrawable(output: Output, env: Env): boolean {
  return output.isTTY === true && env["TERM"] !== "dumb";
}
