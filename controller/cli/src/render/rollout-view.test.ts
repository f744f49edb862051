import { WavePhase } from "@muster/proto/gen/muster/v1/deployments.ts";
import picocolors from "picocolors";
import { expect, test } from "vitest";
import { NOON, rolledBackDeployment, rollingDeployment, wave } from "../fakes/samples.ts";
import { rolloutView } from "./rollout-view.ts";
import { width } from "./text.ts";
import type { ViewOptions } from "./view-options.ts";

const view = (columns: number, change: Partial<ViewOptions> = {}): ViewOptions => ({
  colors: picocolors.createColors(false),
  columns,
  now: NOON,
  ...change,
});

test("shows phase, waves, counts and what it waits for", () => {
  expect(rolloutView(rollingDeployment(), view(80))).toEqual([
    "d-7  shop-web 1.4.2  rolling  1m2s",
    "  ✓ wave 1  ██████████████████████████████  1/1 healthy",
    "  ▸ wave 2  ██████████████████▒▒▒▒▒▒▒▒▒▒▒▒  3/5 healthy, 2 updating",
    "    wave 3  ······························  0/14 healthy, 14 pending",
    "  waiting on: web-4 and web-5 to become healthy",
  ]);
});

test("gives the reason of a release that was taken back, over several lines if need be", () => {
  expect(rolloutView(rolledBackDeployment(), view(60))).toEqual([
    "d-7  shop-web 1.4.2  rolled back  1m2s",
    "  ✗ wave 1  ××××××××××  0/1 healthy, 1 failed",
    "  reason: wave 1: 1 of 1 targets failed, more than",
    "          max_failures 0; web-1 exited with code 1",
  ]);
});

test.each([24, 40, 60, 80, 120, 200])("no line is wider than %d columns", (columns) => {
  for (const deployment of [rollingDeployment(), rolledBackDeployment(), rollingDeployment({ app: "a".repeat(63), version: "1".repeat(64) })]) {
    for (const colors of [picocolors.createColors(false), picocolors.createColors(true)]) {
      const tooWide = rolloutView(deployment, view(columns, { colors })).filter((line) => width(line) > Math.max(columns, 40));
      expect(tooWide).toEqual([]);
    }
  }
});

test("folds waves so that a hundred of them fit the terminal, around the one that moves", () => {
  const waves = Array.from({ length: 100 }, (_, index) =>
    wave({ index: index + 1, size: 1, phase: index < 50 ? WavePhase.DONE : index === 50 ? WavePhase.ROLLING : WavePhase.PENDING }),
  );
  const lines = rolloutView(rollingDeployment({ waves }), view(80, { rows: 20 }));
  expect(lines.length).toBeLessThan(20);
  expect(lines.join("\n")).toContain("wave  51");
  expect(lines.join("\n")).toMatch(/… \d+ waves before/);
  expect(lines.join("\n")).toMatch(/… \d+ waves to come/);
});

test("does not let a machine's words move the cursor", () => {
  const lines = rolloutView(rollingDeployment({ waitingOn: "\u001b[2Jweb-4\r\n\u001b[Hgone" }), view(80));
  expect(lines.join("\n")).not.toContain("\u001b");
  expect(lines.at(-1)).toBe("  waiting on: web-4 gone");
});

test("does not count time before the start or after the end", () => {
  const [header] = rolloutView(rolledBackDeployment(), view(80, { now: NOON + 3_600_000 }));
  expect(header).toContain("1m2s");
});
