/**
 * A real fleet for end-to-end tests: `muster dev` in a directory of its own, spoken to through the `muster` command as a user would.
 * Whatever a test leaves running is ended when the fleet is stopped, by process id.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";

import { writeRelease } from "./release.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const MUSTER = join(ROOT, "controller/cli/bin/muster.js");

export interface FleetOptions {
  readonly agents: number;
  /** Further arguments of `muster dev`. */
  readonly args?: readonly string[];
  /** A module that `muster dev`, and each program that it starts, loads before everything else, with the test's folder as its query. */
  readonly preload?: string;
}

export interface DevFile {
  readonly controller: { readonly pid: number; readonly grpc: string; readonly https: string; readonly socket: string };
  readonly nats: { readonly pid: number; readonly url: string };
  readonly agents: readonly DevAgent[];
}

export interface DevAgent {
  readonly id: string;
  readonly pid: number;
  readonly dir: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly input?: string | Buffer;
  readonly env?: Readonly<Record<string, string>>;
  /** It is killed after so long, and its code is null. */
  readonly timeoutMs?: number;
}

/** `status -o json`, as far as tests look at it. */
export interface Status {
  readonly id: string;
  readonly app: string;
  readonly version: string;
  readonly phase: string;
  readonly reason: { readonly code: string; readonly message: string } | null;
  readonly waiting_on: string | null;
  readonly waves: readonly { readonly index: number; readonly size: number; readonly phase: string; readonly counts: Counts }[];
  readonly counts: Counts;
  readonly started_at: string | null;
  readonly ended_at: string | null;
  readonly outcome: string | null;
  readonly outstanding_count: number;
  readonly outstanding: readonly { readonly machine: string; readonly state: string; readonly text: string }[];
  readonly now: { readonly machines: number; readonly healthy: number; readonly bad: number; readonly text: string | null; readonly late_waits_for: string | null } | null;
  readonly targets?: readonly TargetStatus[];
}

export type Counts = Readonly<Record<string, number>>;

export interface TargetStatus {
  readonly machine: string;
  readonly wave: number;
  readonly state: string;
  readonly generation: number;
  readonly attempts: number;
  readonly reason: { readonly code: string; readonly message: string } | null;
  readonly previous_version: string | null;
  readonly running_version: string | null;
  readonly now: string | null;
}

export interface FleetEvent {
  readonly seq: number;
  readonly kind: string;
  readonly deployment_id: string | null;
  readonly machine: string | null;
  readonly data: Readonly<Record<string, unknown>>;
}

/** `machine ID -o json`, as far as tests look at it. */
export interface Machine {
  readonly id: string;
  readonly state: string;
  readonly assigned_generation: number;
  readonly acknowledged_generation: number;
  readonly apps: readonly MachineApp[];
}

export interface MachineApp {
  readonly app: string;
  readonly wanted_version: string | null;
  readonly running_version: string | null;
  readonly phase: string | null;
  readonly starts: number;
  readonly pid: number | null;
  readonly ports: Readonly<Record<string, number>>;
}

/** Of `watch`, when it has seen the end, whatever the end was: docs/cli.md, Exit codes. */
const ENDED_CODES: readonly (number | null)[] = [0, 1, 5, 6];
const ENDED = ["succeeded", "rolled_back", "failed", "aborted", "superseded"];

export class DevFleet {
  /** Everything of the test lies below it. */
  readonly root: string;
  readonly dir: string;
  readonly #agents: number;
  readonly #args: readonly string[];
  readonly #devEnv: Readonly<Record<string, string>>;
  #dev: ChildProcess | undefined;
  #output = "";

  private constructor(root: string, { agents, args = [], preload }: FleetOptions) {
    this.root = root;
    this.dir = join(root, "fleet");
    this.#agents = agents;
    this.#args = args;
    this.#devEnv = preload === undefined ? {} : { NODE_OPTIONS: `--import ${pathToFileURL(preload).href}?${encodeURIComponent(root)}` };
  }

  static async start(options: FleetOptions): Promise<DevFleet> {
    const fleet = DevFleet.create(options);
    await fleet.up();
    return fleet;
  }

  /** Not started: a test may put something into its folders before it calls `up`. */
  static create(options: FleetOptions): DevFleet {
    return new DevFleet(mkdtempSync(join(tmpdir(), "muster-e2e-")), options);
  }

