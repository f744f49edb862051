/** What a person went on knowing of counts no more, wherever the machine is then. */
import { describe, expect, test } from "vitest";
import { count, Harness, machineId } from "./rollout.fixture.ts";

describe("what a person knows of", () => {
  const GONE = { code: "removed", message: "anna removed it from the fleet" } as const;

  test("stays known when a machine that failed leaves the fleet", () => {
    const rollout = new Harness(3, { onFailure: "pause" });
    rollout.report(0, "failed");
    expect(rollout.phase).toBe("paused");
    rollout.command("resume");
    rollout.event({ kind: "removed", machine: machineId(0), reason: GONE, leftWell: false });
    expect([rollout.target(0).leftAs, rollout.phase]).toEqual(["failed", "rolling"]);
    rollout.report(1, "failed");
    expect(rollout.phase).toBe("paused");
  });

  test("stays known when a machine that was lost leaves the fleet", () => {
    const rollout = new Harness(8, { maxFailures: count(1), maxUnreachable: count(1), maxUnavailable: count(8) });
    rollout.report(0, "failed");
    rollout.report(1, "probing");
    rollout.silence(1);
    rollout.healthy(2, 3, 4, 5, 6, 7);
    // What it succeeded with is known.
    expect([rollout.phase, rollout.target(1).state, rollout.target(1).isKnown]).toEqual(["succeeded", "unreachable", true]);
    rollout.event({ kind: "removed", machine: machineId(1), reason: GONE, leftWell: false });
    expect([rollout.target(1).leftAs, rollout.target(1).isKnown, rollout.state.waves[0]!.acknowledgedUnreachable]).toEqual(["lost", true, 1]);
  });
});
