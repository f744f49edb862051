/** A wave's success threshold: enough of it are healthy, the next may begin, and the others go on. */
import type { Instant } from "@muster/proto/ids.ts";
import { describe, expect, test } from "vitest";
import type { Strategy, WaveSpec } from "../plan/strategy.ts";
import { ALL, APPROVAL, count, Harness, MINUTE, percent, SECOND, soak, wave } from "./rollout.fixture.ts";

/** Ten machines, five in the first wave, of which three are enough; four may be unavailable at once. */
function halfAndHalf(first: Partial<WaveSpec> = {}, changes: Partial<Strategy> = {}): Harness {
  const waves = [wave(count(5), { successThreshold: percent(60), ...first }), ALL];
  return new Harness(10, { waves, maxUnavailable: count(4), maxFailures: count(1), onFailure: "pause", ...changes });
}

const begun = ({ state }: Harness): number => state.waves.filter(({ startedAt }) => startedAt !== null).length;

describe("enough of a wave", () => {
  test("let the next one begin, no sooner, and the others keep their places", () => {
    const rollout = halfAndHalf();
    rollout.healthy(0, 1);
    expect(rollout.moving()).toEqual([2, 3, 4]);
    expect(begun(rollout)).toBe(1);
    expect(rollout.waitsFor()).toBe("m-2, m-3, m-4 to be healthy for 5s; wave 1 passes with 3 of 5 healthy");
    rollout.healthy(2);
    expect(rollout.moving()).toEqual([3, 4, 5, 6]);
    expect(begun(rollout)).toBe(2);
    expect(rollout.waitsFor()).toBe("m-3, m-4, m-5 and 1 more to be healthy for 5s; 3 more of wave 2 to come");
  });

  test("do not take the turn of its other targets", () => {
    const rollout = new Harness(10, { waves: [wave(count(5), { successThreshold: count(1) }), ALL], maxUnavailable: count(2) });
    expect(rollout.moving()).toEqual([0, 1]);
    rollout.healthy(0);
    expect(rollout.moving()).toEqual([1, 2]);
    expect(begun(rollout)).toBe(2);
    expect(rollout.waitsFor()).toBe("m-1, m-2 to be healthy for 5s; 2 more of wave 1 and 5 more of wave 2 to come");
    rollout.healthy(1, 2);
    expect(rollout.moving()).toEqual([3, 4]);
    rollout.healthy(4);
    expect(rollout.moving()).toEqual([3, 5]);
  });

  test("are as many as there are, when more were asked for", () => {
    const rollout = halfAndHalf({ successThreshold: count(7) });
    expect(rollout.state.waves.map(({ successThreshold }) => successThreshold)).toEqual([5, null]);
  });

  test("are not there when a wave settles with fewer, and it passes within its budgets all the same", () => {
    const rollout = halfAndHalf({ successThreshold: percent(100) });
    rollout.healthy(0, 1, 2, 3);
    expect(begun(rollout)).toBe(1);
    rollout.report(4, "failed");
    expect(begun(rollout)).toBe(2);
  });

  test("are of the wave under way: one without a threshold waits for the targets of those before it, too", () => {
    const rollout = new Harness(6, { waves: [wave(count(2), { successThreshold: count(1) }), wave(count(4)), ALL], maxUnavailable: count(6) });
    rollout.healthy(0, 2, 3);
    expect(begun(rollout)).toBe(2);
    rollout.healthy(1);
    expect(begun(rollout)).toBe(3);
  });

  test("need no silent machines to be waited for", () => {
    const rollout = halfAndHalf({}, { offline: { kind: "wait", forMs: null } });
    rollout.silence(4);
    rollout.healthy(0, 1);
    expect(begun(rollout)).toBe(1);
    rollout.healthy(2);
    expect(begun(rollout)).toBe(2);
  });
});

describe("those that go on", () => {
  test("count as failed in their wave, and stop the rollout", () => {
    const rollout = halfAndHalf();
    rollout.healthy(0, 1, 2);
    rollout.report(3, "failed");
    expect(rollout.phase).toBe("rolling");
    rollout.report(4, "failed");
    expect(rollout.phase).toBe("paused");
    expect(rollout.state.reason?.message).toContain("2 machines failed in wave 1, 1 allowed");
  });

  test("count as unreachable in their wave", () => {
    const rollout = halfAndHalf({ maxUnreachable: count(0) });
    rollout.healthy(0, 1, 2);
    rollout.silence(3);
    expect(rollout.state.reason?.message).toContain("1 machine of wave 1 is silent, 0 allowed");
  });

  test("are waited for before the rollout ends", () => {
    const rollout = halfAndHalf();
    rollout.healthy(0, 1, 2, 5, 6, 7, 8, 9);
    expect(rollout.phase).toBe("rolling");
    expect(rollout.waitsFor()).toBe("m-3, m-4 to be healthy for 5s");
    rollout.healthy(3, 4);
    expect(rollout.phase).toBe("succeeded");
  });

  test("go back with the others", () => {
    const rollout = halfAndHalf({}, { onFailure: "rollback", maxFailures: count(0) });
    rollout.healthy(0, 1, 2);
    rollout.report(5, "failed");
    expect(rollout.phase).toBe("rolling_back");
    for (const index of [6, 5, 3, 4, 2, 1, 0]) if (rollout.target(index).state === "reverting") rollout.report(index, "healthy", { runs: "1" });
    for (const index of [0, 1, 2, 3, 4, 5, 6]) if (rollout.target(index).state === "reverting") rollout.report(index, "healthy", { runs: "1" });
    expect(rollout.phase).toBe("rolled_back");
  });
});

