import { describe, expect, it } from "vitest";
import { EPOCH_MAX, epochOf, generationOf, numberOf } from "./generation.ts";

describe("a generation", () => {
  it("of the first epoch is the controller's own number", () => {
    expect(generationOf(0, 42)).toBe(42);
  });

  it("of a later epoch is above each of an earlier one", () => {
    expect(generationOf(1, 1)).toBeGreaterThan(generationOf(0, 2 ** 40 - 1));
  });

  it("falls apart again into what it was made of, up to the last epoch", () => {
    for (const [epoch, number] of [[0, 1], [1, 7], [EPOCH_MAX, 2 ** 40 - 1]] as const) {
      const generation = generationOf(epoch, number);
      expect(Number.isSafeInteger(generation)).toBe(true);
      expect([epochOf(generation), numberOf(generation)]).toEqual([epoch, number]);
    }
  });

  it("of nothing is nothing in every epoch", () => {
    expect(generationOf(3, 0)).toBe(0);
  });
});
