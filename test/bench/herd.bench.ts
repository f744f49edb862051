/**
 * A whole fleet connects, loses its controller to kill -9 and comes back: real controller, journal with synchronous=FULL, real nats-server, and agents in several processes (herd-child.ts) that speak the real
 * protocols with TLS. All of them share the machine, so each figure includes the agents' own work.
 */
import { type ChildProcess, execFileSync, fork } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { EntryKind } from "@muster/controller/src/journal/entry.ts";
import { ControllerProcess } from "../integration/controller-process.ts";
import type { JoinToken } from "@muster/proto/join-token.ts";
import { makeToken } from "../integration/member.ts";
import type { Figure } from "./fleet.bench.ts";
import type { Count, Order, Reached } from "./herd-child.ts";
import { BenchOperator, until } from "./operator.ts";

const CHILD = fileURLToPath(new URL("herd-child.ts", import.meta.url));
const PROCESSES = 4;
/** Joins under way in each process. */
const JOINS_AT_ONCE = 4;
/** So that nobody who connects is at work yet when the next thing is measured. */
const SETTLE_MS = 3_000;
const POLL_MS = 100;
/** What the kernel counts time in. */
const TICKS_A_SECOND = 100;
const SILENT: EntryKind = "machine_silent";

/** `fleetDir`: where machines that have joined are kept for the next time; joining takes longer than all the rest. */
export async function benchHerd(size: number, fleetDir?: string): Promise<readonly Figure[]> {
  const dir = mkdtempSync(join(tmpdir(), "muster-herd-"));
  const kept = fleetDir === undefined ? dir : join(fleetDir, `herd-${size}`);
  const herd = new HerdProcesses(dir, size);
  try {
    if (!existsSync(fileOf(kept, PROCESSES - 1))) await joinAll(kept, herd, size);
    // Modes and all: the controller takes no keys that others could have read.
    if (kept !== dir) execFileSync("cp", ["-a", `${kept}/.`, dir]);
    return await run(await ControllerProcess.start({ dir }), herd, size);
  } finally {
    await herd.end();
  }
}

async function joinAll(dir: string, herd: HerdProcesses, size: number): Promise<void> {
  mkdirSync(dir, { recursive: true });
  const controller = await ControllerProcess.start({ dir });
  await herd.join(controller.grpc, await makeToken(controller, { uses: size }), dir);
  await controller.end();
}

/** The controller is another one at the end; ends it. */
async function run(first: ControllerProcess, herd: HerdProcesses, size: number): Promise<readonly Figure[]> {
  let controller = first;
  try {
    const connect = await herd.measure(() => herd.open(first.grpc));
    const connectRss = controller.rssBytes();
    const connectCpuMs = cpuMs(controller.pid);
    await sleep(SETTLE_MS);

    const back = await herd.measure(async () => {
      await first.kill();
      controller = await ControllerProcess.start({ dir: first.dir });
    });
    const backCpuMs = cpuMs(controller.pid);
    await sleep(SETTLE_MS);

    const operator = new BenchOperator(controller);
    const connected = await operator.connected();
    if (connected !== size) throw new Error(`${connected} of ${size} machines are connected`);
    const artifact = await operator.push();
    await herd.mark();
    const submitAt = Date.now();
    const { id } = await operator.submit(artifact);
    await until("the deployment succeeded", () => operator.hasSucceeded(id), POLL_MS);
    const healthyMs = Date.now() - submitAt;
    const told = await herd.reach("all agents told", ({ told }) => told);
    const events = await operator.events();
    operator.close();

    return [
      { name: "all agents connected", value: connect.welcomedMs, unit: "ms" },
      { name: "… and listening on NATS", value: connect.listeningMs, unit: "ms" },
      { name: "… attempts an agent", value: connect.attempts / size, unit: "×" },
      { name: "… CPU of the controller, each", value: connectCpuMs / size, unit: "ms" },
      { name: "… CPU of the agent, each", value: connect.agentsCpuMs / size, unit: "ms" },
      { name: "kill -9 → all agents back", value: back.welcomedMs, unit: "ms" },
      { name: "… and listening on NATS", value: back.listeningMs, unit: "ms" },
      { name: "… attempts an agent", value: back.attempts / size, unit: "×" },
      { name: "… CPU of the controller, each", value: backCpuMs / size, unit: "ms" },
      { name: "… CPU of the agent, each", value: back.agentsCpuMs / size, unit: "ms" },
      { name: "… counted as silent", value: events.get(SILENT) ?? 0, unit: "machines" },
      { name: "submit → last machine told", value: told - submitAt, unit: "ms" },
      { name: "submit → all healthy", value: healthyMs, unit: "ms" },
      { name: "controller RSS, the larger", value: Math.max(connectRss, controller.rssBytes()) / 2 ** 20, unit: "MiB" },
    ];
  } finally {
    await controller.stop();
  }
}

