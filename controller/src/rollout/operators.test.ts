/** What operators ask of a rollout, and what they are told when it can't be done. */
import { describe, expect, test } from "vitest";
import { ALL, APPROVAL, count, Harness, HOUR, MINUTE, percent, soak, START, wave, webhook } from "./rollout.fixture.ts";

describe("pause and resume", () => {
  test("no new machine is touched, and those under way finish", () => {
    const rollout = new Harness(3, { maxUnavailable: count(1) });
    rollout.command("pause");
    rollout.healthy(0);
    expect(rollout.states()).toBe("healthy pending pending");
    expect(rollout.waitsFor()).toBe("an operator to resume, roll back or abort it");
    rollout.command("resume");
    expect(rollout.moving()).toEqual([1]);
  });

  test("a failure while a person holds it for reasons of their own counts when it is resumed", () => {
    const rollout = new Harness(3, { maxUnavailable: count(1) });
    rollout.command("pause");
    rollout.report(0, "failed");
    expect(rollout.phase).toBe("paused");
    rollout.command("resume");
    expect([rollout.phase, rollout.state.reason?.code]).toEqual(["rolling_back", "exited"]);
  });

  test("a failure while it is paused for failures is known when it is resumed", () => {
    const rollout = new Harness(4, { maxUnavailable: count(2), onFailure: "pause" });
    rollout.report(0, "failed");
    expect(rollout.phase).toBe("paused");
    rollout.report(1, "failed");
    rollout.command("resume");
    expect([rollout.phase, rollout.moving()]).toEqual(["rolling", [2]]);
  });

  test("are refused where there is nothing to pause or resume", () => {
    const rollout = new Harness(1);
    expect(() => rollout.command("resume")).toThrow("it is rolling; only a paused deployment can be resumed");
    rollout.healthy(0);
    expect(() => rollout.command("pause")).toThrow("it is succeeded; only a rolling deployment can be paused");
  });
});

describe("abort", () => {
  test("nobody is touched after it, and what comes in is still noted", () => {
    const rollout = new Harness(4);
    rollout.command("abort");
    const assigned = rollout.times("target_assigned");
    rollout.healthy(0);
    rollout.report(1, "failed");
    rollout.pass(100 * HOUR);
    expect(rollout.times("target_assigned")).toBe(assigned);
    expect([rollout.phase, rollout.states()]).toEqual(["aborted", "healthy failed pending pending"]);
    expect(() => rollout.command("abort")).toThrow("it has ended (aborted)");
  });
});

describe("rollback", () => {
  test("is refused where nothing was changed, twice, or where a newer deployment is", () => {
    const untouched = new Harness(1, { waves: [wave(percent(100), { afterMs: HOUR })] });
    expect(() => untouched.command("rollback")).toThrow("it changed no machine that is still there, so there is nothing to take back");
    const rollout = new Harness(1);
    rollout.command("rollback");
    expect(() => rollout.command("rollback")).toThrow("it is being rolled back already");
    rollout.healthy(0);
    expect(() => rollout.command("rollback")).toThrow(/^it has been rolled back already$/);
    const older = new Harness(1);
    older.event({ kind: "supersede", reason: { code: "superseded", message: "d-2 took its place" } });
    expect(() => older.command("rollback")).toThrow("a newer deployment of the app has taken its place");
  });

  test("of an aborted rollout takes back what it had changed", () => {
    const rollout = new Harness(4);
    rollout.healthy(0);
    rollout.command("abort");
    rollout.command("rollback");
    expect(rollout.states()).toBe("healthy reverting reverting pending");
  });
});

describe("retry", () => {
  test("gives those that failed their turn again, and nobody else", () => {
    const rollout = new Harness(4, { onFailure: "abort", maxUnavailable: count(2) });
    rollout.healthy(0);
    rollout.report(1, "failed");
    expect(rollout.phase).toBe("failed");
    rollout.healthy(2);
    rollout.command("retry");
    expect(rollout.states()).toBe("healthy updating healthy updating");
    rollout.healthy(1, 3);
    expect(rollout.phase).toBe("succeeded");
    expect([0, 1, 2, 3].map((index) => rollout.target(index).attempts)).toEqual([1, 2, 1, 1]);
  });

  test("of a paused rollout goes on, and a failure counts again", () => {
    const rollout = new Harness(2, { onFailure: "pause", maxUnavailable: count(1) });
    rollout.report(0, "failed");
    rollout.command("resume");
    rollout.report(1, "failed");
    rollout.command("retry");
    expect([rollout.phase, rollout.states()]).toEqual(["rolling", "updating pending"]);
    rollout.report(0, "failed");
    expect(rollout.phase).toBe("paused");
  });

  test("in a failed rollout reaches machines that were back in the meantime", () => {
    const rollout = new Harness(4, { onFailure: "abort", maxUnavailable: count(1) });
    rollout.world.silent.add("m-0" as never);
    const late = new Harness(4, { onFailure: "abort", maxUnavailable: count(2) });
    late.world.silent.add("m-2" as never);
    late.healthy(0);
    expect(late.states()).toBe("healthy updating unreachable updating");
    late.report(1, "failed");
    late.hear(2);
    late.command("retry");
    late.healthy(1, 3);
    late.healthy(2);
    expect([late.phase, late.states()]).toEqual(["succeeded", "healthy healthy healthy healthy"]);
  });

  test("gives whoever it was to start another turn, when another machine had ended it before that", () => {
    const rollout = new Harness(4, { onFailure: "abort", maxUnavailable: count(1) });
    rollout.healthy(0);
    rollout.report(1, "failed");
    rollout.report(0, "failed");
    rollout.command("retry");
    expect(rollout.states()).toBe("updating pending pending pending");
    rollout.report(0, "failed");
    rollout.healthy(0);
    expect([rollout.phase, rollout.states()]).toEqual(["failed", "healthy pending pending pending"]);
    rollout.command("retry");
    rollout.healthy(1, 2, 3);
    expect([rollout.phase, rollout.states()]).toEqual(["succeeded", "healthy healthy healthy healthy"]);
  });

  test("asks a gate anew that had stopped it", () => {
    const rollout = new Harness(3, { waves: [wave(count(2), { gates: [webhook()] }), ALL], onFailure: "abort", maxFailures: count(1) });
    rollout.healthy(0);
    rollout.report(1, "failed");
    rollout.answer("stop");
    expect(rollout.phase).toBe("failed");
    rollout.command("retry");
    rollout.healthy(1);
    expect(rollout.times("gate_asked")).toBe(2);
    rollout.answer("go");
    expect(rollout.moving()).toEqual([2]);
  });

  test("is refused where nothing has failed, and on the way back", () => {
    const rollout = new Harness(2);
    expect(() => rollout.command("retry")).toThrow("none of its targets has failed");
    rollout.report(0, "failed");
    expect(() => rollout.command("retry")).toThrow("it is rolling back; deploy again instead");
    rollout.command("abort");
    expect(() => rollout.command("retry")).toThrow("it is aborted; deploy again instead");
  });
});

