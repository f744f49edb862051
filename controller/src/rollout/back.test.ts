/** The way back: who goes, in which order, inside which limits, and how it ends. */
import { describe, expect, test } from "vitest";
import type { Strategy } from "../plan/strategy.ts";
import { ALL, count, fleetOf, Harness, machineId, MINUTE, wave } from "./rollout.fixture.ts";

function succeeded(machines: number, changes: Partial<Strategy> = {}): Harness {
  const rollout = new Harness(machines, changes);
  while (rollout.phase === "rolling") rollout.healthy(...rollout.moving());
  return rollout;
}

describe("a rollback", () => {
  test("takes those under way at once, and then every changed machine, the newest wave first", () => {
    const rollout = new Harness(6, { waves: [wave(count(1)), wave(count(3)), ALL] });
    rollout.healthy(0);
    rollout.report(1, "reverted", { message: "exited with code 1" });
    expect(rollout.states()).toBe("healthy reverting reverting pending pending pending");
    rollout.healthy(1);
    expect(rollout.target(0).state).toBe("healthy");
    rollout.healthy(2);
    expect(rollout.states()).toBe("reverting reverted reverted pending pending pending");
    rollout.healthy(0);
    expect([rollout.phase, rollout.state.reason?.code]).toEqual(["rolled_back", "exited"]);
    expect(rollout.target(1).reason?.message).toBe("exited with code 1");
    expect(rollout.target(2).reason).toBeNull();
  });

  test("keeps to the window", () => {
    const rollout = succeeded(5);
    rollout.command("rollback");
    expect(rollout.moving()).toEqual([3, 4]);
    rollout.healthy(3);
    expect(rollout.moving()).toEqual([2, 4]);
    rollout.healthy(2, 4);
    expect(rollout.moving()).toEqual([0, 1]);
  });

  test("keeps to the lanes", () => {
    const fleet = fleetOf(4, (index) => ({ labels: { zone: index < 2 ? "a" : "b" } }));
    const rollout = new Harness(fleet, { maxUnavailablePer: [{ label: "zone", max: 1 }] });
    while (rollout.phase === "rolling") rollout.healthy(...rollout.moving());
    rollout.command("rollback");
    expect(rollout.moving()).toEqual([1, 3]);
    rollout.healthy(1);
    expect(rollout.moving()).toEqual([0, 3]);
  });

  test("keeps to the budgets of groups, and waits for them however long", () => {
    const rollout = succeeded(3);
    rollout.world.budget = (machine, purpose) => (machine === "m-1" && purpose === "revert" ? "role=db" : undefined);
    rollout.command("rollback");
    expect(rollout.moving()).toEqual([0, 2]);
    rollout.healthy(0, 2);
    expect([rollout.phase, rollout.waitsFor()]).toEqual(["rolling_back", "room in the budget of role=db"]);
    rollout.pass(1000 * MINUTE);
    rollout.world.budget = () => undefined;
    rollout.event();
    expect(rollout.moving()).toEqual([1]);
    rollout.healthy(1);
    expect(rollout.phase).toBe("rolled_back");
  });

  test("is not held up by machines that are lost: it ends without them, and takes them back when they are heard", () => {
    const rollout = new Harness(3, { maxUnavailable: count(3) });
    rollout.silence(2);
    rollout.report(0, "reverted");
    rollout.healthy(0, 1);
    expect([rollout.phase, rollout.states()]).toEqual(["rolled_back", "reverted reverted unreachable"]);
    expect(rollout.target(2).purpose).toBe("update");
    rollout.hear(2);
    expect([rollout.phase, rollout.states()]).toEqual(["rolled_back", "reverted reverted reverting"]);
    rollout.healthy(2);
    expect(rollout.states()).toBe("reverted reverted reverted");
  });

  test("takes machines that were lost back through the window, as others", () => {
    const rollout = new Harness(4, { maxUnavailable: count(1), onFailure: "pause" });
    rollout.healthy(0, 1, 2, 3);
    expect(rollout.phase).toBe("succeeded");
    rollout.command("rollback");
    expect(rollout.moving()).toEqual([3]);
    for (const index of [0, 1, 2]) rollout.silence(index);
    rollout.healthy(3);
    expect([rollout.phase, rollout.states()]).toEqual(["rolled_back", "unreachable unreachable unreachable reverted"]);
    for (const index of [0, 1, 2]) rollout.hear(index);
    expect(rollout.moving()).toHaveLength(1);
    for (let index = 0; index < 3; index += 1) rollout.healthy(...rollout.moving());
    expect(rollout.states()).toBe("reverted reverted reverted reverted");
  });

  test("begins with what does not serve, at once, and lets those finish that go back by themselves", () => {
    const rollout = new Harness(5, { maxUnavailable: count(1), maxFailures: count(9) });
    rollout.healthy(0, 1);
    rollout.report(2, "failed");
    rollout.healthy(3);
    rollout.report(4, "reverting");
    rollout.command("rollback");
    // m-2 serves nothing; m-4 is on its way back by itself, and takes the one place.
    expect(rollout.moving()).toEqual([2]);
    rollout.healthy(2);
    expect(rollout.moving()).toEqual([]);
    rollout.report(4, "reverted");
    expect(rollout.moving()).toEqual([4]);
    rollout.healthy(4);
    expect(rollout.moving()).toEqual([3]);
  });

  test("leaves machines alone that were never told", () => {
    const rollout = new Harness(4, { maxUnavailable: count(1) });
    rollout.world.silent.add("m-1" as never);
    rollout.healthy(0);
    rollout.command("rollback");
    rollout.healthy(2, 0);
    expect([rollout.phase, rollout.states()]).toEqual(["rolled_back", "reverted unreachable reverted pending"]);
  });

  test("gives up no sooner than the time of those on their way is over, however short progress_deadline is", () => {
    const rollout = succeeded(2, { progressDeadlineMs: MINUTE });
    rollout.command("rollback");
    rollout.world.answersDue.set("m-1" as never, (rollout.moment.attended + 3 * MINUTE) as never);
    rollout.pass(3 * MINUTE - 1);
    expect(rollout.phase).toBe("rolling_back");
    rollout.world.answersDue.clear();
    rollout.pass(1);
    expect([rollout.phase, rollout.state.reason?.code]).toEqual(["failed", "progress_deadline"]);
  });

  test("leaves a machine that had nothing before with the app removed", () => {
    const rollout = new Harness(fleetOf(1, () => ({ lastGood: null })));
    rollout.report(0, "failed");
    expect(rollout.log.findLast((change) => change.kind === "target_assigned")).toMatchObject({ purpose: "revert", release: null });
    rollout.report(0, "removed", { runs: "" });
    expect(rollout.phase).toBe("rolled_back");
  });

  test("can be stopped, and then nobody is touched any more", () => {
    const rollout = succeeded(4);
    rollout.command("rollback");
    rollout.command("abort");
    rollout.healthy(2, 3);
    expect([rollout.phase, rollout.states()]).toEqual(["aborted", "healthy healthy reverted reverted"]);
  });
});

