/**
 * `npm run bench`: every figure that the documentation quotes. `-- --only NAME` runs one benchmark, `--json FILE` writes the figures, `--list` names them.
 * Of `history` and `history-start`: `--machines N`, `--apps N`, `--deployments N` and `--rows N` make them smaller or larger, `--keep DIR` keeps the database that they build.
 */
import { writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { benchFleet, type Figure } from "./fleet.bench.ts";
import { benchHerd } from "./herd.bench.ts";
import { benchHistory, benchHistoryStart, type HistoryOptions } from "./history.bench.ts";
import { benchJournal } from "./journal.bench.ts";
import { benchEvents, benchMillion } from "./rollout.bench.ts";

const BENCHMARKS: Readonly<Record<string, (options: Options) => Promise<readonly Figure[]>>> = {
  "fleet-100": () => benchFleet(100),
  "fleet-1000": () => benchFleet(1000),
  "herd-1000": () => benchHerd(1_000),
  "herd-4000": () => benchHerd(4_000),
  herd: () => benchHerd(10_000),
  journal: (options) => benchJournal(options.rows),
  "rollout-events": () => benchEvents("plain"),
  "rollout-events-spread": () => benchEvents("spread"),
  "rollout-events-racks": () => benchEvents("racks"),
  "rollout-million": benchMillion,
  history: (options) => benchHistory(historyOf(options, { machines: 10_000, apps: 50, deployments: 5000 }, 0)),
  "history-start": (options) => benchHistoryStart(historyOf(options, { machines: 1000, apps: 20, deployments: 1000 }, 1_000_000)),
};

const options = readArguments();
const { only, json, list } = options;
if (list) {
  process.stdout.write(`${Object.keys(BENCHMARKS).join("\n")}\n`);
} else {
  const machine = { cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length, memoryGib: Math.round(totalmem() / 2 ** 30), node: process.version };
  process.stdout.write(`${machine.cpu}, ${machine.cores} cores, ${machine.memoryGib} GiB, Node ${machine.node}\n`);
  const results: { readonly name: string; readonly figures: readonly Figure[] }[] = [];
  for (const [name, run] of Object.entries(BENCHMARKS)) {
    if (only !== undefined && only !== name) continue;
    const figures = await run(options);
    results.push({ name, figures });
    process.stdout.write(`\n${name}\n${figures.map(line).join("")}`);
  }
  if (json !== undefined) writeFileSync(json, `${JSON.stringify({ machine, benchmarks: results }, null, 2)}\n`);
}

interface Options {
  readonly only: string | undefined;
  readonly json: string | undefined;
  readonly list: boolean;
  readonly machines: number | undefined;
  readonly apps: number | undefined;
  readonly deployments: number | undefined;
  readonly rows: number | undefined;
  readonly keep: string | undefined;
}

function historyOf(options: Options, scale: HistoryOptions["scale"], rows: number): HistoryOptions {
  const { machines = scale.machines, apps = scale.apps, deployments = scale.deployments } = options;
  return { scale: { machines, apps, deployments }, rows: options.rows ?? rows, keepIn: options.keep };
}

function readArguments(): Options {
  try {
    const text = { type: "string" } as const;
    const { values } = parseArgs({
      options: { only: text, json: text, list: { type: "boolean", default: false }, machines: text, apps: text, deployments: text, rows: text, keep: text },
    });
    if (values.only !== undefined && !Object.hasOwn(BENCHMARKS, values.only)) {
      throw new Error(`there is no benchmark "${values.only}"; there are ${Object.keys(BENCHMARKS).join(", ")}`);
    }
    const { only, json, list, keep } = values;
    const numbers = { machines: numberOf(values.machines), apps: numberOf(values.apps), deployments: numberOf(values.deployments), rows: numberOf(values.rows) };
    return { only, json, list, keep, ...numbers };
  } catch (error) {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(2);
  }
}

function numberOf(text: string | undefined): number | undefined {
  if (text !== undefined && !/^[1-9][0-9]{0,8}$/.test(text)) throw new Error(`"${text}" is not a number`);
  return text === undefined ? undefined : Number(text);
}

function line({ name, value, unit, cpuMs }: Figure): string {
  return `  ${name.padEnd(48)} ${rounded(value).padStart(10)} ${unit}${cpuMs === undefined ? "" : `  (${rounded(cpuMs)} ms of CPU)`}\n`;
}

function rounded(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString("en") : value.toFixed(value < 10 ? 2 : 1);
}