/** User and system time of a process and all its threads so far. */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) * (1000 / TICKS_A_SECOND);
}

interface Measured {
  readonly welcomedMs: number;
  readonly listeningMs: number;
  /** Of all agents. */
  readonly attempts: number;
  readonly agentsCpuMs: number;
}

/** The identities of the machines of one process. */
function fileOf(dir: string, index: number): string {
  return join(dir, `herd-${index}.json`);
}

class HerdProcesses {
  readonly #dir: string;
  readonly #size: number;
  readonly #counts: Count[] = [];
  readonly #children: readonly ChildProcess[];
  #marks = 0;

  constructor(dir: string, size: number) {
    this.#dir = dir;
    this.#size = size;
    this.#children = Array.from({ length: PROCESSES }, (_, index) => {
      const child = fork(CHILD, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
      child.on("message", (count) => (this.#counts[index] = count as Count));
      return child;
    });
  }

  /** Their identities are in `dir` then. */
  async join(controller: string, token: JoinToken, dir: string): Promise<void> {
    const first = (index: number): number => Math.floor((this.#size * index) / PROCESSES);
    for (const [index, child] of this.#children.entries()) {
      send(child, { kind: "join", controller, token, file: fileOf(dir, index), from: first(index), to: first(index + 1), atOnce: JOINS_AT_ONCE });
    }
    await until("all machines joined", () => this.#counts.length === PROCESSES && this.#counts.every(({ isJoined }) => isJoined), POLL_MS);
  }

  open(controller: string): void {
    for (const [index, child] of this.#children.entries()) send(child, { kind: "open", controller, file: fileOf(this.#dir, index) });
  }

  /** Counts anew, in all processes. */
  async mark(): Promise<void> {
    this.#marks += 1;
    for (const child of this.#children) send(child, { kind: "mark" });
    await until("all processes count anew", () => this.#counts.length === PROCESSES && this.#counts.every(({ marks }) => marks === this.#marks), POLL_MS);
  }

  /** From what is done to all agents welcomed, and to all of them listening. */
  async measure(done: () => void | Promise<void>): Promise<Measured> {
    await this.mark();
    const startedAt = Date.now();
    const cpuBeforeMs = this.cpuMs();
    await done();
    const welcomedAt = await this.reach("all agents welcomed", ({ welcomed }) => welcomed);
    const listeningAt = await this.reach("all agents listening", ({ listening }) => listening);
    const attempts = this.#counts.reduce((sum, { attempts }) => sum + attempts, 0);
    return { welcomedMs: welcomedAt - startedAt, listeningMs: listeningAt - startedAt, attempts, agentsCpuMs: this.cpuMs() - cpuBeforeMs };
  }

  /** When the last agent came so far: milliseconds since 1970. */
  async reach(what: string, of: (count: Count) => Reached): Promise<number> {
    await until(what, () => this.#counts.reduce((sum, count) => sum + of(count).agents, 0) === this.#size, POLL_MS);
    return Math.max(...this.#counts.map((count) => of(count).lastAt));
  }

  cpuMs(): number {
    return this.#children.reduce((sum, { pid }) => sum + cpuMs(pid!), 0);
  }

  async end(): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        const ended = new Promise((done) => child.once("exit", done));
        if (child.exitCode !== null || child.signalCode !== null) return;
        send(child, { kind: "end" });
        await ended;
      }),
    );
  }
}

function send(child: ChildProcess, order: Order): void {
  child.send(order);
}
