import { describe, expect, it } from "vitest";
import { boundedSpreadMs, RETURN_SPREAD_MS_MAX, returnDelayMs } from "./return.ts";

const delays = (spreadMs: number, failures: number, agents = 1_000): number[] =>
  Array.from({ length: agents }, (_, agent) => returnDelayMs({ spreadMs, failures, fraction: agent / agents }));

describe("when an agent connects again", () => {
  it("is spread evenly over the time that the fleet needs", () => {
    const all = delays(40_000, 0);
    for (let second = 2; second < 42; second += 1) {
      const within = all.filter((ms) => ms >= second * 1_000 && ms < (second + 1) * 1_000).length;
      expect(within).toBe(25);
    }
  });

  it("is not before a controller that was killed can be there again", () => {
    expect(Math.min(...delays(40_000, 0))).toBe(2_000);
    expect(Math.min(...delays(40_000, 5))).toBe(2_000);
  });

  it("is at once in a small fleet, after a session that was lost", () => {
    expect(Math.max(...delays(0, 0))).toBeLessThanOrEqual(250);
    expect(Math.max(...delays(40, 0))).toBeLessThanOrEqual(270);
  });

  it("is later and later while it fails, and within seconds all the same", () => {
    const longest = [0, 1, 2, 3, 10, 1_000].map((failures) => Math.max(...delays(0, failures)));
    expect(longest).toEqual(longest.toSorted((a, b) => a - b));
    expect(longest.at(-1)).toBeLessThanOrEqual(5_000);
    expect(longest.at(-1)).toBeGreaterThan(4_900);
  });

  it("is never sooner for a large fleet that fails than for one that was lost", () => {
    expect(delays(40_000, 7)).toEqual(delays(40_000, 0));
  });
});

describe("a spread that was heard", () => {
  it("keeps nobody away for ever, nor back in time", () => {
    expect(boundedSpreadMs(Number.MAX_SAFE_INTEGER)).toBe(RETURN_SPREAD_MS_MAX);
    expect(boundedSpreadMs(-1)).toBe(0);
    expect(boundedSpreadMs(4_000)).toBe(4_000);
  });
});
