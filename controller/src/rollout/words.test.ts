/** Reasons of a rollout: they carry what its machines say. */
import { describe, expect, it } from "vitest";
import { ALL, count, Harness, MINUTE } from "./rollout.fixture.ts";
import { failuresReason, type Known, progressReason, stuckBackReason, unreachableReason } from "./words.ts";

function started(machines: number): Harness {
  return new Harness(machines, { waves: [ALL], maxUnavailable: count(machines), maxFailures: count(machines), maxUnreachable: count(machines), progressDeadlineMs: 10 * MINUTE });
}

/** Each machine by its index. */
const saying =
  (reasons: Readonly<Record<number, readonly [code: string, message: string]>>): Known =>
  ({ machine }) => {
    const [code, message] = reasons[Number(machine.slice(2))] ?? [];
    return code === undefined ? null : { code, message: message! };
  };

describe("the reason of a rollout that makes no progress", () => {
  it("names what the machines say, the most frequent first, with an example of each", () => {
    const rollout = started(6);
    const known = saying({ 0: ["not_fresh", "was signed an hour ago"], 1: ["disk_full", "no space left on /srv"], 2: ["disk_full", "no space left on /var"], 4: ["disk_full", "full"] });
    expect(progressReason(rollout.state, rollout.state.waves[0]!, known)).toEqual({
      code: "progress_deadline",
      message:
        "no target became healthy for 10m (progress_deadline) in wave 1: 6 updating (m-0, m-1, m-2 and 3 more)" +
        "; what is known: disk_full on 3 (m-1: no space left on /srv), not_fresh on 1 (m-0: was signed an hour ago)",
    });
  });

  it("names three reasons at most, and says how many more there are", () => {
    const rollout = started(5);
    const known = saying({ 0: ["a", "1"], 1: ["b", "2"], 2: ["c", "3"], 3: ["d", "4"], 4: ["e", "5"] });
    expect(progressReason(rollout.state, rollout.state.waves[0]!, known).message).toMatch(/what is known: a on 1 \(m-0: 1\), b on 1 \(m-1: 2\), c on 1 \(m-2: 3\) and 2 more reasons$/);
  });

  it("names what targets keep, and neither those that are well nor what the controller says by itself", () => {
    const rollout = started(4);
    rollout.report(0, "failed", { message: "exited with code 1" });
    rollout.silence(1);
    rollout.healthy(2);
    expect(progressReason(rollout.state, rollout.state.waves[0]!).message).toBe(
      "no target became healthy for 10m (progress_deadline) in wave 1: 1 updating (m-3), 1 unreachable (m-1); what is known: exited on 1 (m-0: exited with code 1)",
    );
  });

  it("says nothing of it when nothing is known", () => {
    const rollout = started(1);
    expect(progressReason(rollout.state, rollout.state.waves[0]!).message).toMatch(/1 updating \(m-0\)$/);
  });
});

it("a rollback that is stuck says what its machines say, besides what it came from", () => {
  const back = new Harness(2, { waves: [ALL], maxUnavailable: count(2) });
  back.healthy(0);
  back.report(1, "failed", { runs: "1" });
  const known = saying({ 0: ["artifact_unavailable", "connection refused"], 1: ["artifact_unavailable", "connection refused"] });
  expect(stuckBackReason(back.state, known).message).toMatch(
    /; what is known: artifact_unavailable on \d \(m-\d: connection refused\); it was being rolled back because 1 machine failed in wave 1, 0 allowed: m-1: it broke$/,
  );
  expect(stuckBackReason(back.state).message).not.toContain("what is known");
});

it("machines that are silent are named with what they said before", () => {
  const rollout = started(3);
  rollout.silence(0);
  rollout.silence(1);
  expect(unreachableReason(rollout.state, 0).message).toBe("2 machines of wave 1 are silent, 3 allowed (max_unreachable): m-0, m-1");
  expect(unreachableReason(rollout.state, 0, saying({ 1: ["disk_full", "no space left"] })).message).toMatch(/: m-0, m-1; what is known: disk_full on 1 \(m-1: no space left\)$/);
});

describe("the reason of a rollout with failures", () => {
  it("names each of a few", () => {
    const rollout = started(4);
    for (const index of [0, 1, 2]) rollout.report(index, "failed", { message: `broke ${index}` });
    expect(failuresReason(rollout.state, 0)).toEqual({ code: "exited", message: "3 machines failed in wave 1, 4 allowed: m-0: broke 0; m-1: broke 1; m-2: broke 2" });
  });

  it("of many names the most frequent reasons, however late they came, and how many gave none", () => {
    const rollout = started(6);
    const fail = (index: number, code: "exited" | "disk_full" | null): void =>
      rollout.event({
        kind: "reported",
        machine: rollout.target(index).machine,
        generation: rollout.target(index).generation,
        phase: "failed",
        reason: code === null ? null : { code, message: `${code} ${index}` },
        runs: "1",
      });
    fail(0, "exited");
    fail(1, null);
    for (const index of [2, 3, 4]) fail(index, "disk_full");
    expect(failuresReason(rollout.state, 0)).toEqual({
      code: "failures_exceeded",
      message:
        "5 machines failed in wave 1, 6 allowed: disk_full on 3 (m-2: disk_full 2), exited on 1 (m-0: exited 0); no reason given by 1" +
        "; 3 of them for faults of the surroundings that lasted until healthy_deadline",
    });
  });
});
