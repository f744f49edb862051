/** How many of its machines a release may lose before it is suspected: one, or a tenth of them, whichever is the most. */
import { expect, test } from "vitest";
import { Harness, MINUTE } from "./rollout.fixture.ts";
import { isSuspicious, tolerated } from "./suspicion.ts";

test.each([
  [1, 1],
  [9, 1],
  [19, 1],
  [20, 2],
  [29, 2],
  [100, 10],
])("of %i machines %i may be lost", (machines, most) => {
  expect(tolerated(machines)).toBe(most);
});

/** All of 20 machines take the release, and so many are lost with it. */
function losing(lost: number): Harness {
  const rollout = new Harness(20, { maxUnavailable: { kind: "count", count: 20 } });
  for (let index = 0; index < lost; index += 1) {
    rollout.report(index, "probing");
    rollout.silence(index);
  }
  for (let index = lost; index < 20; index += 1) rollout.healthy(index);
  return rollout;
}

test("two of twenty may have been lost by chance, and the rollout goes on", () => {
  const rollout = losing(2);
  expect([isSuspicious(rollout.state), rollout.phase]).toEqual([false, "succeeded"]);
});

test("three of twenty are waited for, and the release is taken back when they are not heard", () => {
  const rollout = losing(3);
  expect([isSuspicious(rollout.state), rollout.phase]).toEqual([true, "rolling"]);
  rollout.pass(11 * MINUTE);
  expect(rollout.phase).toBe("rolling_back");
});
