/**
 * A whole fleet connects, loses its controller to kill -9 and comes back: real controller, journal with synchronous=FULL, real nats-server, and agents in several processes (herd-child.ts) that speak the real
 * protocols with TLS. All of them share the machine, so each figure includes the agents' own work.
 */
import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { EntryKind } from "@muster/controller/src/journal/entry.ts";
import { ControllerProcess } from "../integration/controller-process.ts";
import type { Figure } from "./fleet.bench.ts";
import type { Count, Order, Reached } from "./herd-child.ts";
import { enlist, type HerdMachine } from "./herd-members.ts";
import { BenchOperator, until } from "./operator.ts";

const CHILD = fileURLToPath(new URL("herd-child.ts", import.meta.url));
const PROCESSES = 4;
/** Longer than a heartbeat's interval: by then each agent knows how large the fleet has become, and nobody who connects is at work yet when the next thing is measured. */
const SETTLE_MS = 12_000;
const POLL_MS = 100;
/** A controller that starts while thousands of agents knock. */
const START_TIMEOUT_MS = 120_000;
/** Of a process, beside its connections. */
const FILES_BESIDES = 500;
/** What the kernel counts time in. */
const TICKS_A_SECOND = 100;
const SILENT: EntryKind = "machine_silent";

export async function benchHerd(size: number): Promise<readonly Figure[]> {
  demandFiles(size + FILES_BESIDES);
  const dir = mkdtempSync(join(tmpdir(), "muster-herd-"));
  const herd = new HerdProcesses(dir, await enlist(dir, size, { role: "bench" }));
  try {
    return await run(await ControllerProcess.start({ dir }), herd, size);
  } finally {
    await herd.end();
  }
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
      controller = await ControllerProcess.start({ dir: first.dir, timeoutMs: START_TIMEOUT_MS });
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

/** Node and nats-server raise their limits by themselves as far as they may. */
function demandFiles(count: number): void {
  const most = Number(/^Max open files\s+\S+\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]);
  if (most < count) throw new Error(`the controller and nats-server need ${count} open files each, and this shell allows ${most}: raise it with ulimit -Hn`);
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

class HerdProcesses {
  readonly #size: number;
  readonly #counts: Count[] = [];
  readonly #children: readonly { readonly process: ChildProcess; readonly file: string }[];
  #marks = 0;

  constructor(dir: string, machines: readonly HerdMachine[]) {
    this.#size = machines.length;
    const first = (index: number): number => Math.floor((machines.length * index) / PROCESSES);
    this.#children = Array.from({ length: PROCESSES }, (_, index) => {
      const file = join(dir, `herd-${index}.json`);
      writeFileSync(file, JSON.stringify(machines.slice(first(index), first(index + 1))));
      const child = fork(CHILD, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
      child.on("message", (count) => (this.#counts[index] = count as Count));
      return { process: child, file };
    });
  }

  open(controller: string): void {
    for (const { process: child, file } of this.#children) send(child, { kind: "open", controller, file });
  }

  /** Counts anew, in all processes. */
  async mark(): Promise<void> {
    this.#marks += 1;
    for (const { process: child } of this.#children) send(child, { kind: "mark" });
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
    return this.#children.reduce((sum, child) => sum + cpuMs(child.process.pid!), 0);
  }

  async end(): Promise<void> {
    await Promise.all(
      this.#children.map(async ({ process: child }) => {
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
