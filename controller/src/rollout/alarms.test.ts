/** Alarms: asked all the while, and what their answers do. */
import { describe, expect, test } from "vitest";
import type { Alarm, Strategy } from "../plan/strategy.ts";
import type { Verdict } from "./asking.ts";
import { ALL, alarm, APPROVAL, count, Harness, MINUTE, SECOND, wave } from "./rollout.fixture.ts";

class Alarmed extends Harness {
  constructor(alarms: readonly Alarm[], changes: Partial<Strategy> = {}) {
    super(3, { waves: [wave(count(1)), ALL], alarms, ...changes });
  }

  says(verdict: Verdict, { index = 0, said = `it said ${verdict}`, attempt }: { index?: number; said?: string; attempt?: number } = {}): void {
    this.event({ kind: "alarm_answered", alarm: index, attempt: attempt ?? this.state.alarms[index]!.attempts, verdict, said });
  }
}

describe("before anybody is changed", () => {
  test("each alarm must be quiet, and progress_deadline stands still until it is", () => {
    const rollout = new Alarmed([alarm(), alarm()]);
    expect(rollout.times("alarm_asked")).toBe(2);
    expect(rollout.waitsFor()).toBe("the first answer of alarm 1");
    rollout.pass(60 * MINUTE);
    rollout.says("go");
    expect([rollout.moving(), rollout.waitsFor()]).toEqual([[], "the first answer of alarm 2"]);
    rollout.says("go", { index: 1 });
    expect(rollout.moving()).toEqual([0]);
  });

  test("one that is undecided, or active within its limit, is asked again and waited for", () => {
    const rollout = new Alarmed([alarm({ failureLimit: 1 })]);
    rollout.says("wait");
    rollout.pass(30 * SECOND);
    rollout.says("stop", { said: "errors is 0.2, more than max 0.01" });
    expect([rollout.phase, rollout.moving()]).toEqual(["rolling", []]);
    expect(rollout.waitsFor()).toBe("alarm 1 to be quiet (last: errors is 0.2, more than max 0.01)");
    rollout.pass(30 * SECOND);
    rollout.says("go");
    expect(rollout.moving()).toEqual([0]);
  });

  test("one that is active from the first stops it with nobody changed", () => {
    const rollout = new Alarmed([alarm()]);
    rollout.says("stop", { said: "errors is 0.2" });
    expect([rollout.phase, rollout.states()]).toEqual(["rolled_back", "pending pending pending"]);
    expect(rollout.log.findLast(({ kind }) => kind === "phase_changed")).toMatchObject({ phase: "rolled_back" });
  });
});

