/**
 * `muster controller`: runs the controller program in the foreground, with our output, and ends as it ends.
 *
 * It gets a process group of its own, so that the terminal's Ctrl-C reaches it once, through us; and a pipe as its stdin, so
 * that it does not outlive us.
 */
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { CliContext } from "../context.ts";
import { CliError, EXIT, type ExitCode } from "../errors.ts";
import { DEFAULT_DIR, parseDurationOption } from "./command.ts";
import { ownPrograms, type Programs, searchPath } from "./programs.ts";

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"] as const;

interface ControllerOptions {
  readonly dir: string;
  readonly host?: string;
  readonly grpcPort?: string;
  readonly httpPort?: string;
  readonly natsPort?: string;
  readonly silentAfter?: string;
  readonly logLevel?: string;
}

export function registerController(program: Command, context: CliContext, programs: Programs = ownPrograms()): Command {
  return program
    .command("controller")
    .summary("run the controller in the foreground")
    .description(
      "Runs the controller, with its nats-server, until SIGINT or SIGTERM. It writes its log as JSON lines to stderr and, once it is up, " +
        "DIR/controller.json. Ports that are not said are picked once and kept for the directory.",
    )
    .option("--dir <dir>", "its database, artifacts and keys", DEFAULT_DIR)
    .option("--host <address>", "where it listens; loopback only for now")
    .option("--grpc-port <port>", "for operators and agents", parsePort)
    .option("--http-port <port>", "for artifacts", parsePort)
    .option("--nats-port <port>", "for its nats-server", parsePort)
    .option("--silent-after <duration>", "an agent that is not heard for so long counts as silent, for example 15s", parseDurationOption)
    .addOption(new Option("--log-level <level>", "the least that is logged").choices(LOG_LEVELS))
    .addHelpText(
      "after",
      `
Examples:
  muster controller
  muster controller --dir /var/lib/muster --grpc-port 7400 --http-port 7401 --nats-port 7402`,
    )
    .action(async (options: ControllerOptions) => {
      context.setExitCode(await runController(options, programs, context));
    });
}

async function runController(options: ControllerOptions, programs: Programs, context: CliContext): Promise<ExitCode> {
  const signal = context.interruption();
  const [program, ...args] = [...programs.controller, "--dir", resolve(context.cwd, options.dir), ...flags(options), "--stop-with-parent"];
  const env = { ...context.env, PATH: searchPath(context.env).join(":") };
  const child = spawn(program!, args, { stdio: ["pipe", "inherit", "inherit"], detached: true, env, cwd: context.cwd });
  child.stdin.on("error", () => undefined); // it ended first
  const passOn = (): void => {
    child.kill(signal.reason === "SIGINT" ? "SIGINT" : "SIGTERM");
  };
  signal.addEventListener("abort", passOn, { once: true });
  return new Promise((resolve, reject) => {
    child.once("error", (cause) => {
      reject(new CliError(`the controller can't be started: ${cause.message}`, { code: "start_failed", exit: EXIT.failed, cause }));
    });
    child.once("exit", (code) => resolve(exitCodeOf(code)));
  });
}

function flags(options: ControllerOptions): readonly string[] {
  const { host, grpcPort, httpPort, natsPort, silentAfter, logLevel } = options;
  const values = { host, "grpc-port": grpcPort, "http-port": httpPort, "nats-port": natsPort, "silent-after": silentAfter, "log-level": logLevel };
  return Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, value]));
}

/** Null is the end by a signal. */
function exitCodeOf(code: number | null): ExitCode {
  return Object.values(EXIT).find((known) => known === code) ?? EXIT.failed;
}

function parsePort(text: string): string {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return text;
  throw new InvalidArgumentError("It is a port: a number from 0 to 65535, 0 for a free one.");
}
