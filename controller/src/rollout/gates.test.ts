/** The gates of a wave: soak, approval, and those that ask the world. */
import type { Instant, MachineId } from "@muster/proto/ids.ts";
import { describe, expect, test } from "vitest";
import { ALL, APPROVAL, count, Harness, HOUR, MINUTE, prometheus, SECOND, soak, START, wave, webhook } from "./rollout.fixture.ts";
import { applyGate, pendingGate, stepOf } from "./gates.ts";
import { type Attended, attendedAlways, later } from "./moment.ts";
import type { Gate, Strategy } from "../plan/strategy.ts";

/** One canary behind these gates, which is healthy; two more to come. */
function atGate(gates: readonly Gate[], changes: Partial<Strategy> = {}): Harness {
  const rollout = new Harness(3, { waves: [wave(count(1), { gates }), ALL], ...changes });
  rollout.healthy(0);
  return rollout;
}

const OPEN = [1, 2];

describe("soak", () => {
  test("runs in attended time, whatever the wall clock does", () => {
    const gate = pendingGate(soak(5 * MINUTE));
    const begin = attendedAlways(START);
    applyGate(gate, { kind: "gate_reached", wave: 0, gate: 0 }, begin);
    const setBack = { ...later(begin, 4 * MINUTE), at: (START - HOUR) as Instant };
    expect(stepOf(gate, begin, MINUTE, setBack)).toEqual({ kind: "wait", until: START - HOUR + MINUTE });
    const setForward = { ...later(begin, 4 * MINUTE), at: (START + HOUR) as Instant };
    expect(stepOf(gate, begin, MINUTE, setForward)).toEqual({ kind: "wait", until: START + HOUR + MINUTE });
    expect(stepOf(gate, begin, MINUTE, later(begin, 5 * MINUTE))).toEqual({ kind: "open", said: "" });
  });

  test("does not run while the controller is away", () => {
    const rollout = atGate([soak(5 * MINUTE)]);
    rollout.pass(4 * MINUTE);
    rollout.unattendedMs += HOUR;
    rollout.now = (rollout.now + HOUR) as Instant;
    rollout.event();
    expect(rollout.moving()).toEqual([]);
    rollout.pass(MINUTE);
    expect(rollout.moving()).toEqual(OPEN);
  });

  test("opens only when each machine of the wave was heard after it was over", () => {
    const rollout = atGate([soak(5 * MINUTE)]);
    rollout.world.heard.set("m-0" as MachineId, (4 * MINUTE) as Attended);
    rollout.pass(6 * MINUTE);
    expect(rollout.moving()).toEqual([]);
    expect(rollout.waitsFor()).toBe("m-0 to be heard after the soak of wave 1");
    rollout.world.heard.set("m-0" as MachineId, (6 * MINUTE) as Attended);
    rollout.pass(SECOND);
    expect(rollout.moving()).toEqual(OPEN);
  });

  test("begins again when a healthy machine of the wave falls silent, and waits for it", () => {
    const rollout = atGate([soak(5 * MINUTE)]);
    rollout.pass(4 * MINUTE);
    rollout.silence(0);
    rollout.pass(4 * MINUTE);
    expect(rollout.moving()).toEqual([]);
    expect(rollout.waitsFor()).toContain("m-0 to be heard from: 1 machine took the release and was lost after it");
    rollout.hear(0);
    rollout.pass(5 * MINUTE - 1);
    expect(rollout.moving()).toEqual([]);
    rollout.pass(1);
    expect(rollout.moving()).toEqual(OPEN);
  });

  test("that is interrupted again and again ends with progress_deadline, and not never", () => {
    const rollout = new Harness(3, { waves: [wave(count(2), { gates: [soak(5 * MINUTE)] }), ALL], maxFailures: count(1), progressDeadlineMs: 10 * MINUTE });
    rollout.healthy(0);
    rollout.healthy(1);
    const interrupt = (): void => {
      rollout.report(0, "unhealthy");
      rollout.pass(MINUTE);
      rollout.report(0, "healthy");
      rollout.pass(MINUTE);
    };
    for (let minutes = 0; minutes < 14; minutes += 2) interrupt();
    expect(rollout.phase).toBe("rolling");
    interrupt();
    expect(rollout.phase).toBe("rolling_back");
    expect(rollout.state.reason?.message).toContain("its targets kept changing until progress_deadline");
  });

  test("that was interrupted late, and is no more, is not ended by progress_deadline", () => {
    const late = new Harness(3, { waves: [wave(count(2), { gates: [soak(5 * MINUTE)] }), ALL], maxFailures: count(1), progressDeadlineMs: 10 * MINUTE });
    late.healthy(0);
    late.healthy(1);
    for (let minutes = 0; minutes < 14; minutes += 2) {
      late.report(0, "probing");
      late.pass(MINUTE);
      late.report(0, "healthy");
      late.pass(MINUTE);
    }
    late.pass(4 * MINUTE);
    expect([late.phase, late.moving()]).toEqual(["rolling", [2]]);
  });

  test.each([true, false])("that is interrupted by machines that are waited for is not ended by progress_deadline (they say at once that they are well: %s)", (isAtOnce) => {
    const rollout = atGate([soak(5 * MINUTE)], { offline: { kind: "wait", forMs: null }, progressDeadlineMs: 10 * MINUTE });
    for (let round = 0; round < 3; round += 1) {
      rollout.pass(4 * MINUTE);
      rollout.silence(0);
      rollout.pass(20 * MINUTE);
      rollout.hear(0, isAtOnce);
      if (!isAtOnce) rollout.healthy(0);
    }
    rollout.pass(5 * MINUTE - 1);
    expect([rollout.phase, rollout.moving()]).toEqual(["rolling", []]);
    rollout.pass(1);
    expect(rollout.moving()).toEqual(OPEN);
  });

  test("lets the next wave begin when all targets have been as they are for so long", () => {
    const rollout = atGate([soak(5 * MINUTE)]);
    expect(rollout.waitsFor()).toBe("the soak of wave 1 to be over at 2030-01-07 10:05:00 UTC");
    rollout.pass(5 * MINUTE - 1);
    expect(rollout.moving()).toEqual([]);
    rollout.pass(1);
    expect(rollout.moving()).toEqual(OPEN);
  });

  test("begins anew when a target changes", () => {
    const rollout = atGate([soak(5 * MINUTE)], { maxFailures: count(1) });
    rollout.pass(4 * MINUTE);
    rollout.report(0, "unhealthy");
    rollout.pass(2 * MINUTE);
    rollout.healthy(0);
    rollout.pass(5 * MINUTE - 1);
    expect(rollout.moving()).toEqual([]);
    rollout.pass(1);
    expect(rollout.moving()).toEqual(OPEN);
  });

  test("begins anew when a target changes while the gate behind it is waited for, unless somebody skipped it", () => {
    for (const isSkipped of [false, true]) {
      const rollout = atGate([soak(5 * MINUTE), { kind: "approval" }], { maxFailures: count(1) });
      if (isSkipped) rollout.command("promote");
      rollout.pass(5 * MINUTE);
      expect(rollout.waitsFor()).toContain("approve wave 1");
      rollout.silence(0);
      rollout.pass(MINUTE);
      rollout.hear(0);
      expect(rollout.waitsFor()).toContain(isSkipped ? "approve wave 1" : "the soak of wave 1 to be over");
      rollout.pass(5 * MINUTE);
      expect(rollout.waitsFor()).toContain("approve wave 1");
      expect(rollout.moving()).toEqual([]);
    }
  });

  test("takes a release back that turns unhealthy in it", () => {
    const rollout = atGate([soak(5 * MINUTE)]);
    rollout.pass(4 * MINUTE);
    rollout.report(0, "unhealthy", { message: "GET /healthz answered 500" });
    expect(rollout.phase).toBe("rolling_back");
    expect(rollout.moving()).toEqual([0]);
  });

  test("of the last wave comes before success", () => {
    const rollout = new Harness(1, { waves: [wave(count(1), { gates: [soak(MINUTE)] })] });
    rollout.healthy(0);
    expect(rollout.phase).toBe("rolling");
    rollout.pass(MINUTE);
    expect(rollout.phase).toBe("succeeded");
  });

  test("woken early or twice is no shorter", () => {
    const rollout = atGate([soak(5 * MINUTE)]);
    for (let index = 0; index < 5; index += 1) rollout.event();
    expect(rollout.moving()).toEqual([]);
    expect(rollout.wake()).toBe(START + 5 * MINUTE);
  });
});