  /** Starts `muster dev`, also after everything was killed, and waits until it says `ready`. */
  async up(): Promise<void> {
    const dev = spawn(process.execPath, [MUSTER, "dev", "--agents", String(this.#agents), "--dir", this.dir, ...this.#args], {
      cwd: this.root,
      env: { ...this.#env(), ...this.#devEnv },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#dev = dev;
    this.#output = "";
    await new Promise<void>((ready, fail) => {
      const look = (chunk: Buffer): void => {
        this.#output += chunk.toString();
        if (/^ready$/m.test(this.#output)) ready();
      };
      dev.stdout.on("data", look);
      dev.stderr.on("data", look);
      dev.once("exit", (code, signal) => fail(new Error(`muster dev ended (${code ?? signal}) before it was ready:\n${this.#output}`)));
    });
  }

  get devPid(): number {
    return this.#dev!.pid!;
  }

  /** What `muster dev` printed since it was started. */
  get output(): string {
    return this.#output;
  }

  file(): DevFile {
    return JSON.parse(readFileSync(join(this.dir, "dev.json"), "utf8")) as DevFile;
  }

  muster(args: readonly string[], options: RunOptions = {}, onStdout: (text: string) => void = () => {}): Promise<Ran> {
    const child = spawn(process.execPath, [MUSTER, ...args], {
      cwd: options.cwd ?? this.root,
      env: { ...this.#env(), MUSTER_ADDRESS: this.#address(), ...options.env },
      stdio: ["pipe", "pipe", "pipe"],
      timeout: options.timeoutMs,
      killSignal: "SIGKILL",
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => onStdout((stdout += chunk)));
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
    child.stdin.on("error", () => {});
    child.stdin.end(options.input);
    return new Promise((done) => child.once("close", (code) => done({ code, stdout, stderr })));
  }

  /** Runs a command with `-o json` and reads its answer; throws when it failed. */
  async json<T>(...args: readonly string[]): Promise<T> {
    const ran = await this.muster([...args, "-o", "json"]);
    if (ran.code !== 0) throw new Error(`muster ${args.join(" ")} exited with ${ran.code}: ${ran.stderr}${ran.stdout}`);
    return JSON.parse(ran.stdout) as T;
  }

  /** Returns the deployment's id. */
  async deploy(file: string): Promise<string> {
    return (await this.json<{ id: string }>("deploy", "-f", file)).id;
  }

  /** A file with a token for one more machine. */
  async tokenFile(): Promise<string> {
    const { token } = await this.json<{ token: string }>("token", "create");
    const path = join(this.root, "token");
    writeFileSync(path, token, { mode: 0o600 });
    return path;
  }

  status(id: string): Promise<Status> {
    return this.json<Status>("status", id, "--targets");
  }

  machine(id: string): Promise<Machine> {
    return this.json<Machine>("machine", id);
  }

  /** Waits for its end, over the controller's restarts too: tests kill it. */
  async ended(id: string, withinMs = 120_000): Promise<Status> {
    let last: unknown;
    for (const end = Date.now() + withinMs; Date.now() < end; await sleep(200)) {
      const watched = await this.muster(["watch", id], { timeoutMs: end - Date.now() });
      last = watched.stderr;
      if (!ENDED_CODES.includes(watched.code)) continue;
      try {
        const status = await this.status(id);
        if (ENDED.includes(status.phase)) return status;
        last = JSON.stringify(status);
      } catch (error) {
        last = error instanceof Error ? error.message : error;
      }
    }
    throw new Error(`${id} did not end within ${withinMs / 1000}s: ${String(last)}\n${this.output}`);
  }

  /** Waits until its status, targets included, is such. What is under way is better followed: each look costs a process. */
  async until(id: string, holds: (status: Status) => boolean, withinMs = 30_000): Promise<Status> {
    let status = await this.status(id);
    await comes(async () => holds((status = await this.status(id))), withinMs).catch((cause: unknown) => {
      throw new Error(`${id} did not come to that: ${JSON.stringify(status)}\n${this.output}`, { cause });
    });
    return status;
  }

  /** Runs a command with `--watch -o json`, and sees each change as it is printed. */
  follow(...args: readonly string[]): Following {
    return new Following((onStdout) => this.muster([...args, "--watch", "-o", "json"], {}, onStdout));
  }

  async events(id?: string): Promise<readonly FleetEvent[]> {
    const { stdout } = await this.muster(["events", "--from", "1", ...(id === undefined ? [] : [id]), "-o", "json"]);
    return stdout.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as FleetEvent);
  }

  /** Writes a release (its files and a muster.yaml) below the test's folder; returns the path of the muster.yaml. */
  release(name: string, yaml: string, files: Readonly<Record<string, string | Buffer>>): string {
    return writeRelease(join(this.root, name), yaml, files);
  }

  /** kill -9 of a process of this fleet; of nobody else, though the pid may have gone to somebody else by now. */
  kill(pid: number): void {
    if (this.#isOurs(pid)) process.kill(pid, "SIGKILL");
  }

  /** kill -9, until it is gone: before that it may answer for a moment more. */
  async end(pid: number): Promise<void> {
    this.kill(pid);
    await comes(() => !this.#isOurs(pid));
  }

  /** kill -9 of the controller, nats-server, all agents and `muster dev` itself, as by a power cut; workloads go on. */
  async killAll(): Promise<void> {
    const ended = new Promise((done) => this.#dev!.once("exit", done));
    for (const pid of [...this.#pids(), this.devPid]) this.kill(pid);
    await ended;
  }

  /** kill -9 of the controller, which is started again only when `meanwhile` has come to its end; agents, nats-server and workloads go on. */
  async withoutController(meanwhile: () => Promise<void>): Promise<void> {
    // Held, it starts nothing again.
    process.kill(this.devPid, "SIGSTOP");
    try {
      const { pid } = this.file().controller;
      this.kill(pid);
      // It may answer for a moment more.
      await comes(() => !this.#isOurs(pid));
      await meanwhile();
    } finally {
      process.kill(this.devPid, "SIGCONT");
    }
    await this.whole();
  }

  /** Waits until `muster dev` has started again what was killed, and the controller listens. */
  async whole(withinMs = 60_000): Promise<void> {
    for (const end = Date.now() + withinMs; Date.now() < end; await sleep(50)) {
      if (this.#pids().every((pid) => this.#isOurs(pid)) && (await listens(this.#address()))) return;
    }
    throw new Error(`the fleet was not whole within ${withinMs / 1000}s: ${JSON.stringify(this.file())}\n${this.output}`);
  }

  /** Stops all of it as a user would, checks that nothing is left, and deletes the folder. */
  async stop(): Promise<void> {
    const pids = existsSync(join(this.dir, "dev.json")) ? this.#pids() : [];
    const isUp = this.#dev !== undefined && this.#dev.exitCode === null && this.#dev.signalCode === null;
    if (isUp) {
      const ended = new Promise((done) => this.#dev!.once("exit", done));
      this.#dev!.kill("SIGTERM");
      await ended;
    }
    const left = [...pids.filter((pid) => this.#isOurs(pid)), ...workloadsBelow(this.dir)];
    for (const pid of left) process.kill(pid, "SIGKILL");
    rmSync(this.root, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    if (isUp && left.length > 0) throw new Error(`muster dev left ${left.join(", ")} running`);
  }

  #pids(): number[] {
    const { controller, nats, agents } = this.file();
    return [controller.pid, nats.pid, ...agents.map((agent) => agent.pid)];
  }

  /** Every process of a fleet names the fleet's folder in its command line. */
  #isOurs(pid: number): boolean {
    try {
      return isAlive(pid) && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(this.dir);
    } catch {
      return false;
    }
  }

  #address(): string {
    const remembered = join(this.dir, "dev.json");
    return existsSync(remembered) ? `unix:${this.file().controller.socket}` : "unix:/nowhere";
  }

  #env(): NodeJS.ProcessEnv {
    const { MUSTER_ADDRESS: _, FORCE_COLOR: __, ...env } = process.env;
    return { ...env, NO_COLOR: "1" };
  }
}

/** A rollout that is watched by a command that runs. */
export class Following {
  /** When the command has ended. */
  readonly ran: Promise<Ran>;
  readonly #waiting = new Set<() => void>();
  #statuses: readonly Status[] = [];
  #hasEnded = false;

  constructor(start: (onStdout: (text: string) => void) => Promise<Ran>) {
    this.ran = start((text) => {
      this.#statuses = text.split("\n").slice(0, -1).map((line) => JSON.parse(line) as Status);
      for (const look of this.#waiting) look();
    });
    void this.ran.then(() => {
      this.#hasEnded = true;
      for (const look of this.#waiting) look();
    });
  }

  /** Resolves when the newest status is such, however short; rejects when the command ends before it was. */
  until(holds: (status: Status) => boolean): Promise<Status> {
    let seen = 0;
    const { promise, resolve: found, reject } = Promise.withResolvers<Status>();
    const look = (): void => {
      for (; seen < this.#statuses.length; seen += 1) {
        const status = this.#statuses[seen]!;
        if (holds(status)) return found(status);
      }
      if (this.#hasEnded) reject(new Error(`it did not come to that: ${JSON.stringify(this.#statuses.at(-1))}; before it: ${JSON.stringify(this.#statuses.map(({ phase, waiting_on: waitsFor, counts, now }) => ({ phase, waitsFor, counts, now })))}`));
    };
    this.#waiting.add(look);
    look();
    return promise.finally(() => this.#waiting.delete(look));
  }

  /** The last that the command said. */
  async end(): Promise<{ readonly code: number | null; readonly status: Status }> {
    const { code, stderr } = await this.ran;
    const status = this.#statuses.at(-1);
    if (status === undefined) throw new Error(`nothing was said: ${stderr}`);
    return { code, status };
  }
}

/** Waits until it holds; what throws does not hold yet. */
export async function comes(holds: () => boolean | Promise<boolean>, withinMs = 30_000): Promise<void> {
  let last: unknown;
  for (const end = Date.now() + withinMs; Date.now() < end; await sleep(50)) {
    try {
      if (await holds()) return;
      last = undefined;
    } catch (error) {
      last = error;
    }
  }
  throw new Error(`it did not come to that within ${withinMs / 1000} s`, { cause: last });
}

function listens(address: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(address.replace(/^unix:/, ""), () => resolve(true));
  socket.once("error", () => resolve(false));
  return promise.finally(() => socket.destroy());
}

function workloadsBelow(dir: string): readonly number[] {
  const pids = readdirSync("/proc").map(Number).filter(Number.isInteger);
  return pids.filter((pid) => {
    try {
      return readlinkSync(`/proc/${pid}/cwd`).startsWith(`${dir}/`);
    } catch {
      return false; // it has ended, or is somebody else's
    }
  });
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
