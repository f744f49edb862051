/**
 * What nats-server is told, in its own language: for the one that the controller starts, and for one that somebody else runs. Both are the same server but
 * for where they listen. Nothing that 2.9.10 does not know; no secrets: the operator's and accounts' statements are public.
 */
import { CONNECTIONS_MAX, SUBSCRIPTIONS_MAX } from "./accounts.ts";
import type { NatsAuthority } from "./nats-authority.ts";

export interface EmbeddedConfig {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly pidPath: string;
  readonly logPath: string;
  readonly trust: TrustConfig;
}

export interface TrustConfig {
  readonly authority: Pick<NatsAuthority, "operatorJwt" | "systemAccount" | "accounts">;
  /** Where nats-server keeps the accounts' statements. */
  readonly accountsDir: string;
  /** PEM. */
  readonly certFile: string;
  readonly keyFile: string;
}

/** Larger than any message (publisher.ts) and any account's statement (revocations.ts). */
const MAX_PAYLOAD = "1MB";
/** A reader that has so much to read yet, or reads nothing for so long, is cut: it asks over gRPC for what it missed. */
const MAX_PENDING = "4MB";
const WRITE_DEADLINE = "10s";
/** Seconds for the handshake, and then to say who one is; until then a connection costs its socket and little more. */
const HANDSHAKE_TIMEOUT_S = 5;

export function embeddedConfig({ name, host, port, pidPath, logPath, trust }: EmbeddedConfig): string {
  return lines([
    "# Written by the controller at each start.",
    `server_name: ${JSON.stringify(name)}`,
    `host: ${JSON.stringify(host)}`,
    `port: ${port}`,
    `pid_file: ${JSON.stringify(pidPath)}`,
    `log_file: ${JSON.stringify(logPath)}`,
    "logfile_size_limit: 8MB",
    ...limits(),
    ...trustLines(trust),
  ]);
}

/** For a nats-server of one's own. It is whole but for the certificate, whose place is marked. */
export function externalConfig(authority: TrustConfig["authority"]): string {
  return lines([
    "# For a nats-server (2.9.10 or newer) that tells Muster's machines what to run. Give the controller its address with --nats-url tls://HOST:4222, and with",
    "# --nats-ca the CA of its certificate. All that is here is public. Revocations come from the controller, and are kept in the resolver's dir; print this",
    "# again only after the controller's keys have changed. In a cluster each server gets it, with a dir of its own.",
    "port: 4222",
    ...limits(),
    "# The certificate that machines and the controller see; its names must have HOST among them.",
    ...trustLines({ authority, accountsDir: "/var/lib/nats/muster-accounts", certFile: "/etc/nats/server.pem", keyFile: "/etc/nats/server.key" }),
  ]);
}

function limits(): readonly string[] {
  return [`max_payload: ${MAX_PAYLOAD}`, `max_pending: ${MAX_PENDING}`, `max_connections: ${CONNECTIONS_MAX}`, `max_subscriptions: ${SUBSCRIPTIONS_MAX}`, `write_deadline: "${WRITE_DEADLINE}"`];
}

function trustLines({ authority, accountsDir, certFile, keyFile }: TrustConfig): readonly string[] {
  return [
    "tls {",
    `  cert_file: ${JSON.stringify(certFile)}`,
    `  key_file: ${JSON.stringify(keyFile)}`,
    `  timeout: ${HANDSHAKE_TIMEOUT_S}`,
    "}",
    `authorization { timeout: ${HANDSHAKE_TIMEOUT_S} }`,
    `operator: ${authority.operatorJwt}`,
    `system_account: ${authority.systemAccount}`,
    "resolver {",
    "  type: full",
    `  dir: ${JSON.stringify(accountsDir)}`,
    "  allow_delete: false",
    "  # How often the servers of a cluster compare what they have: one that was down during a revocation learns of it then, at the latest.",
    '  interval: "10s"',
    "}",
    "resolver_preload {",
    ...authority.accounts.flatMap(({ name, publicKey, jwt }) => [`  # ${name}`, `  ${publicKey}: ${jwt}`]),
    "}",
  ];
}

function lines(all: readonly string[]): string {
  return `${all.join("\n")}\n`;
}
