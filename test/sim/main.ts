/**
 * `npm run sim -- --seeds N --from S`: many runs, one process for each core. `--verbose SEED` tells one run from beginning to end.
 *
 * Prints the first seed, the commit, each failure with the way to see it again, and at the end what was run. Exits with 1 when an invariant was broken.
 */
import { execFileSync, fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { run } from "./run.ts";
import { type Invariant, INVARIANTS } from "./violation.ts";

interface Failure {
  readonly seed: number;
  readonly invariant: Invariant;
  readonly what: string;
}

interface Tally {
  readonly failures: readonly Failure[];
  readonly seeds: number;
  readonly virtualMs: number;
  readonly steps: number;
  readonly rows: number;
}

/** Failures that are told in full. */
const TOLD_MAX = 30;

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    verbose: { type: "string" },
    processes: { type: "string", default: String(availableParallelism()) },
    /** Ends at the first seed that breaks this invariant. */
    until: { type: "string" },
    /** Invariants that are not judged, or the only ones that are, with commas between them. */
    except: { type: "string", default: "" },
    only: { type: "string" },
    /** A share of the seeds, run in this process: `index/of`. */
    share: { type: "string" },
  },
});

const seeds = Number(values.seeds);
const from = Number(values.from);
const except: ReadonlySet<Invariant> = new Set(
  INVARIANTS.filter((name) => values.except.split(",").includes(name) || values.only?.split(",").includes(name) === false),
);

if (values.verbose !== undefined) {
  const outcome = await run(Number(values.verbose), { say: (line) => console.log(line), digest: true, except });
  console.log(`seed ${outcome.seed}: ${outcome.violation?.message ?? "holds"}; ${outcome.digest}`);
  if (outcome.violation?.cause instanceof Error) console.log(outcome.violation.cause.stack);
  process.exitCode = outcome.violation === undefined ? 0 : 1;
} else if (values.share !== undefined) {
  // Whoever began it has gone, and nobody would hear of it.
  process.once("disconnect", () => process.exit(1));
  const [index = 0, of = 1] = values.share.split("/").map(Number);
  const tally = await runShare(index, of);
  process.send?.(tally, () => process.disconnect());
} else {
  await runAll(Math.max(1, Number(values.processes)));
}

async function runShare(index: number, of: number): Promise<Tally> {
  const failures: Failure[] = [];
  const sums = { seeds: 0, virtualMs: 0, steps: 0, rows: 0 };
  for (let seed = from + index; seed < from + seeds; seed += of) {
    const { violation, virtualMs, steps, rows } = await run(seed, { except });
    sums.seeds += 1;
    sums.virtualMs += virtualMs;
    sums.steps += steps;
    sums.rows += rows;
    if (violation === undefined) continue;
    failures.push({ seed, invariant: violation.invariant, what: violation.message });
    if (violation.invariant === values.until) break;
  }
  return { ...sums, failures };
}

async function runAll(processes: number): Promise<void> {
  const begun = performance.now();
  console.log(`${seeds} seeds from ${from} at commit ${commit()}, ${processes} at a time`);
  const tallies = processes === 1 ? [await runShare(0, 1)] : await Promise.all(Array.from({ length: processes }, (_, index) => shareOf(index, processes)));
  const sum = (name: "seeds" | "virtualMs" | "steps" | "rows") => tallies.reduce((total, tally) => total + tally[name], 0);
  const failures = tallies.flatMap((tally) => tally.failures).sort((a, b) => a.seed - b.seed);
  const told = values.until === undefined ? failures.slice(0, TOLD_MAX) : failures.slice(-1);
  for (const { seed, what } of told) console.log(`seed ${seed} broke ${what}\n  npm run sim -- --verbose ${seed}`);
  if (failures.length > told.length) console.log(`and ${failures.length - told.length} more`);
  if (failures.length > 0) {
    const byInvariant = [...Map.groupBy(failures, ({ invariant }) => invariant)].sort(([, a], [, b]) => b.length - a.length);
    console.log(`by invariant: ${byInvariant.map(([invariant, of]) => `${invariant} ${of.length} (${of.slice(0, 5).map(({ seed }) => seed).join(", ")})`).join("; ")}`);
  }
  const tookS = (performance.now() - begun) / 1000;
  const years = (sum("virtualMs") / 3_600_000).toFixed(0);
  console.log(`${sum("seeds")} seeds, ${failures.length} failures; ${(sum("seeds") / tookS).toFixed(0)} seeds/s; ${sum("steps")} steps, ${sum("rows")} journal rows, ${years} hours of virtual time in ${tookS.toFixed(1)} s`);
  process.exitCode = failures.length === 0 ? 0 : 1;
}

function shareOf(index: number, of: number): Promise<Tally> {
  const child = fork(import.meta.filename, [...process.argv.slice(2), "--share", `${index}/${of}`]);
  return new Promise((resolve, reject) => {
    child.once("message", (tally) => resolve(tally as Tally));
    child.once("exit", (code) => reject(new Error(`a process of the simulation ended with ${code} and said nothing`)));
  });
}

function commit(): string {
  try {
    const git = (...args: string[]) => execFileSync("git", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
    return `${git("rev-parse", "--short", "HEAD")}${git("status", "--porcelain") === "" ? "" : " with changes"}`;
  } catch {
    return "unknown";
  }
}