test("the interval between two questions runs in attended time, whatever the wall clock does", () => {
  const gate = pendingGate(webhook());
  const begin = attendedAlways(START);
  applyGate(gate, { kind: "gate_reached", wave: 0, gate: 0 }, begin);
  applyGate(gate, { kind: "gate_asked", wave: 0, gate: 0, attempt: 1 }, begin);
  applyGate(gate, { kind: "gate_answered", wave: 0, gate: 0, attempt: 1, verdict: "wait", said: "wait" }, begin);
  const setBack = (ms: number) => ({ ...later(begin, ms), at: (START - HOUR) as Instant });
  expect(stepOf(gate, begin, MINUTE, setBack(9 * SECOND))).toEqual({ kind: "wait", until: START - HOUR + SECOND });
  expect(stepOf(gate, begin, MINUTE, setBack(10 * SECOND))).toEqual({ kind: "ask" });
});

describe("approval", () => {
  test("waits for somebody, for as long as it takes", () => {
    const rollout = atGate([APPROVAL]);
    rollout.pass(1000 * MINUTE);
    expect(rollout.waitsFor()).toBe("somebody to approve wave 1");
    expect(rollout.wake()).toBeUndefined();
    rollout.command("approve", { wave: 0 });
    expect(rollout.moving()).toEqual(OPEN);
    expect(rollout.state.waves[0]!.gates[0]!.said).toBe("alice: known");
  });

  test("is refused where it was not asked for", () => {
    const rollout = new Harness(3, { waves: [wave(count(1), { gates: [soak(MINUTE), APPROVAL] }), ALL] });
    expect(() => rollout.command("approve")).toThrow("it has not come to the gate that asks for it yet");
    rollout.healthy(0);
    expect(() => rollout.command("approve")).toThrow("it has not come to the gate that asks for it yet");
    rollout.pass(MINUTE);
    expect(() => rollout.command("approve", { wave: 1 })).toThrow("it waits for the approval of wave 1, not of wave 2");
    rollout.command("approve");
    expect(() => rollout.command("approve")).toThrow("none of its gates asks for it");
  });
});

