/**
 * How fast the pure engine decides: reports a second, the time of one as the fleet grows, and a whole rollout over a million machines in virtual time. No journal, no
 * network. Every size runs in a process of its own (rollout-child.ts) with room for its heap; figures are medians of several.
 */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Figure } from "./fleet.bench.ts";
import type { Run, Shape } from "./rollout-child.ts";

const CHILD = fileURLToPath(new URL("./rollout-child.ts", import.meta.url));
/** Three of each, since one alone may have met a busy moment of the machine. */
const RUNS = 3;
const EVENTS = 1_000_000;
const SIZES = [100, 10_000, 100_000, 1_000_000] as const;
const LARGEST = 1_000_000;
const HEAP_MIB = 6144;
const TIMEOUT_MS = 15 * 60_000;

/** Reports that drive targets from pulling over probing to healthy, and what follows from them. */
export async function benchEvents(shape: Shape): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  const costs: number[] = [];
  for (const targets of SIZES) {
    const runs = await several(() => child("answer", shape, targets, ["--events", String(EVENTS)]));
    const microseconds = median(runs.map((run) => (run.eventsCpuMs * 1000) / run.events));
    costs.push(microseconds);
    const of = `${targets.toLocaleString("en")} targets`;
    figures.push({ name: `events, ${of}`, value: median(runs.map((run) => (run.events * 1000) / run.eventsMs)), unit: "events/s" });
    figures.push({ name: `CPU an event, ${of}`, value: microseconds, unit: "µs" });
  }
  return [...figures, { name: "dearest ÷ cheapest", value: Math.max(...costs) / Math.min(...costs), unit: "×" }];
}

/** One rollout from its plan to success. */
export async function benchMillion(): Promise<readonly Figure[]> {
  const runs: Run[] = [];
  for (let seed = 1; seed <= RUNS; seed += 1) runs.push(await child("simulate", "plain", LARGEST, ["--seed", String(seed)]));
  const of = (figure: (run: Run) => number) => median(runs.map(figure));
  return [
    { name: "plan", value: of((run) => run.planMs), unit: "ms" },
    { name: "plan → succeeded", value: of((run) => run.totalMs), unit: "ms" },
    { name: "CPU of its events, all threads", value: of((run) => run.eventsCpuMs), unit: "ms" },
    { name: "events", value: of((run) => (run.events * 1000) / run.eventsMs), unit: "events/s" },
    { name: "virtual time", value: of((run) => run.virtualMs), unit: "ms" },
    { name: "RSS", value: of((run) => run.rssBytes / 2 ** 20), unit: "MiB" },
    { name: "heap after collection", value: of((run) => run.heapBytes / 2 ** 20), unit: "MiB" },
  ];
}

async function several(run: () => Promise<Run>): Promise<readonly Run[]> {
  const runs: Run[] = [];
  while (runs.length < RUNS) runs.push(await run());
  return runs;
}

async function child(what: "answer" | "simulate", shape: Shape, targets: number, more: readonly string[]): Promise<Run> {
  const args = ["--expose-gc", `--max-old-space-size=${HEAP_MIB}`, CHILD, "--what", what, "--shape", shape, "--targets", String(targets), ...more];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: TIMEOUT_MS });
  return JSON.parse(stdout) as Run;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}
