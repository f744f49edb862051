/** The simulation can fail: for each of its invariants there is a bug that it finds. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { INVARIANTS } from "./violation.ts";
import { MUTATIONS } from "./mutations.ts";

/** Of which one must find the bug; without it all of them pass (sim.test.ts). */
const SEEDS = 200;
/** Which need not be named. */
const NEAR = 5;
/** For all seeds, on a machine that does much else; the runs share its cores. */
const PATIENCE_MS = 15 * 60_000;
const here = import.meta.dirname;

/** `until`: the invariant that is to find it, which is the only one that is judged: another may see the same bug earlier in each run. */
function simulate(mutation: string, until: string, { from, seeds } = { from: 1, seeds: SEEDS }): Promise<string> {
  const preload = `${pathToFileURL(join(here, "mutate.ts")).href}?${encodeURIComponent(mutation)}`;
  const args = ["--import", preload, join(here, "main.ts"), "--from", String(from), "--seeds", String(seeds), "--processes", "1", "--only", until, "--until", until];
  return new Promise((resolve) => {
    execFile(process.execPath, args, (_, stdout, stderr) => resolve(stdout + stderr));
  });
}

describe("a bug", () => {
  test.concurrent.each(MUTATIONS)("is found: $name", async ({ name, breaks, seed, from = 1 }) => {
    const found = new RegExp(`^seed (\\d+) broke ${breaks}:`, "m");
    if (seed !== undefined && seed < from + SEEDS && found.test(await simulate(name, breaks, { from: seed, seeds: 1 }))) return;
    const told = await simulate(name, breaks, { from, seeds: SEEDS });
    expect(told).toMatch(found);
    const finder = Number(found.exec(told)![1]);
    if (finder > from + NEAR) console.warn(`"${name}" is found by seed ${finder}, which mutations.ts does not name: with it this test takes seconds`);
  }, PATIENCE_MS);

  test("is there for every invariant", () => {
    expect(INVARIANTS.filter((invariant) => !MUTATIONS.some(({ breaks }) => breaks === invariant))).toEqual([]);
  });

  test("must be in the source, or the mutation is refused", async () => {
    expect(await simulate("no such mutation", "window")).toContain('there is no mutation "no such mutation"');
  });
});
