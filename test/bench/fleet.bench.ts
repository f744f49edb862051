/**
 * How fast a whole fleet is told and answers: real controller, journal with synchronous=FULL, real nats-server, and agents in this process that speak the real
 * protocols and apply nothing. Controller and agents share the machine, so each figure includes the agents' own work.
 */
import { setTimeout as sleep } from "node:timers/promises";
import pino from "pino";
import { BenchAgent } from "./bench-agent.ts";
import { BenchOperator, until } from "./operator.ts";
import { ControllerProcess } from "../integration/controller-process.ts";
import { joinAs, makeToken } from "../integration/member.ts";

/** Enough that the first commits, caches and connections do not count for much. */
const REPORTS_PER_FLEET = 40_000;
const LOOP_MONITOR = new URL("loop-monitor.ts", import.meta.url).href;

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: "ms" | "µs" | "reports/s" | "events/s" | "rows/s" | "rows" | "bytes" | "MiB" | "×" | "machines";
  /** Of a time: what the thread itself computed. The rest is waiting for a core or for the disk. */
  readonly cpuMs?: number;
}

export async function benchFleet(size: number): Promise<readonly Figure[]> {
  const controller = await ControllerProcess.start({ loads: [LOOP_MONITOR] });
  const told = new Set<string>();
  let acknowledged = 0;
  let lastToldAt = 0;
  const token = await makeToken(controller, { uses: size });
  controller.send("reset");
  const joinAt = performance.now();
  const identities = await eachOf(size, (index) => joinAs(controller, token, `bench-${index}`, { role: "bench" }));
  const joinMs = performance.now() - joinAt;
  const joinBlockedMs = await longestBlock(controller);
  const agents = identities.map(
    ({ machine, current }) =>
      new BenchAgent({
        id: machine,
        controller: controller.grpc,
        credentials: current,
        logger: pino({ level: "silent" }),
        onTold: (machine) => {
          told.add(machine);
          lastToldAt = performance.now();
        },
        onAcknowledged: (reports) => (acknowledged += reports),
      }),
  );
  const operator = new BenchOperator(controller);
  try {
    const connectAt = performance.now();
    for (const agent of agents) agent.open();
    await until("all agents connected", async () => (await operator.connected()) === size);
    const connectMs = performance.now() - connectAt;
    // NATS subscriptions follow the welcome; what is published before them would be fetched after the next heartbeat, which is not what is measured.
    await sleep(2000);

    const artifact = await operator.push();
    const submitAt = performance.now();
    const { id } = await operator.submit(artifact);
    await until("the deployment succeeded", () => operator.hasSucceeded(id));
    const healthyMs = performance.now() - submitAt;
    if (told.size !== size) throw new Error(`${told.size} of ${size} agents were told`);

    const before = acknowledged;
    const perAgent = Math.ceil(REPORTS_PER_FLEET / size);
    const reportAt = performance.now();
    for (const agent of agents) agent.report(perAgent);
    await until("all reports acknowledged", () => acknowledged - before >= perAgent * size, 5);
    const reportMs = performance.now() - reportAt;

    return [
      { name: "all machines joined", value: joinMs, unit: "ms" },
      { name: "… the controller's loop blocked, longest", value: joinBlockedMs, unit: "ms" },
      { name: "all agents connected", value: connectMs, unit: "ms" },
      { name: "submit → last machine told", value: lastToldAt - submitAt, unit: "ms" },
      { name: "submit → all healthy", value: healthyMs, unit: "ms" },
      { name: "reports acknowledged", value: (perAgent * size * 1000) / reportMs, unit: "reports/s" },
      { name: "controller RSS", value: controller.rssBytes() / 1024 / 1024, unit: "MiB" },
    ];
  } finally {
    operator.close();
    await Promise.all(agents.map((agent) => agent.close()));
    await controller.stop();
  }
}

async function longestBlock(controller: ControllerProcess): Promise<number> {
  const answer = controller.nextMessage();
  controller.send("read");
  return ((await answer) as { readonly longestMs: number }).longestMs;
}

/** So many at once, as when a fleet is brought up. */
const JOINS_AT_ONCE = 16;

async function eachOf<T>(size: number, make: (index: number) => Promise<T>): Promise<readonly T[]> {
  const made: T[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < size; index = next++) made[index] = await make(index);
  };
  await Promise.all(Array.from({ length: JOINS_AT_ONCE }, worker));
  return made;
}
