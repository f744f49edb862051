/** "Time in which `offline: wait` waited for a machine does not count" in a soak's patience. */
import { describe, expect, test } from "vitest";
import { ALL, alarm, count, Harness, MINUTE, SECOND, soak, wave } from "./rollout.fixture.ts";

const base = { waves: [wave(count(3), { gates: [soak(MINUTE)] }), ALL], maxUnavailable: count(3), offline: { kind: "wait", forMs: 10 * MINUTE }, progressDeadlineMs: 2 * MINUTE } as const;

describe("waiting for a machine is no part of the soak's patience", () => {
  test.each(["heard", "let go", "removed", "drained"])("when the last one that was waited for is %s", (how) => {
    const rollout = new Harness(8, base);
    rollout.healthy(0, 1, 2);
    rollout.pass(5 * SECOND);
    rollout.silence(0);
    rollout.pass(9 * MINUTE);
    rollout.silence(1);
    rollout.pass(20 * SECOND);
    rollout.hear(1);
    rollout.pass(15 * SECOND);
    expect(rollout.phase).toBe("rolling");
    if (how === "heard") rollout.hear(0);
    else if (how === "let go") rollout.pass(30 * SECOND);
    else if (how === "drained") rollout.drain(0);
    else rollout.event({ kind: "removed", machine: "m-0" as never, reason: { code: "removed", message: "gone" }, leftWell: false });
    rollout.pass(5 * SECOND);
    expect([rollout.phase, rollout.state.reason?.message]).toEqual(["rolling", undefined]);
  });

  test("one outage of a canary, with an alarm whose answer is late once", () => {
    const rollout = new Harness(4, { ...base, waves: [wave(count(1), { gates: [soak(MINUTE)] }), ALL], alarms: [alarm()], offline: { kind: "wait", forMs: null } });
    const quiet = (): void => {
      const { isAsked, attempts } = rollout.state.alarms[0]!;
      if (isAsked) rollout.event({ kind: "alarm_answered", alarm: 0, attempt: attempts, verdict: "go", said: "0" });
    };
    const passQuiet = (ms: number): void => {
      for (let passed = 0; passed < ms; passed += 5 * SECOND) {
        rollout.pass(5 * SECOND);
        quiet();
      }
    };
    quiet();
    rollout.healthy(0);
    passQuiet(5 * SECOND);
    rollout.silence(0);
    passQuiet(5 * MINUTE);
    rollout.pass(2 * MINUTE);
    expect(rollout.state.hold?.kind).toBe("alarm");
    passQuiet(30 * SECOND);
    expect(rollout.state.hold?.kind).toBe("offline");
    rollout.hear(0);
    passQuiet(10 * SECOND);
    expect([rollout.phase, rollout.state.reason?.message]).toEqual(["rolling", undefined]);
  });
});