describe("a gate behind enough", () => {
  test("is asked while the others are on the move, which have their turn beside it", () => {
    const rollout = halfAndHalf({ gates: [APPROVAL] }, { maxUnavailable: count(1) });
    rollout.healthy(0, 1, 2);
    expect(rollout.moving()).toEqual([3]);
    expect(rollout.waitsFor()).toBe("somebody to approve wave 1");
    rollout.healthy(3);
    expect(rollout.moving()).toEqual([4]);
    expect(rollout.waitsFor()).toBe("somebody to approve wave 1");
    rollout.command("approve");
    expect(begun(rollout)).toBe(2);
    expect(rollout.moving()).toEqual([4]);
    expect(rollout.times("held")).toBe(1);
  });

  test("lets progress_deadline stand still", () => {
    const rollout = halfAndHalf({ gates: [APPROVAL] }, { progressDeadlineMs: 2 * MINUTE });
    rollout.healthy(0, 1, 2);
    rollout.pass(10 * MINUTE);
    expect(rollout.phase).toBe("rolling");
    rollout.command("approve");
    rollout.pass(2 * MINUTE - 1);
    expect(rollout.phase).toBe("rolling");
    rollout.pass(1);
    expect(rollout.state.reason?.code).toBe("progress_deadline");
  });

  test("is left again when one of the wave fails and they are too few", () => {
    const rollout = halfAndHalf({ gates: [APPROVAL] });
    rollout.healthy(0, 1, 2);
    rollout.report(0, "unhealthy");
    expect(rollout.waitsFor()).toBe("m-3, m-4 to be healthy for 5s; wave 1 passes with 3 of 5 healthy");
    rollout.command("promote");
    expect(begun(rollout)).toBe(1);
    rollout.healthy(3);
    expect(begun(rollout)).toBe(2);
  });

  test("soaks on while others begin and become healthy, and anew when one gets worse", () => {
    const rollout = halfAndHalf({ gates: [soak(5 * MINUTE)] }, { maxUnavailable: count(1) });
    rollout.healthy(0, 1, 2);
    rollout.pass(4 * MINUTE);
    rollout.healthy(3);
    rollout.pass(MINUTE - 1);
    expect(begun(rollout)).toBe(1);
    rollout.pass(1);
    expect(begun(rollout)).toBe(2);

    const worse = halfAndHalf({ gates: [soak(5 * MINUTE)] });
    worse.healthy(0, 1, 2);
    worse.pass(4 * MINUTE);
    worse.report(3, "failed");
    worse.pass(5 * MINUTE - 1);
    expect(begun(worse)).toBe(1);
    worse.pass(1);
    expect(begun(worse)).toBe(2);
  });

  test("opens in a freeze, at whose end whoever had no turn in the wave goes first", () => {
    const rollout = halfAndHalf({ gates: [soak(MINUTE)] }, { maxUnavailable: count(1) });
    rollout.healthy(0, 1);
    rollout.world.freeze = { until: (rollout.now + 2 * MINUTE) as Instant };
    rollout.healthy(2);
    expect(rollout.moving()).toEqual([]);
    expect(rollout.waitsFor()).toContain("the soak of wave 1");
    rollout.pass(MINUTE);
    expect(begun(rollout)).toBe(2);
    expect(rollout.waitsFor()).toBe("the end of the freeze");
    rollout.pass(MINUTE);
    expect(rollout.moving()).toEqual([3]);
  });

  test("and a freeze that ends before it: the others have their turn then", () => {
    const rollout = halfAndHalf({ gates: [soak(5 * MINUTE)] }, { maxUnavailable: count(1) });
    rollout.healthy(0, 1);
    rollout.world.freeze = { until: (rollout.now + MINUTE) as Instant };
    rollout.healthy(2);
    rollout.pass(MINUTE);
    expect(rollout.moving()).toEqual([3]);
    expect(begun(rollout)).toBe(1);
  });

  test("holds the next wave until its own time, while the others go on", () => {
    const waves = [wave(count(2), { successThreshold: count(1) }), wave(percent(100), { afterMs: MINUTE })];
    const rollout = new Harness(4, { waves, maxUnavailable: count(1) });
    rollout.healthy(0);
    expect(rollout.moving()).toEqual([1]);
    expect(rollout.waitsFor()).toContain("wave 2 to begin at");
    rollout.pass(MINUTE);
    expect(begun(rollout)).toBe(2);
    rollout.pass(SECOND);
    expect(rollout.moving()).toEqual([1]);
  });
});
