/** What is counted does not depend on how many are named. */
import { expect, test } from "vitest";
import { TALLY_NAMED_MAX, tallied } from "./tally.ts";

const kindOf = (value: string): string => value.slice(0, 1);
const many = (kind: string, count: number): readonly string[] => Array.from({ length: count }, (_, index) => `${kind}${index}`);

test("all are counted by kind, and the first of each kind are kept", () => {
  const { groups, count } = tallied([...many("a", 400), "b0", ...many("c", 12)], kindOf);
  expect(groups.map(({ count: of, first }) => [of, first[0], first.length])).toEqual([
    [400, "a0", TALLY_NAMED_MAX],
    [1, "b0", 1],
    [12, "c0", TALLY_NAMED_MAX],
  ]);
  expect(count).toBe(413);
});

test("among those that are named is one of each kind, in their order", () => {
  expect(tallied([...many("a", 400), "b0", ...many("c", 12)], kindOf).targets).toEqual([...many("a", 8), "b0", "c0"]);
  expect(tallied(["b0", "a0", "b1"], kindOf).targets).toEqual(["b0", "a0", "b1"]);
  expect(tallied([], kindOf)).toEqual({ groups: [], targets: [], count: 0 });
});

test("of more kinds than are named there are still not more named", () => {
  const kinds = Array.from({ length: 15 }, (_, index) => String.fromCodePoint(97 + index));
  const { targets, groups } = tallied(kinds, kindOf);
  expect([targets.length, groups.length]).toEqual([TALLY_NAMED_MAX, 15]);
});