describe("promote", () => {
  test("opens the one gate that it waits at, and says who did", () => {
    const rollout = new Harness(3, { waves: [wave(count(1), { gates: [soak(HOUR), APPROVAL] }), ALL] });
    rollout.healthy(0);
    rollout.command("promote");
    expect(rollout.waitsFor()).toBe("somebody to approve wave 1");
    expect(rollout.state.waves[0]!.gates[0]).toMatchObject({ state: "open", said: "alice: known" });
    rollout.command("promote");
    expect(rollout.moving()).toEqual([1, 2]);
    expect(() => rollout.command("promote")).toThrow("it waits at no gate now; --all skips those to come");
  });

  test("begins a wave before its time", () => {
    const rollout = new Harness(2, { waves: [wave(count(1), { afterMs: HOUR }), wave(percent(100), { afterMs: HOUR })] });
    rollout.command("promote");
    expect(rollout.moving()).toEqual([0]);
    rollout.healthy(0);
    rollout.command("promote");
    expect(rollout.moving()).toEqual([1]);
  });

  test("waits no longer for the silent machines of its wave", () => {
    const rollout = new Harness(3, { waves: [wave(count(2), { gates: [APPROVAL] }), ALL], offline: { kind: "wait", forMs: null } });
    rollout.silence(0);
    rollout.healthy(1);
    rollout.command("promote");
    expect(rollout.waitsFor()).toBe("somebody to approve wave 1");
  });

  test("of all skips every gate to come, and waves still go one after another inside the window", () => {
    const gates = [soak(HOUR), webhook(), APPROVAL];
    const rollout = new Harness(4, { waves: [wave(count(1), { gates }), wave(count(2), { gates, afterMs: HOUR }), wave(percent(100), { gates })], maxUnavailable: count(1) });
    rollout.command("promote", { all: true });
    for (const index of [0, 1, 2, 3]) {
      expect(rollout.moving()).toEqual([index]);
      rollout.healthy(index);
    }
    expect(rollout.phase).toBe("succeeded");
    expect(rollout.times("gate_asked")).toBe(0);
  });

  test("of all does not skip failures", () => {
    const rollout = new Harness(2);
    rollout.command("promote", { all: true });
    rollout.report(0, "failed");
    expect(rollout.phase).toBe("rolling_back");
  });

  test("of all skips the maintenance window, and no freeze", () => {
    const rollout = new Harness(3, { maxUnavailable: count(1), window: { cron: "0 2 * * *", durationMs: HOUR, timeZone: "UTC" } });
    rollout.world.closedUntil = (START + HOUR) as never;
    rollout.healthy(0);
    expect(rollout.moving()).toEqual([]);
    rollout.command("promote", { all: true });
    expect(rollout.moving()).toEqual([1]);
    rollout.world.freeze = { until: null };
    rollout.healthy(1);
    expect(rollout.moving()).toEqual([]);
    expect(rollout.waitsFor()).toBe("the end of the freeze");
  });

  test("of all ends the wait for silent machines", () => {
    const rollout = new Harness(2, { offline: { kind: "wait", forMs: null } });
    rollout.silence(0);
    rollout.healthy(1);
    rollout.pass(MINUTE);
    rollout.command("promote", { all: true });
    expect(rollout.phase).toBe("succeeded");
  });

  test("is refused unless it is rolling", () => {
    const rollout = new Harness(1);
    rollout.command("pause");
    expect(() => rollout.command("promote", { all: true })).toThrow("it is paused; only a rolling deployment has gates to skip");
  });
});

test("max_unavailable can be changed in the tail and on the way back, and not after the end", () => {
  const rollout = new Harness(4, { maxUnavailable: count(1) });
  rollout.healthy(0, 1, 2, 3);
  rollout.command("set_max_unavailable", { maxUnavailable: 4 });
  rollout.command("rollback");
  expect(rollout.moving()).toEqual([0, 1, 2, 3]);
  rollout.healthy(0, 1, 2, 3);
  expect(() => rollout.command("set_max_unavailable")).toThrow("it is rolled back; that can be changed while it runs");
});
