/** After success: machines that were away, cordoned or not yet there have their turn in the same window and budget. */
import { describe, expect, test } from "vitest";
import { rebuild } from "./derived.ts";
import { count, fleetOf, Harness, HOUR, machineId } from "./rollout.fixture.ts";

function join(rollout: Harness, index: number): void {
  rollout.event({ kind: "joined", target: { machine: machineId(index), lane: "" } });
}

/** Five machines, of which so many are silent; the others have taken the release. */
function withTail(silent: number): Harness {
  const rollout = new Harness(5);
  for (let index = 0; index < silent; index += 1) rollout.silence(index);
  while (rollout.phase === "rolling") rollout.healthy(...rollout.moving());
  expect(rollout.phase).toBe("succeeded");
  return rollout;
}

describe("the tail", () => {
  test("takes machines as they come back, inside the window", () => {
    const rollout = new Harness(6, { maxUnavailable: count(1) });
    for (const index of [1, 2, 3]) rollout.silence(index);
    rollout.healthy(0, 4, 5);
    expect([rollout.phase, rollout.states()]).toEqual(["succeeded", "healthy unreachable unreachable unreachable healthy healthy"]);
    for (const index of [1, 2, 3]) rollout.hear(index);
    expect(rollout.moving()).toEqual([1]);
    rollout.healthy(1);
    expect(rollout.moving()).toEqual([2]);
    rollout.healthy(2, 3);
    expect(rollout.states()).toBe("healthy healthy healthy healthy healthy healthy");
  });

  test("takes machines that are cordoned no longer", () => {
    const rollout = new Harness(fleetOf(3, (index) => ({ cordoned: index === 2 })));
    rollout.healthy(0, 1);
    expect([rollout.phase, rollout.states()]).toEqual(["succeeded", "healthy healthy skipped"]);
    rollout.uncordon(2);
    expect(rollout.moving()).toEqual([2]);
  });

  test("takes machines that join, once each", () => {
    const rollout = withTail(0);
    for (const index of [7, 8, 9, 7]) join(rollout, index);
    expect(rollout.moving()).toEqual([7, 8]);
    rollout.healthy(7, 8, 9);
    expect(rollout.state.waves.at(-1)!.counts.healthy).toBe(8);
  });

  test("takes machines that join a rollout that had nobody to change", () => {
    const rollout = new Harness(fleetOf(2, () => ({ runsRelease: true })));
    join(rollout, 5);
    expect(rollout.moving()).toEqual([5]);
    rollout.healthy(5);
    expect(rollout.phase).toBe("succeeded");
  });

  test("is for rollouts that have succeeded: nobody joins another", () => {
    const rollout = new Harness(2, { maxUnavailable: count(1) });
    join(rollout, 5);
    rollout.command("abort");
    join(rollout, 5);
    expect(rollout.state.targets.size).toBe(2);
  });

  test("is never late, and never takes anything back", () => {
    const rollout = withTail(0);
    join(rollout, 7);
    rollout.pass(1000 * HOUR);
    rollout.report(7, "failed");
    expect([rollout.phase, rollout.moving()]).toEqual(["succeeded", []]);
  });

  test("trips with more failures than the budget allows, and leaves the others as they are until somebody retries", () => {
    const rollout = withTail(0);
    for (const index of [6, 7, 8]) join(rollout, index);
    rollout.report(6, "failed");
    rollout.healthy(7);
    expect(rollout.moving()).toEqual([]);
    expect(rollout.target(8).state).toBe("pending");
    rollout.command("retry");
    expect(rollout.moving()).toEqual([6, 8]);
  });

  test("does not count failures that the rollout had succeeded with", () => {
    const rollout = new Harness(4, { maxFailures: count(1) });
    rollout.report(0, "failed");
    rollout.healthy(1, 2, 3);
    expect(rollout.phase).toBe("succeeded");
    join(rollout, 7);
    rollout.report(7, "failed");
    join(rollout, 8);
    expect(rollout.moving()).toEqual([8]);
    rollout.report(8, "failed");
    join(rollout, 9);
    expect(rollout.moving()).toEqual([]);
  });

  test("goes back with the others in a rollback", () => {
    const rollout = new Harness(1);
    rollout.healthy(0);
    join(rollout, 7);
    rollout.healthy(7);
    rollout.command("rollback");
    rollout.healthy(7, 0);
    expect([rollout.phase, rollout.states()]).toEqual(["rolled_back", "reverted reverted"]);
  });

  test("is there again after a restart", () => {
    const rollout = new Harness(6, { maxUnavailable: count(1) });
    for (const index of [1, 2]) rollout.silence(index);
    rollout.healthy(0, 3, 4, 5);
    for (const index of [1, 2]) rollout.hear(index);
    rollout.state.moving.clear();
    rebuild(rollout.state);
    rollout.healthy(1);
    expect(rollout.moving()).toEqual([2]);
  });
});
