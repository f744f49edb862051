import fc from "fast-check";
import picocolors from "picocolors";
import { expect, test } from "vitest";
import { countsOf } from "../output/counts.ts";
import { apportion, bar, countsLine } from "./bar.ts";
import { width } from "./text.ts";

const colors = picocolors.createColors(false);

test("fills exactly its cells, and gives everything that is there at least one of them", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(100_000), { minLength: 1, maxLength: 8 }), fc.integer({ min: 1, max: 60 }), (amounts, cells) => {
      const shares = apportion(amounts, cells);
      const there = amounts.filter((amount) => amount > 0).length;
      const sum = shares.reduce((total, share) => total + share, 0);
      expect(sum).toBe(there === 0 ? 0 : cells);
      amounts.forEach((amount, index) => {
        if (amount === 0) expect(shares[index]).toBe(0);
        else if (there <= cells) expect(shares[index]).toBeGreaterThanOrEqual(1);
      });
    }),
  );
});

test("shows each state with a sign of its own, so that it needs no colours", () => {
  expect(bar({ ...countsOf(undefined), total: 10, healthy: 5, updating: 2, failed: 1, pending: 2 }, 10, colors)).toBe("█████▒▒×··");
});

test("shows one failed target among thousands", () => {
  expect(bar({ ...countsOf(undefined), total: 10_000, healthy: 9_999, failed: 1 }, 10, colors)).toBe("█████████×");
});

test("is blank when there are no targets", () => {
  expect(width(bar(countsOf(undefined), 10, colors))).toBe(10);
});

test("counts what is there, and only that", () => {
  expect(countsLine({ ...countsOf(undefined), total: 5, healthy: 3, updating: 2 }, colors)).toBe("3/5 healthy, 2 updating");
  expect(countsLine(countsOf(undefined, 14), colors)).toBe("0/14 healthy, 14 pending");
});
