/** A machine owes reports: nothing passes by its word, and that is waited for as long as progress_deadline says. */
import { describe, expect, test } from "vitest";
import { Harness, machineId, MINUTE, SECOND } from "./rollout.fixture.ts";

describe("reports that do not come in", () => {
  /** m-0 has said that it is healthy, and owes reports. */
  function owing(): Harness {
    const rollout = new Harness(2);
    rollout.world.owed.add(machineId(0));
    rollout.healthy(0, 1);
    expect([rollout.phase, rollout.waitsFor()]).toEqual(["rolling", "reports of m-0 to come in"]);
    return rollout;
  }

  test("are waited for as long as progress_deadline says, and no longer", () => {
    const rollout = owing();
    rollout.pass(10 * MINUTE - SECOND);
    expect(rollout.phase).toBe("rolling");
    rollout.pass(2 * SECOND);
    expect([rollout.phase, rollout.state.reason?.message]).toEqual(["rolling_back", "waited for reports of m-0 to come in for 10m (progress_deadline)"]);
  });

  test("count once they are there", () => {
    const rollout = owing();
    rollout.pass(5 * MINUTE);
    rollout.world.owed.clear();
    rollout.pass(SECOND);
    expect(rollout.phase).toBe("succeeded");
  });
});
