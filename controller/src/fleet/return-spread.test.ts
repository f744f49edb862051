import { describe, expect, test } from "vitest";
import { returnSpreadMs } from "./return-spread.ts";

describe("the spread of a return", () => {
  test("grows with the fleet, so that the rate of handshakes does not", () => {
    const [small, large] = [returnSpreadMs(1_000), returnSpreadMs(10_000)];
    expect(large).toBe(10 * small);
    expect(10_000 / (large / 1000)).toBe(1_000 / (small / 1000));
  });

  test("lets ten thousand be back within a minute", () => {
    expect(returnSpreadMs(10_000)).toBeLessThan(60_000);
  });

  test("is nothing that anybody notices in a small fleet", () => {
    expect(returnSpreadMs(0)).toBe(0);
    expect(returnSpreadMs(10)).toBeLessThan(100);
  });

  test("is bounded, whatever the size", () => {
    expect(returnSpreadMs(10_000_000)).toBe(returnSpreadMs(1_000_000));
    expect(returnSpreadMs(10_000_000)).toBeLessThanOrEqual(10 * 60_000);
  });
});