describe("while it rolls", () => {
  function rolling(alarms: readonly Alarm[], changes: Partial<Strategy> = {}): Alarmed {
    const rollout = new Alarmed(alarms, changes);
    alarms.forEach((_, index) => rollout.says("go", { index }));
    return rollout;
  }

  test("it is asked every interval, one question at a time", () => {
    const rollout = rolling([alarm({ intervalMs: 30 * SECOND })]);
    rollout.pass(30 * SECOND - 1);
    expect(rollout.times("alarm_asked")).toBe(1);
    rollout.pass(1);
    expect(rollout.times("alarm_asked")).toBe(2);
    rollout.pass(5 * MINUTE);
    expect(rollout.times("alarm_asked")).toBe(2);
    rollout.says("go");
    rollout.pass(30 * SECOND);
    expect(rollout.times("alarm_asked")).toBe(3);
  });

  test("it stops the rollout in the middle of a wave, and says why", () => {
    const rollout = rolling([alarm()]);
    rollout.healthy(0);
    expect(rollout.moving()).toEqual([1, 2]);
    rollout.pass(30 * SECOND);
    rollout.says("stop", { said: "errors is 0.2, more than max 0.01" });
    expect([rollout.phase, rollout.state.reason]).toEqual(["rolling_back", { code: "alarm_active", message: "alarm 1 was active: errors is 0.2, more than max 0.01" }]);
  });

  test("it stops the rollout at a gate, too", () => {
    const rollout = rolling([alarm()], { waves: [wave(count(1), { gates: [APPROVAL] }), ALL], onFailure: "pause" });
    rollout.healthy(0);
    rollout.pass(30 * SECOND);
    rollout.says("stop");
    expect(rollout.phase).toBe("paused");
  });

  test("more failures in a row than its limit stop it, and a quiet answer between them begins the count anew", () => {
    const rollout = rolling([alarm({ failureLimit: 1 })], { progressDeadlineMs: 60 * MINUTE });
    for (const verdict of ["stop", "go", "stop", "wait"] as const) {
      rollout.pass(30 * SECOND);
      rollout.says(verdict);
      expect(rollout.phase).toBe("rolling");
    }
    rollout.pass(30 * SECOND);
    rollout.says("stop", { said: "errors is 0.2" });
    expect(rollout.state.reason?.message).toBe("alarm 1 was active 2 times in a row: errors is 0.2");
  });

  test("its silence stops the rollout after its retries, unless the file says go", () => {
    for (const onSilence of ["stop", "go"] as const) {
      const rollout = rolling([alarm({ retries: 1, onSilence })]);
      for (let times = 0; times < 2; times += 1) {
        expect(rollout.phase).toBe("rolling");
        rollout.pass(30 * SECOND);
        rollout.says("silent", { said: "refused the connection" });
      }
      if (onSilence === "go") expect(rollout.phase).toBe("rolling");
      else expect(rollout.state.reason?.message).toBe("alarm 1 gave no answer to 2 questions in a row: refused the connection");
    }
  });

  test("an answer that is overdue is waited for: nobody else starts, no wave passes and it does not end", () => {
    const rollout = rolling([alarm({ intervalMs: 30 * SECOND })]);
    rollout.pass(30 * SECOND);
    rollout.pass(39 * SECOND);
    rollout.healthy(0);
    expect(rollout.moving()).toEqual([1, 2]);
    rollout.pass(1 * SECOND);
    rollout.healthy(1);
    rollout.healthy(2);
    expect([rollout.phase, rollout.waitsFor()]).toEqual(["rolling", "the answer of alarm 1, which is overdue (last: it said go)"]);
    rollout.pass(60 * MINUTE);
    expect(rollout.phase).toBe("rolling");
    rollout.says("go");
    expect(rollout.phase).toBe("succeeded");
  });

  test("an overdue answer that says stop stops it with nobody else changed", () => {
    const rollout = rolling([alarm(), alarm({ intervalMs: 1 * SECOND })]);
    rollout.pass(1 * SECOND);
    rollout.pass(11 * SECOND);
    rollout.healthy(0);
    expect([rollout.moving(), rollout.waitsFor()]).toEqual([[], "the answer of alarm 2, which is overdue (last: it said go)"]);
    rollout.says("stop", { index: 1 });
    expect([rollout.phase, rollout.states()]).toEqual(["rolling_back", "reverting pending pending"]);
  });

  test("an answer that becomes overdue at a gate is said to be waited for, and the gate of a person does not help", () => {
    const rollout = rolling([alarm({ intervalMs: 30 * SECOND })], { waves: [wave(count(1), { gates: [APPROVAL] }), ALL] });
    rollout.healthy(0);
    rollout.pass(30 * SECOND);
    expect(rollout.waitsFor()).toBe("somebody to approve wave 1");
    rollout.pass(40 * SECOND);
    expect(rollout.waitsFor()).toBe("the answer of alarm 1, which is overdue (last: it said go)");
    rollout.command("approve");
    expect(rollout.moving()).toEqual([]);
    rollout.says("go");
    expect(rollout.moving()).toEqual([1, 2]);
  });

  test("time in which nobody looked makes no answer overdue", () => {
    const rollout = rolling([alarm({ intervalMs: 30 * SECOND })]);
    rollout.pass(30 * SECOND);
    rollout.unattendedMs += 60 * MINUTE;
    rollout.now = (rollout.now + 60 * MINUTE) as typeof rollout.now;
    rollout.healthy(0);
    expect(rollout.moving()).toEqual([1, 2]);
  });

  test("a late answer to an older question says nothing", () => {
    const rollout = rolling([alarm()]);
    rollout.pass(30 * SECOND);
    rollout.says("stop", { attempt: 1 });
    expect(rollout.phase).toBe("rolling");
  });

  test("it is not asked while the rollout is paused, and anew when it goes on", () => {
    const rollout = rolling([alarm()], { onFailure: "pause" });
    rollout.pass(30 * SECOND);
    rollout.says("stop");
    rollout.pass(60 * MINUTE);
    expect(rollout.times("alarm_asked")).toBe(2);
    rollout.healthy(0);
    rollout.command("resume");
    expect([rollout.times("alarm_asked"), rollout.moving()]).toEqual([3, []]);
    rollout.says("go");
    expect(rollout.moving()).toEqual([1, 2]);
  });

  test("promote --all goes on without it", () => {
    const rollout = new Alarmed([alarm()]);
    expect(() => rollout.command("promote")).toThrow("it waits for its alarms to be quiet; --all goes on without them");
    rollout.command("promote", { all: true });
    expect(rollout.moving()).toEqual([0]);
    rollout.says("stop");
    expect(rollout.phase).toBe("rolling");
  });
});
