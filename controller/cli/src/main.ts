/**
 * The process of `muster`: makes the context from it, runs the program, says why it ended and with which code.
 */
import { writeSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import picocolors from "picocolors";
import { ControllerClock, DEFAULT_COLUMNS, DEFAULT_ROWS, EXIT, isRedrawable, wantsColor, type CliContext, type Clock, type Env } from "./context.ts";
import { run } from "./run.ts";

const SAME_SIGNAL_MS = 300;

/** Their own words until there are identities, so that the journal can say who asked. */
function caller(env: Env): string {
  const given = env["MUSTER_USER"];
  return given === undefined || given === "" ? `${userName()}@${hostname()}` : given;
}

/** A container may run as a number that has no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid-${process.getuid?.() ?? "unknown"}`;
  }
}

function processContext(): CliContext {
  const { stdout, stderr, stdin, env } = process;
  const isTty = isRedrawable(stdout, env);
  const interruption = new AbortController();
  let isListening = false;

  // The terminal's Ctrl-C reaches us and whoever started us, who may pass it on: that is one wish, not two.
  let firstSignalAt = Number.NaN;
  const onSignal = (name: NodeJS.Signals): void => {
    if (interruption.signal.aborted && performance.now() - firstSignalAt < SAME_SIGNAL_MS) return;
    if (interruption.signal.aborted) process.exit(name === "SIGTERM" ? EXIT.terminated : EXIT.interrupted);
    firstSignalAt = performance.now();
    interruption.abort(name);
  };

  // `muster events | head`: the reader has what it wanted.
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") {
      writeSync(stderr.fd, `muster: the output can't be written: ${error.message}; what the controller was asked to do goes on\n`);
      process.exit(EXIT.failed);
    }
    if (!isListening) process.exit(process.exitCode);
    interruption.abort("EPIPE");
  });

  const clock: Clock = {
    now: () => Date.now(),
    sleep: async (durationMs, signal) => {
      await sleep(durationMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
    },
  };
  return {
    stdout,
    stderr,
    stdin,
    env,
    cwd: process.cwd(),
    clock,
    controllerClock: new ControllerClock(clock),
    user: () => caller(env),
    isTty,
    colors: picocolors.createColors(wantsColor(env, isTty)),
    columns: () => stdout.columns ?? DEFAULT_COLUMNS,
    rows: () => stdout.rows ?? DEFAULT_ROWS,
    interruption: () => {
      if (!isListening) process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
      isListening = true;
      return interruption.signal;
    },
    setExitCode: (code) => {
      process.exitCode = code;
    },
  };
}

await run(process.argv.slice(2), processContext());
