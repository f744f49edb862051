/**
 * The real controller as a process of its own, in a directory of its own.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../controller/src/main.ts", import.meta.url));
const START_TIMEOUT_MS = 30_000;

interface Addresses {
  readonly grpc: string;
  readonly socket: string;
  readonly https: string;
  readonly nats: { readonly url: string };
}

export interface StartOptions {
  /** One that is there already; else a new one. */
  readonly dir?: string;
  /** Beyond `error`, what it logs can be read here. */
  readonly logLevel?: "error" | "trace";
  /** URLs of modules that are loaded before its program. */
  readonly loads?: readonly string[];
  /** Further arguments. */
  readonly args?: readonly string[];
  /** Until it is there. */
  readonly timeoutMs?: number;
}

export class ControllerProcess {
  readonly grpc: string;
  /** For operators: the unix socket. */
  readonly operators: string;
  /** `https://host:port` of the artifacts. */
  readonly https: string;
  /** `tls://host:port` */
  readonly nats: string;
  readonly dir: string;
  readonly #child: ChildProcess;
  readonly #log: string[];

  private constructor(dir: string, child: ChildProcess, log: string[], { grpc, socket, https, nats }: Addresses) {
    this.dir = dir;
    this.#child = child;
    this.#log = log;
    this.grpc = grpc;
    this.operators = `unix:${socket}`;
    this.https = https;
    this.nats = nats.url;
  }

  static async start({ dir = mkdtempSync(join(tmpdir(), "muster-controller-")), logLevel = "error", loads = [], args = [], timeoutMs = START_TIMEOUT_MS }: StartOptions = {}): Promise<ControllerProcess> {
    rmSync(join(dir, "controller.json"), { force: true });
    const child = spawn(process.execPath, [...loads.flatMap((module) => ["--import", module]), MAIN, "--dir", dir, "--silent-after", "1m", "--log-level", logLevel, "--stop-with-parent", ...args], {
      stdio: ["pipe", "ignore", logLevel === "error" ? "inherit" : "pipe", "ipc"],
    });
    const log: string[] = [];
    child.stderr?.setEncoding("utf8").on("data", (text: string) => log.push(text));
    const file = join(dir, "controller.json");
    for (const end = Date.now() + timeoutMs; !existsSync(file); await sleep(50)) {
      if (child.exitCode !== null) throw new Error(`the controller ended with ${child.exitCode}`);
      if (Date.now() > end) throw new Error("the controller did not start");
    }
    return new ControllerProcess(dir, child, log, JSON.parse(readFileSync(file, "utf8")) as Addresses);
  }

  /** All that it has logged, when it was started with a level of its own. */
  log(): string {
    return this.#log.join("");
  }

  /** To a module that was loaded before the program. */
  send(message: string): void {
    this.#child.send(message);
  }

  /** Of such a module. */
  nextMessage(): Promise<unknown> {
    return new Promise((resolve) => this.#child.once("message", resolve));
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  rssBytes(): number {
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.#child.pid}/status`, "utf8"))?.[1];
    return Number(kib) * 1024;
  }

  async stop(): Promise<void> {
    await this.end();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** As a crash: nothing is said and nothing is put away. Its directory stays. */
  async kill(): Promise<void> {
    const ended = new Promise((done) => this.#child.once("exit", done));
    this.#child.kill("SIGKILL");
    if (this.isAlive) await ended;
  }

  /** Its directory stays. */
  async end(): Promise<void> {
    const ended = new Promise((done) => this.#child.once("exit", done));
    this.#child.stdin?.end();
    if (this.isAlive) await ended;
  }
}
