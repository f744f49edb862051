/** Five hundred fleets with bad luck, on all cores: the engine keeps its promises in each. More of them: `npm run sim -- --seeds N --from S`. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

const SEEDS = 500;
/** On a machine that does much else. */
const PATIENCE_MS = 15 * 60_000;

test(`${SEEDS} seeds break no invariant, and everything settles`, async () => {
  const told = await new Promise<string>((resolve) => {
    execFile(process.execPath, [join(import.meta.dirname, "main.ts"), "--seeds", String(SEEDS)], { maxBuffer: 2 ** 24 }, (_, stdout, stderr) => resolve(stdout + stderr));
  });
  expect(told).toContain(`${SEEDS} seeds, 0 failures;`);
}, PATIENCE_MS);
