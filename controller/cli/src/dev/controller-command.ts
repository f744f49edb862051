/**
 * `muster controller`: runs the controller program in the foreground, with our output, and ends as it ends.
 *
 * It gets a process group of its own, so that the terminal's Ctrl-C reaches it once, through us; and a pipe as its stdin, so
 * that it does not outlive us.
 */
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { parseDurationOption, wholeNumber, withExamples } from "../commands/options.ts";
import type { CliContext } from "../context.ts";
import { CliError, EXIT, type ExitCode } from "../errors.ts";
import { DEFAULT_DIR, LOG_LEVELS } from "./command.ts";
import { ownPrograms, type Programs, searchPath } from "./programs.ts";
import { stopSignal } from "./stop-signal.ts";

const PORT_MAX = 65_535;

/** Options that mean here what they mean to the controller. */
const PASSED_ON = [
  ["--credential-ttl <duration>", "life of a machine's credentials, which renew at half of it (24h)"],
  ["--renewal-grace <duration>", "how long after their end a machine may still renew them (720h)"],
  ["--nats-url <url>", "a nats-server of your own, tls://HOST:PORT; see: muster nats export"],
  ["--nats-ca <file>", "authorities (PEM) by which its certificate is judged"],
  ["--oidc-issuer <url>", "the OpenID provider whose users may log in"],
  ["--oidc-audience <id>", "whom its tokens have to be meant for"],
  ["--oidc-client-id <id>", "the client that users log in with; else the audience"],
  ["--oidc-scopes <scopes>", "what that client asks for"],
  ["--oidc-role-claim <claim>", "the claim that roles are given by (groups)"],
  ["--oidc-role <value=role>", "who has this in the claim has that role; may be repeated"],
  ["--oidc-ca <file>", "PEM of the authority of the provider's certificate"],
] as const;

interface ControllerOptions {
  readonly dir: string;
  readonly host?: string;
  readonly grpcPort?: number;
  readonly httpPort?: number;
  readonly natsPort?: number;
  readonly silentAfter?: number;
  readonly secretsKeyFile?: string;
  readonly logLevel?: string;
}

export function registerController(program: Command, context: CliContext, programs: Programs = ownPrograms()): void {
  const command = program
    .command("controller")
    .summary("run the controller in the foreground")
    .description(
      "Runs the controller, with its nats-server, until SIGINT or SIGTERM. It writes its log as JSON lines to stderr and, once it is up, " +
        "DIR/controller.json. Ports that are not said are picked once and kept for the directory.",
    )
    .option("--dir <dir>", "its database, artifacts and keys", DEFAULT_DIR)
    .option("--host <address>", "where it listens, 127.0.0.1 unless said; 0.0.0.0 or :: for all addresses of this machine")
    .option("--grpc-port <port>", "for operators and agents; 0: a free one", wholeNumber(0, PORT_MAX))
    .option("--http-port <port>", "for artifacts; 0: a free one", wholeNumber(0, PORT_MAX))
    .option("--nats-port <port>", "for its nats-server; 0: a free one", wholeNumber(0, PORT_MAX))
    .option("--silent-after <duration>", "an agent that is not heard for so long counts as silent, for example 15s", parseDurationOption)
    .option("--secrets-key-file <file>", "the key that secrets are encrypted with; else a systemd credential, else one of its own")
    .addOption(new Option("--log-level <level>", "the least that is logged").choices(LOG_LEVELS));
  for (const [flag, purpose] of PASSED_ON) command.addOption(passedOn(flag, purpose));
  command
    .action(async (options: ControllerOptions) => {
      context.setExitCode(await runController(options, programs, context));
    });
  withExamples(command, [
    ["muster controller", "in .muster/, where other commands find it"],
    ["muster controller --dir /var/lib/muster --grpc-port 7400", "with a port that agents can be told"],
  ]);
}

async function runController(options: ControllerOptions, programs: Programs, context: CliContext): Promise<ExitCode> {
  const signal = stopSignal();
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

function flags({ host, grpcPort, httpPort, natsPort, silentAfter, secretsKeyFile, logLevel, ...rest }: ControllerOptions): readonly string[] {
  const given: Readonly<Record<string, unknown>> = rest;
  const values = {
    host,
    "grpc-port": grpcPort,
    "http-port": httpPort,
    "nats-port": natsPort,
    "silent-after": silentAfter === undefined ? undefined : `${silentAfter}ms`,
    "secrets-key-file": secretsKeyFile,
    "log-level": logLevel,
  };
  const passed = PASSED_ON.flatMap(([flag]) => {
    const name = new Option(flag);
    return ((given[name.attributeName()] ?? []) as readonly string[]).flatMap((value) => [name.long!, value]);
  });
  return [...passed, ...Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, String(value)]))];
}

/** As the controller says them; it also judges what they say. */
function passedOn(flag: string, purpose: string): Option {
  return new Option(flag, purpose).argParser((text: string, before: readonly string[] | undefined) => [...(before ?? []), text]);
}

/** Null is the end by a signal. */
function exitCodeOf(code: number | null): ExitCode {
  return Object.values(EXIT).find((known) => known === code) ?? EXIT.failed;
}
