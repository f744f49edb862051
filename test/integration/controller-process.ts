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
}

export class ControllerProcess {
  readonly grpc: string;
  /** For operators: the unix socket. */
  readonly operators: string;
  readonly #dir: string;
  readonly #child: ChildProcess;

  private constructor(dir: string, child: ChildProcess, { grpc, socket }: Addresses) {
    this.#dir = dir;
    this.#child = child;
    this.grpc = grpc;
    this.operators = `unix:${socket}`;
  }

  static async start(): Promise<ControllerProcess> {
    const dir = mkdtempSync(join(tmpdir(), "muster-bench-"));
    const child = spawn(process.execPath, [MAIN, "--dir", dir, "--silent-after", "1m", "--log-level", "error", "--stop-with-parent"], {
      stdio: ["pipe", "ignore", "inherit"],
    });
    const file = join(dir, "controller.json");
    for (const end = Date.now() + START_TIMEOUT_MS; !existsSync(file); await sleep(50)) {
      if (child.exitCode !== null) throw new Error(`the controller ended with ${child.exitCode}`);
      if (Date.now() > end) throw new Error("the controller did not start");
    }
    return new ControllerProcess(dir, child, JSON.parse(readFileSync(file, "utf8")) as Addresses);
  }

  rssBytes(): number {
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.#child.pid}/status`, "utf8"))?.[1];
    return Number(kib) * 1024;
  }

  async stop(): Promise<void> {
    const ended = new Promise((done) => this.#child.once("exit", done));
    this.#child.stdin?.end();
    await ended;
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
