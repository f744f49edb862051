/**
 * The controller's own nats-server: a child process with its own port and directory.
 *
 *     starting ──accepts──▶ running ──ended──▶ waiting ──back-off──▶ starting
 *         └──────────────────────┴───── stop ─────┴──▶ stopped
 *
 * Always holds: it listens where it listened before, it never outlives the controller (guardian.ts), and a Ctrl-C in the terminal
 * reaches the controller alone, which then stops it. It has no JetStream: what it loses, agents ask for over gRPC. Whenever it starts, it knows
 * who is revoked by then.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Logger } from "pino";
import { findNatsServer } from "./find-nats-server.ts";
import { stopFormerServer } from "./former-server.ts";
import { guard, type Guardian } from "./guardian.ts";
import type { NatsAuthority } from "./nats-authority.ts";
import type { NatsServer } from "./nats-server.ts";
import { NatsServerError } from "./nats-server-error.ts";
import { embeddedConfig } from "./server-config.ts";
import { choosePort, rememberPort } from "./server-port.ts";
import { whenAccepting } from "./server-ready.ts";

export interface EmbeddedNatsOptions {
  /** Its own; made when it is not there. */
  readonly dir: string;
  /** Where it listens. */
  readonly host: string;
  /** 0: the one it had before, else a free one. */
  readonly port: number;
  /** Whom it lets in, and the certificate (PEM) that it shows. */
  readonly trust: { readonly authority: NatsAuthority; readonly certFile: string; readonly keyFile: string };
  readonly logger: Logger;
  /** It ended without being told to; it is started again by itself. */
  readonly onExit?: () => void;
}

export interface EmbeddedNats extends NatsServer {
  readonly port: number;
  pid(): number;
}

const READY_MS = 10_000;
const STOP_MS = 5000;
const BACKOFF_MIN_MS = 100;
const BACKOFF_MAX_MS = 5000;
/** Having run for so long, its end counts as a first one. */
const BACKOFF_RESET_MS = 10_000;
const STDERR_CHARS_MAX = 4000;

