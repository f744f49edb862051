/**
 * Everything that must hold before a change is done: `npm run verify`, which `npm test` and .ci/run call.
 *
 * All of it runs, though an early part has failed, and the last line is `N passed, N failed, N skipped`. The numbers are vitest's, over all its
 * projects; added to `failed` are the checks that found something, test files that could not be loaded, and a vitest that ended before
 * it could report. Where CI is set, a skipped test fails the run: what cannot run there is not verified anywhere.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { summarize } from "./summary.ts";
import type { Check } from "./summary.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const OUT = join(ROOT, ".verify");
const REPORT = join(OUT, "vitest.json");
/** .ci/run prints it, whatever else has happened. */
const LAST_LINE = join(OUT, "last-line.txt");

/** npm scripts of the root, quick ones first. */
const CHECKS = ["types", "lint:code", "lint:proto", "lint:imports", "lint:unused"] as const;

function passes(name: string, command: readonly string[]): Check {
  console.log(`\n── ${name}`);
  const [program, ...args] = command;
  const { status, error } = spawnSync(program!, args, { cwd: ROOT, stdio: "inherit" });
  if (error !== undefined) console.error(error.message);
  return { name, passed: error === undefined && status === 0 };
}

function readReport(): string | undefined {
  try {
    return readFileSync(REPORT, "utf8");
  } catch {
    return undefined;
  }
}

rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT);

const checks = CHECKS.map((script) => passes(script, ["npm", "run", "--silent", script]));
const vitest = passes("tests", ["vitest", "run", "--reporter=default", "--reporter=json", `--outputFile.json=${REPORT}`]);
const summary = summarize(checks, vitest.passed, readReport(), process.env["CI"] !== undefined);

console.log(`\n${[...summary.notes, summary.lastLine].join("\n")}`);
writeFileSync(LAST_LINE, `${summary.lastLine}\n`);
process.exitCode = summary.passed ? 0 : 1;
