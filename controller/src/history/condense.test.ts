import { expect, test } from "vitest";
import type { Instant } from "@muster/proto/ids.ts";
import { Condenser } from "./condense.ts";

test("a story that is ten times as long is condensed with ten times the work", () => {
  expect(stepsFor(5000) / stepsFor(500)).toBeLessThan(12);
});

test("what thousands of machines did in the same way is one sentence", () => {
  const condenser = storyOf(5000);
  expect(condenser.lines().map(({ text }) => text)).toEqual(["5000 machines were assigned the release and 5000 machines became healthy, within 5s"]);
});

/** Elements that arrays hand out, one by one. */
function stepsFor(machines: number): number {
  const condenser = storyOf(machines);
  const iterate = Array.prototype[Symbol.iterator];
  let steps = 0;
  Array.prototype[Symbol.iterator] = function* <T>(this: readonly T[]): ArrayIterator<T> {
    for (let index = 0; index < this.length; index += 1) {
      steps += 1;
      yield this[index]!;
    }
  };
  try {
    condenser.lines();
  } finally {
    Array.prototype[Symbol.iterator] = iterate;
  }
  return steps;
}

function storyOf(machines: number): Condenser {
  const condenser = new Condenser();
  for (let index = 0; index < machines; index += 1) {
    for (const sum of ["told", "healthy"] as const) condenser.push({ seq: index, at: (index + (index === machines - 1 ? 1 : 0)) as Instant, machine: `m-${index}`, kind: "target_changed", text: "", isKey: false, sum });
  }
  return condenser;
}
