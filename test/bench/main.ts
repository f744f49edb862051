/**
 * `npm run bench`: every figure that the documentation quotes. `-- --only NAME` runs one benchmark, `--json FILE` writes the figures, `--list` names them.
 */
import { writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { benchFleet, type Figure } from "./fleet.bench.ts";
import { benchHerd } from "./herd.bench.ts";
import { benchEvents, benchMillion } from "./rollout.bench.ts";

const BENCHMARKS: Readonly<Record<string, () => Promise<readonly Figure[]>>> = {
  "fleet-100": () => benchFleet(100),
  "fleet-1000": () => benchFleet(1000),
  "herd-1000": () => benchHerd(1_000),
  "herd-4000": () => benchHerd(4_000),
  herd: () => benchHerd(10_000),
  "rollout-events": () => benchEvents("plain"),
  "rollout-events-spread": () => benchEvents("spread"),
  "rollout-events-racks": () => benchEvents("racks"),
  "rollout-million": benchMillion,
};

const { only, json, list } = readArguments();
if (list) {
  process.stdout.write(`${Object.keys(BENCHMARKS).join("\n")}\n`);
} else {
  const machine = { cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length, memoryGib: Math.round(totalmem() / 2 ** 30), node: process.version };
  process.stdout.write(`${machine.cpu}, ${machine.cores} cores, ${machine.memoryGib} GiB, Node ${machine.node}\n`);
  const results: { readonly name: string; readonly figures: readonly Figure[] }[] = [];
  for (const [name, run] of Object.entries(BENCHMARKS)) {
    if (only !== undefined && only !== name) continue;
    const figures = await run();
    results.push({ name, figures });
    process.stdout.write(`\n${name}\n${figures.map(line).join("")}`);
  }
  if (json !== undefined) writeFileSync(json, `${JSON.stringify({ machine, benchmarks: results }, null, 2)}\n`);
}

function readArguments(): { readonly only: string | undefined; readonly json: string | undefined; readonly list: boolean } {
  try {
    const { values } = parseArgs({ options: { only: { type: "string" }, json: { type: "string" }, list: { type: "boolean", default: false } } });
    if (values.only !== undefined && !Object.hasOwn(BENCHMARKS, values.only)) {
      throw new Error(`there is no benchmark "${values.only}"; there are ${Object.keys(BENCHMARKS).join(", ")}`);
    }
    return { only: values.only, json: values.json, list: values.list };
  } catch (error) {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(2);
  }
}

function line({ name, value, unit }: Figure): string {
  const rounded = value >= 100 ? Math.round(value).toLocaleString("en") : value.toFixed(value < 10 ? 2 : 1);
  return `  ${name.padEnd(36)} ${rounded.padStart(10)} ${unit}\n`;
}
