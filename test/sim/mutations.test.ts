/** The simulation can fail: for each of its invariants there is a bug that it finds. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { INVARIANTS } from "./violation.ts";
import { MUTATIONS } from "./mutations.ts";

/** Of which one must find the bug; without it all of them pass (sim.test.ts). */
const SEEDS = 200;
const here = import.meta.dirname;

function simulate(mutation: string, until: string): Promise<string> {
  const preload = `${pathToFileURL(join(here, "mutate.ts")).href}?${encodeURIComponent(mutation)}`;
  const args = ["--import", preload, join(here, "main.ts"), "--seeds", String(SEEDS), "--processes", "1", "--until", until];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { timeout: 110_000 }, (_, stdout, stderr) => resolve(stdout + stderr));
  });
}

describe("a bug", () => {
  test.concurrent.each(MUTATIONS)("is found: $name", async ({ name, breaks }) => {
    expect(await simulate(name, breaks)).toMatch(new RegExp(`^seed \\d+ broke ${breaks}:`, "m"));
  });

  test("is there for every invariant", () => {
    expect(INVARIANTS.filter((invariant) => !MUTATIONS.some(({ breaks }) => breaks === invariant))).toEqual([]);
  });

  test("must be in the source, or the mutation is refused", async () => {
    expect(await simulate("no such mutation", "window")).toContain('there is no mutation "no such mutation"');
  });
});
