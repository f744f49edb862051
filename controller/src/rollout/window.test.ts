/** The sliding window, and those that take places in it: targets under way, and machines that are unwell for other reasons. */
import { describe, expect, test } from "vitest";
import { ALL, APPROVAL, count, fleetOf, Harness, HOUR, percent, START, wave } from "./rollout.fixture.ts";

describe("a good release", () => {
  test("goes wave by wave, no more than the window at once, to success", () => {
    const rollout = new Harness(6, { waves: [wave(count(1)), wave(percent(50)), ALL] });
    expect(rollout.moving()).toEqual([0]);
    rollout.healthy(0);
    expect(rollout.moving()).toEqual([1, 2]);
    rollout.healthy(1, 2);
    expect(rollout.moving()).toEqual([3, 4]);
    rollout.healthy(4);
    expect(rollout.moving()).toEqual([3, 5]);
    rollout.healthy(3, 5);
    expect(rollout.phase).toBe("succeeded");
    expect(rollout.times("target_assigned")).toBe(6);
    expect(rollout.times("wave_finished")).toBe(3);
  });

  test("is not moved on by what agents say on the way", () => {
    const rollout = new Harness(3);
    const before = rollout.log.length;
    for (const phase of ["pulling", "staged", "activating", "probing", "removing", "removed"] as const) rollout.report(0, phase);
    expect(rollout.states()).toBe("updating updating pending");
    expect(rollout.log.length).toBe(before);
  });

  test("has nothing to do where every machine runs it, and fails where there is no machine", () => {
    expect(new Harness(0).state.reason).toEqual({ code: "no_targets", message: "no machine has the labels role=web" });
    const rollout = new Harness(fleetOf(3, () => ({ runsRelease: true })));
    expect([rollout.phase, rollout.state.reason?.code]).toEqual(["succeeded", "unchanged"]);
  });
});

describe("the window slides", () => {
  test("the next target starts when one has become healthy, not when a batch ends", () => {
    const rollout = new Harness(5, { maxUnavailable: count(3) });
    expect(rollout.moving()).toEqual([0, 1, 2]);
    rollout.healthy(1);
    expect(rollout.moving()).toEqual([0, 2, 3]);
    rollout.healthy(3);
    expect(rollout.moving()).toEqual([0, 2, 4]);
  });

  test("a machine that changes already starts though the window is full of it, before one that is down", () => {
    const rollout = new Harness(4, { waves: [{ ...ALL, at: (START + HOUR) as never }], maxUnavailable: count(1) });
    rollout.report(1, "pulling");
    rollout.report(2, "failed");
    rollout.pass(HOUR);
    expect(rollout.moving()).toEqual([1]);
    rollout.report(0, "pulling");
    rollout.healthy(1);
    expect(rollout.moving()).toEqual([0]);
    rollout.healthy(0);
    expect(rollout.moving()).toEqual([2]);
  });

  test("a failure that is allowed makes room, too", () => {
    const rollout = new Harness(3, { maxUnavailable: count(1), maxFailures: count(1) });
    rollout.report(0, "reverted");
    expect(rollout.states()).toBe("failed updating pending");
  });

  test("it can be changed while the rollout runs, and a smaller one takes nobody back", () => {
    const rollout = new Harness(6);
    rollout.command("set_max_unavailable", { maxUnavailable: 4 });
    expect(rollout.moving()).toEqual([0, 1, 2, 3]);
    rollout.command("set_max_unavailable", { maxUnavailable: 1 });
    expect(rollout.moving()).toEqual([0, 1, 2, 3]);
    rollout.healthy(0, 1, 2);
    expect(rollout.moving()).toEqual([3]);
    rollout.healthy(3);
    expect(rollout.moving()).toEqual([4]);
  });
});

describe("machines that are unwell for other reasons", () => {
  test("take places", () => {
    const rollout = new Harness(8, { waves: [wave(count(6), { gates: [APPROVAL] }), ALL], maxUnavailable: count(3) });
    rollout.unwell(6);
    rollout.unwell(7);
    rollout.healthy(0, 1);
    expect(rollout.moving()).toEqual([2]);
    rollout.healthy(2);
    expect(rollout.moving()).toEqual([3]);
    rollout.unwell(7, false);
    expect(rollout.moving()).toEqual([3, 4]);
  });

  test("start before all others, and cost none of them a place", () => {
    const rollout = new Harness(6, { maxUnavailable: count(1) });
    rollout.unwell(4);
    rollout.unwell(5);
    expect(rollout.moving()).toEqual([0]);
    rollout.healthy(0);
    expect(rollout.moving()).toEqual([4]);
    rollout.healthy(4);
    expect(rollout.moving()).toEqual([5]);
    rollout.healthy(5);
    expect(rollout.moving()).toEqual([1]);
  });

  test("leave one place, however many they are", () => {
    const rollout = new Harness(6, { waves: [wave(count(3), { gates: [APPROVAL] }), ALL], maxUnavailable: count(2) });
    for (const index of [3, 4, 5]) rollout.unwell(index);
    rollout.healthy(0, 1);
    expect(rollout.moving()).toEqual([2]);
  });

  test("cost nothing more when it is their own turn, or while they are on the move", () => {
    const rollout = new Harness(4, { maxUnavailable: count(2) });
    rollout.unwell(0);
    rollout.unwell(2);
    rollout.healthy(1);
    expect(rollout.moving()).toEqual([0, 2]);
    rollout.healthy(2);
    rollout.unwell(2, false);
    expect(rollout.moving()).toEqual([0, 3]);
  });

  test("that are no targets are none of its business", () => {
    const rollout = new Harness(2);
    rollout.unwell(17);
    expect(rollout.state.availability.down.size).toBe(0);
  });
});

describe("the budget of a group of machines", () => {
  test("holds back whom it has no room for, and nobody else", () => {
    const rollout = new Harness(3, { maxUnavailable: count(3) });
    expect(rollout.moving()).toEqual([0, 1, 2]);
    const held = new Harness(4, { maxUnavailable: count(1) });
    held.world.budget = (id) => (id === "m-1" ? "role=db" : undefined);
    held.healthy(0);
    expect(held.moving()).toEqual([2]);
    held.healthy(2, 3);
    expect(held.moving()).toEqual([]);
    expect(held.waitsFor()).toBe("room in the budget of role=db");
    held.world.budget = () => undefined;
    held.event();
    expect(held.moving()).toEqual([1]);
  });

  test("is never too late: its deadline stands still while it is held", () => {
    const rollout = new Harness(2, { maxUnavailable: count(1) });
    rollout.world.budget = () => "";
    rollout.healthy(0);
    expect(rollout.waitsFor()).toBe("room in the budget of all machines");
    rollout.pass(100 * 60 * 60_000);
    rollout.world.budget = () => undefined;
    rollout.event();
    rollout.healthy(1);
    expect(rollout.phase).toBe("succeeded");
  });
});