describe("webhook", () => {
  test("is asked once, and go opens it", () => {
    const rollout = atGate([webhook()]);
    expect(rollout.times("gate_asked")).toBe(1);
    rollout.pass(10 * MINUTE);
    expect(rollout.times("gate_asked")).toBe(1);
    rollout.answer("go");
    expect(rollout.moving()).toEqual(OPEN);
  });

  test("stop takes the release back, and says why", () => {
    const rollout = atGate([webhook()]);
    rollout.answer("stop", "the error budget is spent");
    expect(rollout.phase).toBe("rolling_back");
    expect(rollout.state.reason).toEqual({ code: "gate_stopped", message: "the webhook gate of wave 1 stopped it: the error budget is spent" });
  });

  test("wait is asked again after the interval, however often", () => {
    const rollout = atGate([webhook({ retries: 0 })]);
    for (let times = 1; times <= 20; times += 1) {
      expect(rollout.times("gate_asked")).toBe(times);
      rollout.answer("wait");
      rollout.pass(10 * SECOND - 1);
      expect(rollout.times("gate_asked")).toBe(times);
      rollout.pass(1);
    }
    rollout.answer("go");
    expect(rollout.moving()).toEqual(OPEN);
  });

  test.each([
    ["stop", "rolling_back"],
    ["go", "rolling"],
  ] as const)("without an answer to all its questions means %s, if that is asked for", (onSilence, phase) => {
    const rollout = atGate([webhook({ onSilence, retries: 2 })]);
    for (let times = 0; times < 3; times += 1) {
      expect(rollout.phase).toBe("rolling");
      expect(rollout.moving()).toEqual([]);
      rollout.answer("silent", "timeout");
      rollout.pass(10 * SECOND);
    }
    expect(rollout.phase).toBe(phase);
    expect(rollout.moving()).toEqual(phase === "rolling" ? OPEN : [0]);
    expect(rollout.state.waves[0]!.gates[0]!.said).toBe("no answer to 3 questions: timeout");
    expect(rollout.times("gate_asked")).toBe(3);
  });

  test("without an answer is asked for ever, if that is asked for", () => {
    const rollout = atGate([webhook({ onSilence: "wait", retries: 1 })]);
    for (let times = 0; times < 50; times += 1) {
      rollout.answer("silent", "timeout");
      rollout.pass(10 * SECOND);
    }
    expect(rollout.times("gate_asked")).toBe(51);
    expect(rollout.waitsFor()).toBe("the webhook of wave 1 to say go: 50 without an answer (last: timeout)");
    rollout.answer("go");
    expect(rollout.moving()).toEqual(OPEN);
  });

  test("a late or doubled answer changes nothing", () => {
    const rollout = atGate([webhook()]);
    rollout.answer("silent", "timeout");
    rollout.pass(10 * SECOND);
    const before = rollout.log.length;
    rollout.answer("stop", "late", 1);
    rollout.answer("stop", "of a question that was not asked", 7);
    expect(rollout.log.length).toBe(before);
    rollout.answer("go");
    const opened = rollout.log.length;
    rollout.event({ kind: "gate_answered", wave: 0, gate: 0, attempt: 2, verdict: "stop", said: "doubled" });
    rollout.event({ kind: "gate_answered", wave: 9, gate: 0, attempt: 2, verdict: "stop", said: "nowhere" });
    expect(rollout.log.length).toBe(opened);
  });

  test("an answer that comes while paused is taken when it is resumed", () => {
    const rollout = atGate([webhook()]);
    rollout.command("pause");
    rollout.answer("go");
    expect(rollout.moving()).toEqual([]);
    rollout.command("resume");
    expect(rollout.moving()).toEqual(OPEN);
  });

  test("that said stop is asked anew after a resume", () => {
    const rollout = atGate([webhook()], { onFailure: "pause" });
    rollout.answer("stop");
    expect(rollout.phase).toBe("paused");
    rollout.command("resume");
    expect(rollout.times("gate_asked")).toBe(2);
    rollout.answer("go");
    expect(rollout.moving()).toEqual(OPEN);
  });
});