describe("a rollback that fails", () => {
  test("goes on with the others while as many could go back, and lists exactly who runs what", () => {
    const rollout = succeeded(6);
    rollout.command("rollback");
    rollout.healthy(5);
    rollout.report(4, "failed", { message: "port taken", runs: "2" });
    rollout.healthy(3);
    rollout.report(2, "failed", { message: "disk full", runs: "" });
    rollout.healthy(1, 0);
    expect(rollout.phase).toBe("failed");
    expect(rollout.state.reason).toEqual({
      code: "revert_failed",
      message: "2 machines could not go back to what they ran before: m-2 runs nothing; m-4 runs 2; it was being rolled back because alice: known",
    });
  });

  test("takes nobody else who serves down when more could not go back than could, until it is asked for again", () => {
    const rollout = succeeded(5, { maxUnavailable: count(1) });
    rollout.command("rollback");
    rollout.report(4, "failed", { message: "exited with code 1", runs: "1" });
    expect(rollout.states()).toBe("healthy healthy healthy healthy failed");
    expect([rollout.phase, rollout.state.reason?.message]).toEqual([
      "aborted",
      "1 machine could not go back to what it ran before: m-4 runs 1; m-0, m-1, m-2 and 1 more keep 2, since going back might take them down as well: muster rollback d-1 goes on with them; it was being rolled back because alice: known",
    ]);
    rollout.pass(60 * MINUTE);
    expect(rollout.moving()).toEqual([]);

    rollout.command("rollback");
    expect(rollout.moving()).toEqual([4]);
    rollout.report(4, "failed", { message: "exited with code 1", runs: "1" });
    expect(rollout.moving()).toEqual([3]);
    rollout.report(3, "failed", { message: "exited with code 1", runs: "1" });
    expect([rollout.phase, rollout.states()]).toEqual(["aborted", "healthy healthy healthy failed failed"]);
  });

  test("takes those that are down back whoever could not", () => {
    const rollout = succeeded(3, { maxUnavailable: count(2) });
    rollout.unwell(0);
    rollout.command("rollback");
    rollout.report(2, "failed", { runs: "1" });
    expect([rollout.phase, rollout.states()]).toEqual(["rolling_back", "reverting healthy failed"]);
    rollout.healthy(0);
    expect([rollout.phase, rollout.states()]).toEqual(["aborted", "reverted healthy failed"]);
  });

  test("tolerates as many as max_failures says", () => {
    const rollout = succeeded(4, { maxUnavailable: count(1), maxFailures: count(1) });
    rollout.command("rollback");
    rollout.report(3, "failed", { runs: "1" });
    expect(rollout.moving()).toEqual([2]);
    rollout.report(2, "failed", { runs: "1" });
    expect([rollout.phase, rollout.moving()]).toEqual(["aborted", []]);
  });

  test("does not loop: it is not rolled back again by itself", () => {
    const rollout = new Harness(1);
    rollout.report(0, "failed");
    rollout.report(0, "failed");
    rollout.pass(1000 * MINUTE);
    expect([rollout.phase, rollout.target(0).attempts]).toEqual(["failed", 2]);
  });

  test("can be tried again, for those that could not go back and nobody else", () => {
    const rollout = succeeded(3);
    rollout.command("rollback");
    rollout.report(2, "failed");
    rollout.healthy(1, 0);
    expect(rollout.phase).toBe("failed");
    expect(() => rollout.command("retry")).toThrow("roll it back again");
    rollout.command("rollback");
    expect(rollout.moving()).toEqual([2]);
    rollout.healthy(2);
    expect([rollout.phase, rollout.states()]).toEqual(["rolled_back", "reverted reverted reverted"]);
  });

  test("gives up when nothing comes back for progress_deadline, and names those under way", () => {
    const rollout = new Harness(2);
    rollout.report(0, "failed");
    rollout.pass(10 * MINUTE);
    expect(rollout.phase).toBe("failed");
    expect(rollout.state.reason?.message).toContain("the rollback made no progress for 10m (progress_deadline): m-1 runs what has not been said; m-0 runs 2");
  });
});

