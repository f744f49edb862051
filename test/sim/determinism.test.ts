/** The same seed is the same run, to the byte: every message, fault, act and row of the journal. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { run } from "./run.ts";

/** The first is of a large fleet, and one has its journal on a file, with an archive. */
const SEEDS = [1_000, 1_001, 1_002, 1_003, 1_004, 1_007];

test.each(SEEDS)("seed %i runs twice alike", async (seed) => {
  const first = await run(seed, { digest: true });
  expect(await run(seed, { digest: true })).toEqual(first);
});

test("a seed runs alike in a process of its own, and is told as it was hashed", async () => {
  const told = spawnSync(process.execPath, [join(import.meta.dirname, "main.ts"), "--verbose", "1001"], { encoding: "utf8", maxBuffer: 2 ** 26 }).stdout;
  const { digest } = await run(1_001, { digest: true });
  expect(told).toContain(digest);
});

test("other seeds are other runs", async () => {
  const digests = await Promise.all([1, 2, 3].map(async (seed) => (await run(seed, { digest: true })).digest));
  expect(new Set(digests).size).toBe(3);
});

test("that somebody listens changes nothing", async () => {
  const heard = await run(7, { digest: true });
  const alone = await run(7);
  expect({ ...alone, digest: heard.digest }).toEqual(heard);
});