describe("prometheus", () => {
  test("opens after so many good measurements, one an interval", () => {
    const rollout = atGate([prometheus()]);
    for (let times = 1; times <= 3; times += 1) {
      expect(rollout.moving()).toEqual([]);
      expect(rollout.times("gate_asked")).toBe(times);
      rollout.answer("go", "0.002");
      rollout.pass(30 * SECOND);
    }
    expect(rollout.moving()).toEqual(OPEN);
  });

  test("passes over as many bad ones as failure_limit, and no more", () => {
    const rollout = atGate([prometheus({ failureLimit: 1 })]);
    for (const verdict of ["stop", "go", "go"] as const) {
      rollout.answer(verdict, "0.5");
      rollout.pass(30 * SECOND);
    }
    expect(rollout.waitsFor()).toBe("the metric of wave 1 to be within its limits: 2 of 3 measurements (last: 0.5)");
    rollout.answer("stop", "0.7");
    expect(rollout.phase).toBe("rolling_back");
    expect(rollout.state.reason?.message).toBe("the prometheus gate of wave 1 stopped it: 0.7");
  });

  test("counts questions without an answer in a row", () => {
    const rollout = atGate([prometheus({ retries: 1, count: 5 })]);
    for (const verdict of ["silent", "go", "silent", "go", "silent"] as const) {
      rollout.answer(verdict);
      rollout.pass(30 * SECOND);
    }
    expect(rollout.phase).toBe("rolling");
    rollout.answer("silent", "connection refused");
    expect(rollout.state.reason?.message).toBe("the prometheus gate of wave 1 stopped it: no answer to 2 questions: connection refused");
  });
});