/** Resolves once it accepts connections. Throws NatsServerError. */
export async function createEmbeddedNats({ dir, host, port: wantedPort, trust, logger, onExit }: EmbeddedNatsOptions): Promise<EmbeddedNats> {
  const home = resolve(dir);
  const configPath = join(home, "nats-server.conf");
  const pidPath = join(home, "nats-server.pid");
  const binary = await findNatsServer();
  try {
    mkdirSync(home, { recursive: true });
    await stopFormerServer(configPath, pidPath, logger);
    const port = await choosePort(home, host, wantedPort, logger);
    const logPath = join(home, "nats-server.log");
    const accountsDir = join(home, "accounts");
    // What a former run was told is in the configuration too, or was taken back meanwhile.
    rmSync(accountsDir, { recursive: true, force: true });
    const writeConfig = (name: string): void => {
      writeWhole(configPath, embeddedConfig({ name, host, port, pidPath, logPath, trust: { ...trust, accountsDir } }));
    };
    const nats = new NatsProcess({ binary, configPath, writeConfig, logPath, host, port, logger, onExit });
    trust.authority.onChange(() => nats.configure());
    await nats.start();
    rememberPort(home, port);
    return nats;
  } catch (cause) {
    if (cause instanceof NatsServerError) throw cause;
    throw new NatsServerError("io_error", `nats-server can't use ${home}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

function writeWhole(path: string, text: string): void {
  writeFileSync(`${path}.tmp`, text);
  renameSync(`${path}.tmp`, path);
}

interface ProcessOptions {
  readonly binary: string;
  readonly configPath: string;
  /** As everything is at that moment. */
  readonly writeConfig: (name: string) => void;
  readonly logPath: string;
  readonly host: string;
  readonly port: number;
  readonly logger: Logger;
  readonly onExit: (() => void) | undefined;
}

interface Running {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly guardian: Guardian;
  readonly startedAt: number;
  /** Resolves with what it wrote to stderr. */
  readonly ended: Promise<string>;
}

class NatsProcess implements EmbeddedNats {
  readonly url: string;
  readonly port: number;
  readonly #options: ProcessOptions;
  readonly #listeners: ((pid: number) => void)[] = [];
  #running: Running | undefined;
  /** Of the newest one. It is in the configuration, since nats-server reads it again only when the name is the same. */
  #name = "";
  #pid = 0;
  #timer: NodeJS.Timeout | undefined;
  #backoffMs = BACKOFF_MIN_MS;
  #stopping = false;

  constructor(options: ProcessOptions) {
    this.#options = options;
    this.port = options.port;
    const host = loopbackOf(options.host);
    this.url = `tls://${host.includes(":") ? `[${host}]` : host}:${options.port}`;
  }

  pid(): number {
    return this.#pid;
  }

  onPid(callback: (pid: number) => void): void {
    this.#listeners.push(callback);
  }

  reload(): void {
    this.#running?.child.kill("SIGHUP");
  }

  /** For the next start: the running one is told in another way (account-push.ts). */
  configure(): void {
    const { writeConfig, configPath, logger } = this.#options;
    try {
      writeConfig(this.#name);
    } catch (error) {
      logger.error({ err: error, configPath }, "configuration of nats-server not written");
    }
  }

  /** Throws NatsServerError, and then nothing runs. */
  async start(): Promise<void> {
    const { host, port, logPath, logger, writeConfig } = this.#options;
    this.#name = `muster-${randomUUID()}`;
    writeConfig(this.#name);
    const running = this.#spawn();
    const giveUp = new AbortController();
    const deadline = setTimeout(() => giveUp.abort(), READY_MS);
    void running.ended.then(() => giveUp.abort());
    const accepting = await whenAccepting(loopbackOf(host), port, this.#name, giveUp.signal);
    clearTimeout(deadline);
    if (!accepting) {
      this.#running = undefined;
      const said = await end(running, "SIGKILL");
      throw new NatsServerError("start_failed", `nats-server does not start on ${host}:${port}: ${said === "" ? `see ${logPath}` : said}`);
    }
    void running.ended.then(() => this.#onEnd(running));
    this.#pid = running.pid;
    logger.info({ pid: running.pid, port }, "nats-server accepts connections");
    for (const listener of this.#listeners) listener(running.pid);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    if (this.#running !== undefined) await end(this.#running, "SIGTERM");
  }

  #spawn(): Running {
    const { binary, configPath } = this.#options;
    const child = spawn(binary, ["-c", configPath], { detached: true, stdio: ["ignore", "ignore", "pipe"] });
    const { pid } = child;
    let said = "";
    child.stderr.on("data", (data: Buffer) => (said = (said + data.toString("utf8")).slice(-STDERR_CHARS_MAX)));
    const ended = new Promise<string>((done) => {
      child.once("error", (error) => done(error.message));
      child.once("close", () => done(said.trim()));
    });
    if (pid === undefined) throw new NatsServerError("start_failed", `${binary} can't be started`);
    const guardian = guard(pid, configPath);
    void ended.then(() => guardian.release());
    this.#running = { child, pid, guardian, startedAt: performance.now(), ended };
    return this.#running;
  }

  #onEnd({ child, pid, startedAt }: Running): void {
    this.#running = undefined;
    if (this.#stopping) return;
    if (performance.now() - startedAt > BACKOFF_RESET_MS) this.#backoffMs = BACKOFF_MIN_MS;
    this.#options.logger.warn({ pid, exitCode: child.exitCode, signal: child.signalCode, backoffMs: this.#backoffMs }, "nats-server ended; starting it again");
    this.#options.onExit?.();
    this.#restartLater();
  }

  #restartLater(): void {
    this.#timer = setTimeout(() => {
      this.start().catch((error: unknown) => {
        if (this.#stopping) return;
        this.#options.logger.error({ err: error }, "nats-server could not be started again");
        this.#restartLater();
      });
    }, this.#backoffMs);
    this.#backoffMs = Math.min(this.#backoffMs * 2, BACKOFF_MAX_MS);
  }
}

/** How this machine reaches what listens on all of its addresses. */
function loopbackOf(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}

/** The guardian stays until it has ended. */
async function end({ child, ended }: Running, signal: "SIGTERM" | "SIGKILL"): Promise<string> {
  child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  const said = await ended;
  clearTimeout(timer);
  return said;
}
