/**
 * The controller's configuration: arguments parsed once, every default explicit, whatever is unknown or malformed refused.
 */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import type { OidcOptions } from "./access/oidc.ts";
import { oidcOf, withOidcOptions } from "./access/oidc-config.ts";
import { parseDuration } from "@muster/proto/duration.ts";

export interface Config {
  /** Absolute. Holds the journal, the artifacts and the nats-server's files. */
  readonly dir: string;
  /** An address of this machine; a wildcard listens on all of them. */
  readonly host: string;
  /** 0: a free one, the same at each start. */
  readonly grpcPort: number;
  readonly httpPort: number;
  /** `url`: `tls://host:port`; `authorities`: PEM, by which its certificate is judged, undefined for those of the system. */
  readonly nats: { readonly kind: "embedded"; readonly port: number } | { readonly kind: "external"; readonly url: string; readonly authorities: string[] | undefined };
  readonly silentAfterMs: number;
  /** How long certificates and NATS credentials of machines live; they renew at half of it. */
  readonly credentialTtlMs: number;
  /** For so long after its end a certificate may still be renewed. */
  readonly renewalGraceMs: number;
  /** Undefined: operators log in with tokens and certificates alone. */
  readonly oidc: OidcOptions | undefined;
  /** Absolute. Holds the key of the secrets; undefined: a credential, or a file that the controller makes. */
  readonly secretsKeyFile: string | undefined;
  /** Where systemd puts the credentials of this service. */
  readonly credentialsDir: string | undefined;
  readonly stopWithParent: boolean;
  readonly logLevel: LogLevel;
}

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Prints help or a fault and exits the process: 0 for help, 2 for a fault. */
export function readConfig(args: readonly string[]): Config {
  const command = new Command("muster-controller")
    .description("Plans rollouts, tells agents what to run, and decides by what they report.")
    .requiredOption("--dir <dir>", "where the journal, the artifacts and nats-server's files live")
    .option("--host <address>", "address to listen on; 0.0.0.0 or :: for all of this machine's", address, "127.0.0.1")
    .option("--grpc-port <port>", "for operators and agents; 0 picks a free one and keeps it", port, 0)
    .option("--http-port <port>", "for artifacts; 0 picks a free one and keeps it", port, 0)
    .option("--nats-port <port>", "for the embedded nats-server; 0 picks a free one and keeps it", port, 0)
    .option("--nats-url <url>", "a nats-server of your own, tls://HOST:PORT, configured with what muster nats export prints", natsUrl)
    .option("--nats-ca <file>", "authorities (PEM) by which its certificate is judged; else the system's", authoritiesFile)
    .option("--silent-after <duration>", "a machine that is not heard for so long counts as silent", between("1s", "24h"), between("1s", "24h")("15s"))
    .option("--credential-ttl <duration>", "life of a machine's credentials, which renew at half of it", between("10s", "2160h"), between("10s", "2160h")("24h"))
    .option("--renewal-grace <duration>", "how long after their end a machine may still renew them", between("1s", "8784h"), between("1s", "8784h")("720h"))
    .option("--secrets-key-file <file>", "the key that secrets are encrypted with; else the systemd credential muster-secrets-key, else a file that is made")
    .option("--stop-with-parent", "stop when standard input ends", false)
    .addOption(new Option("--log-level <level>", "least level of log lines").choices(LOG_LEVELS).default("info"))
    .allowExcessArguments(false)
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "muster controller: ")) })
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  withOidcOptions(command);
  command.parse([...args], { from: "user" });
  const options = command.opts<{
    dir: string;
    host: string;
    grpcPort: number;
    httpPort: number;
    natsPort: number;
    natsUrl?: string;
    natsCa?: string[];
    silentAfter: number;
    credentialTtl: number;
    renewalGrace: number;
    secretsKeyFile?: string;
    stopWithParent: boolean;
    logLevel: LogLevel;
  }>();
  const { dir, host, grpcPort, httpPort, natsPort, natsUrl: url, natsCa, silentAfter, credentialTtl, renewalGrace, secretsKeyFile, stopWithParent, logLevel } = options;
  const nats = url === undefined ? ({ kind: "embedded", port: natsPort } as const) : ({ kind: "external", url, authorities: natsCa } as const);
  return {
    dir: resolve(dir),
    host,
    grpcPort,
    httpPort,
    nats,
    silentAfterMs: silentAfter,
    credentialTtlMs: credentialTtl,
    renewalGraceMs: renewalGrace,
    oidc: oidcGiven(command),
    secretsKeyFile: secretsKeyFile === undefined ? undefined : resolve(secretsKeyFile),
    credentialsDir: process.env["CREDENTIALS_DIRECTORY"],
    stopWithParent,
    logLevel,
  };
}

/** What is missing is said as any other fault of the command line. */
function oidcGiven(command: Command): OidcOptions | undefined {
  try {
    return oidcOf(command.opts<Parameters<typeof oidcOf>[0]>());
  } catch (error) {
    if (error instanceof InvalidArgumentError) command.error(`error: ${error.message}`, { exitCode: 2 });
    throw error;
  }
}

function port(text: string): number {
  const value = Number(text);
  if (!/^\d{1,5}$/.test(text) || value > 65_535) throw new InvalidArgumentError(`"${text}" is not a port (0 to 65535).`);
  return value;
}

function natsUrl(text: string): string {
  const parsed = URL.parse(text);
  if (parsed === null || parsed.protocol !== "tls:" || parsed.hostname === "" || parsed.port === "") throw new InvalidArgumentError(`"${text}" is not tls://HOST:PORT.`);
  return text;
}

function authoritiesFile(path: string): string[] {
  try {
    return [readFileSync(path, "utf8")];
  } catch (error) {
    throw new InvalidArgumentError(`${path} can't be read: ${error instanceof Error ? error.message : String(error)}.`);
  }
}

function address(text: string): string {
  const host = text === "localhost" ? "127.0.0.1" : text;
  if (isIP(host) === 0) throw new InvalidArgumentError(`"${text}" is not an IP address (try 0.0.0.0 for all of this machine's).`);
  return host;
}

function between(least: string, most: string): (text: string) => number {
  const [leastMs, mostMs] = [durationOf(least), durationOf(most)];
  return (text) => {
    const ms = durationOf(text);
    if (ms < leastMs || ms > mostMs) throw new InvalidArgumentError(`"${text}" is not between ${least} and ${most}.`);
    return ms;
  };
}

function durationOf(text: string): number {
  const parsed = parseDuration(text);
  if (!parsed.ok) throw new InvalidArgumentError(`${parsed.message}.`);
  return parsed.ms;
}