describe("several gates", () => {
  test("are asked for one after another, and then the next wave begins", () => {
    const rollout = atGate([soak(MINUTE), webhook(), APPROVAL]);
    expect(rollout.times("gate_asked")).toBe(0);
    rollout.pass(MINUTE);
    expect(rollout.times("gate_asked")).toBe(1);
    expect(() => rollout.command("approve")).toThrow("it has not come to the gate that asks for it yet");
    rollout.answer("go");
    expect(rollout.waitsFor()).toBe("somebody to approve wave 1");
    rollout.command("approve");
    expect(rollout.moving()).toEqual(OPEN);
  });

  test("stay open when a machine comes back after they had opened", () => {
    const rollout = new Harness(4, { waves: [wave(count(2), { gates: [webhook(), APPROVAL] }), ALL] });
    rollout.silence(1);
    rollout.healthy(0);
    rollout.answer("go");
    rollout.hear(1);
    expect(rollout.moving()).toEqual([1]);
    rollout.healthy(1);
    expect(rollout.times("gate_asked")).toBe(1);
    expect(rollout.waitsFor()).toBe("somebody to approve wave 1");
  });
});

describe("a release that starts its host anew again and again, with machines that are waited for", () => {
  const strategy = { waves: [wave(count(1), { gates: [soak(MINUTE)] }), ALL], offline: { kind: "wait", forMs: 10 * MINUTE }, progressDeadlineMs: 10 * MINUTE, maxUnreachable: count(0) } as const;

  test.each([true, false])("is taken back when it has had its time, that of the waits left out (healthy in between: %s)", (isHealthy) => {
    const rollout = new Harness(3, strategy);
    let upMs = 0;
    for (; rollout.phase === "rolling" && upMs < 500 * 30 * SECOND; upMs += 30 * SECOND) {
      if (isHealthy) rollout.healthy(0);
      else rollout.report(0, "activating");
      rollout.pass(30 * SECOND);
      rollout.silence(0);
      rollout.pass(30 * SECOND);
      rollout.hear(0);
    }
    expect(["rolling_back", "rolled_back"]).toContain(rollout.phase);
    expect(upMs).toBeGreaterThanOrEqual(9 * MINUTE);
    expect(upMs).toBeLessThanOrEqual(13 * MINUTE);
  });

  test("passes when it is well in the end, however long it was waited for", () => {
    const rollout = new Harness(3, strategy);
    rollout.healthy(0);
    for (let wait = 0; wait < 4; wait += 1) {
      rollout.pass(30 * SECOND);
      rollout.silence(0);
      rollout.pass(9 * MINUTE);
      rollout.hear(0);
    }
    rollout.pass(MINUTE);
    expect([rollout.phase, rollout.moving()]).toEqual(["rolling", OPEN]);
  });
});

test("a soak does not run while the rollout is paused: it begins anew when that ends", () => {
  const rollout = atGate([soak(5 * MINUTE)]);
  rollout.pass(4 * MINUTE);
  rollout.command("pause");
  rollout.pass(10 * MINUTE);
  rollout.command("resume");
  rollout.pass(5 * MINUTE - 1);
  expect(rollout.moving()).toEqual([]);
  rollout.pass(1);
  expect(rollout.moving()).toEqual(OPEN);
});