describe("a lane that is full of a machine which the rollback did not tell", () => {
  const gated = [wave(count(1), { gates: [{ kind: "approval" }] }), ALL];

  test.each([
    ["max_unavailable_per", "a", { maxUnavailablePer: [{ label: "zone", max: 1 }] }],
    ["spread", "b", { spread: "zone" }],
  ])("is waited for (%s)", (_, zone, limit) => {
    const fleet = fleetOf(2, (index) => ({ labels: { zone: index === 0 ? "a" : zone } }));
    const rollout = new Harness(fleet, { ...limit, waves: gated });
    rollout.healthy(0);
    // Its host is started anew, with what it ran before.
    rollout.report(1, "activating", { generation: 0 });
    rollout.command("rollback");
    expect([rollout.phase, rollout.states()]).toEqual(["rolling_back", "healthy pending"]);
    rollout.report(1, "healthy", { generation: 0 });
    expect(rollout.states()).toBe("reverting pending");
  });
});

describe("after a rollback has ended", () => {
  /** m-1 was lost before it could be told to go back. */
  function withLost(): Harness {
    const rollout = succeeded(2);
    rollout.silence(1);
    rollout.command("rollback");
    rollout.healthy(0);
    expect([rollout.phase, rollout.states()]).toEqual(["rolled_back", "reverted unreachable"]);
    return rollout;
  }

  test("a machine that is heard again goes back", () => {
    const rollout = withLost();
    rollout.hear(1);
    expect(rollout.states()).toBe("reverted reverting");
  });

  test("but is left to a newer deployment that has decided about it", () => {
    const rollout = withLost();
    rollout.world.overtaken.add(machineId(1));
    const told = rollout.times("target_assigned");
    rollout.hear(1);
    expect([rollout.states(), rollout.target(1).reason?.message, rollout.times("target_assigned")]).toEqual(["reverted skipped", "d-9 goes on with it", told]);
  });
});
