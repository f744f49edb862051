/**
 * A context for tests: what a command writes is kept, time passes only when somebody sleeps, and the test plays the user.
 */
import { Readable, Writable } from "node:stream";
import picocolors from "picocolors";
import { ControllerClock, EXIT, type CliContext, type Clock, type ExitCode, type Output } from "../context.ts";
import { run } from "../run.ts";

interface FakeContextOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly isTty?: boolean;
  /** stderr is a terminal, too. Default false. */
  readonly isErrTty?: boolean;
  readonly columns?: number;
  readonly now?: number;
  /** Called with all of stdout so far. */
  readonly onStdout?: (text: string) => void;
}

export interface FakeContext extends CliContext {
  readonly out: () => string;
  readonly err: () => string;
  readonly exitCode: () => ExitCode;
  readonly interrupt: (reason: "SIGINT" | "SIGTERM" | "EPIPE") => void;
}

export function fakeContext(options: FakeContextOptions = {}): FakeContext {
  const { cwd = "/", env = {}, stdin = "", isTty = false, isErrTty = false, columns = 100, onStdout = () => undefined } = options;
  const stdout = collector(isTty ? { isTTY: true, columns, rows: 40 } : {}, onStdout);
  const stderr = collector(isErrTty ? { isTTY: true, columns, rows: 40 } : {}, () => undefined);
  const interruption = new AbortController();
  let exitCode: ExitCode = EXIT.done;
  let now = options.now ?? 0;
  const clock: Clock = {
    now: () => now,
    sleep: async (durationMs) => {
      now += durationMs;
      await new Promise(setImmediate);
    },
  };
  return {
    stdout: stdout.stream,
    stderr: stderr.stream,
    stdin: Readable.from([Buffer.from(stdin)]),
    env,
    cwd,
    clock,
    controllerClock: new ControllerClock(clock),
    user: () => env["MUSTER_USER"] ?? "ada@laptop",
    isTty,
    colors: picocolors.createColors(false),
    columns: () => columns,
    rows: () => 40,
    interruption: () => interruption.signal,
    setExitCode: (code) => {
      exitCode = code;
    },
    out: stdout.text,
    err: stderr.text,
    exitCode: () => exitCode,
    interrupt: (reason) => interruption.abort(reason),
  };
}

function collector(terminal: object, onText: (text: string) => void): { readonly stream: Output; readonly text: () => string } {
  let text = "";
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      text += chunk.toString("utf8");
      onText(text);
      done();
    },
  });
  return { stream: Object.assign(stream, terminal), text: () => text };
}

/** Runs a command line to its end. */
export async function muster(args: readonly string[], options: FakeContextOptions = {}): Promise<{ code: ExitCode; out: string; err: string }> {
  const context = fakeContext(options);
  await run(args, context);
  return { code: context.exitCode(), out: context.out(), err: context.err() };
}
