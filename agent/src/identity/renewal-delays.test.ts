import { describe, expect, it } from "vitest";
import { askedDelayMs, retryDelayMs } from "./renewal-delays.ts";

const over = (delay: (fraction: number) => number): number[] => Array.from({ length: 100 }, (_, index) => delay(index / 100));

describe("a renewal", () => {
  it("that all machines are asked for is spread over what a fleet of their number needs", () => {
    const delays = over((fraction) => askedDelayMs({ spreadMs: 40_000, fraction }));
    expect(Math.min(...delays)).toBe(0);
    expect(Math.max(...delays)).toBeGreaterThan(39_000);
    expect(delays.filter((ms) => ms < 20_000)).toHaveLength(50);
  });

  it("that a few machines are asked for is spread over some seconds all the same", () => {
    expect(Math.max(...over((fraction) => askedDelayMs({ spreadMs: 40, fraction })))).toBeGreaterThan(9_000);
  });

  it("that failed is tried again later and later, and by a large fleet never in a crowd", () => {
    expect(over((fraction) => retryDelayMs(1_000, { spreadMs: 0, fraction })).every((ms) => ms >= 1_000 && ms < 2_000)).toBe(true);
    const large = over((fraction) => retryDelayMs(1_000, { spreadMs: 40_000, fraction }));
    expect(large.filter((ms) => ms < 4_000).length).toBeLessThanOrEqual(10);
    expect(Math.min(...large)).toBeGreaterThanOrEqual(1_000);
  });
});
