/**
 * The controller's configuration: arguments parsed once, every default explicit, whatever is unknown or malformed refused.
 */
import { isIPv4 } from "node:net";
import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { parseDuration } from "./submit/duration.ts";

export interface Config {
  /** Absolute. Holds the journal, the artifacts and the nats-server's files. */
  readonly dir: string;
  /** A loopback address: without identity and TLS nothing else may be listened on. */
  readonly host: string;
  /** 0: a free one, the same at each start. */
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly natsPort: number;
  readonly silentAfterMs: number;
  /** Absolute. Holds the key of the secrets; undefined: a credential, or a file that the controller makes. */
  readonly secretsKeyFile: string | undefined;
  /** Where systemd puts the credentials of this service. */
  readonly credentialsDir: string | undefined;
  readonly stopWithParent: boolean;
  readonly logLevel: LogLevel;
}

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const SILENT_AFTER_DEFAULT = "15s";
/** Shorter, and one lost heartbeat makes a machine silent; longer, and a rollout waits for the dead. */
const SILENT_AFTER_MS_MIN = 1000;
const SILENT_AFTER_MS_MAX = 24 * 60 * 60 * 1000;

/** Prints help or a fault and exits the process: 0 for help, 2 for a fault. */
export function readConfig(args: readonly string[]): Config {
  const command = new Command("muster-controller")
    .description("Plans rollouts, tells agents what to run, and decides by what they report.")
    .requiredOption("--dir <dir>", "where the journal, the artifacts and nats-server's files live")
    .option("--host <address>", "loopback address to listen on", loopback, "127.0.0.1")
    .option("--grpc-port <port>", "for operators and agents; 0 picks a free one and keeps it", port, 0)
    .option("--http-port <port>", "for artifacts; 0 picks a free one and keeps it", port, 0)
    .option("--nats-port <port>", "for the embedded nats-server; 0 picks a free one and keeps it", port, 0)
    .option("--silent-after <duration>", "a machine that is not heard for so long counts as silent", silentAfter, silentAfter(SILENT_AFTER_DEFAULT))
    .option("--secrets-key-file <file>", "the key that secrets are encrypted with; else the systemd credential muster-secrets-key, else a file that is made")
    .option("--stop-with-parent", "stop when standard input ends", false)
    .addOption(new Option("--log-level <level>", "least level of log lines").choices(LOG_LEVELS).default("info"))
    .allowExcessArguments(false)
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "muster controller: ")) })
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  command.parse([...args], { from: "user" });
  const options = command.opts<{
    dir: string;
    host: string;
    grpcPort: number;
    httpPort: number;
    natsPort: number;
    silentAfter: number;
    secretsKeyFile?: string;
    stopWithParent: boolean;
    logLevel: LogLevel;
  }>();
  const { dir, silentAfter: silentAfterMs, secretsKeyFile, ...rest } = options;
  return {
    ...rest,
    dir: resolve(dir),
    silentAfterMs,
    secretsKeyFile: secretsKeyFile === undefined ? undefined : resolve(secretsKeyFile),
    credentialsDir: process.env["CREDENTIALS_DIRECTORY"],
  };
}

function port(text: string): number {
  const value = Number(text);
  if (!/^\d{1,5}$/.test(text) || value > 65_535) throw new InvalidArgumentError(`"${text}" is not a port (0 to 65535).`);
  return value;
}

function loopback(text: string): string {
  const host = text === "localhost" ? "127.0.0.1" : text;
  if (!(isIPv4(host) && host.startsWith("127.")) && host !== "::1") {
    throw new InvalidArgumentError(`"${text}" is not a loopback address; until agents and operators have identities, only loopback is listened on.`);
  }
  return host;
}

function silentAfter(text: string): number {
  const parsed = parseDuration(text);
  if (!parsed.ok) throw new InvalidArgumentError(`${parsed.message}.`);
  if (parsed.ms < SILENT_AFTER_MS_MIN || parsed.ms > SILENT_AFTER_MS_MAX) throw new InvalidArgumentError(`"${text}" is not between 1s and 24h.`);
  return parsed.ms;
}
