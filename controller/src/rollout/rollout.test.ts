import { describe, expect, test } from "vitest";
import type { AppName, DeploymentId, Instant, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import { planRollout } from "../plan/plan.ts";
import type { Size, Strategy } from "../plan/strategy.ts";
import { advance, nextDeadline, waitingOn } from "./advance.ts";
import { apply, type RolloutChange } from "./change.ts";
import { decide, refusal, type RolloutEvent } from "./decide.ts";
import { auditRollout, checkRollout, checkWindow, InvariantViolation } from "./invariants.ts";
import { type AgentPhase, isEnded, newRollout, type RolloutState } from "./state.ts";

const percent = (value: number): Size => ({ kind: "percent", percent: value });
const count = (value: number): Size => ({ kind: "count", count: value });

/** Drives one rollout as the engine does, without a journal. */
class Harness {
  readonly state: RolloutState;
  readonly log: RolloutChange[] = [];
  readonly silent = new Set<string>();
  now = 1000;
  #seq = 0;

  constructor(machines: number, changes: Partial<Strategy> = {}, lastGood: string | null = "app@1") {
    const strategy: Strategy = {
      targets: "role=web",
      waves: [count(1), percent(50), percent(100)],
      maxUnavailable: count(2),
      minHealthyTimeMs: 5000,
      healthyDeadlineMs: 60_000,
      progressDeadlineMs: 600_000,
      maxFailures: count(0),
      onFailure: "rollback",
      onConflict: "queue",
      ...changes,
    };
    this.state = newRollout({ id: "d-1" as DeploymentId, app: "app" as AppName, release: "app@2" as ReleaseId, strategy }, this.now as Instant);
    const fleet = Array.from({ length: machines }, (_, index) => ({ id: id(index), silent: false, runsRelease: false, lastGood: lastGood as ReleaseId | null }));
    this.event({ kind: "start", plan: planRollout(strategy, fleet) });
  }

  event(event: RolloutEvent): void {
    this.#record(decide(this.state, event));
    this.tick(0);
  }

  tick(ms: number): void {
    this.now += ms;
    for (;;) {
      const changes = advance(this.state, { isSilent: (machine) => this.silent.has(machine) }, this.now as Instant);
      if (changes.length === 0) return;
      this.#record(changes);
    }
  }

  report(index: number, phase: AgentPhase, message = "it broke"): void {
    const target = this.state.targets.get(id(index))!;
    const reason = phase === "healthy" || phase === "probing" ? null : ({ code: "exited", message } as const);
    this.event({ kind: "reported", machine: target.machine, generation: target.generation, phase, reason });
  }

  silence(index: number): void {
    this.silent.add(id(index));
    this.event({ kind: "fell_silent", machine: id(index), reason: { code: "silent", message: "nothing heard for 15s" } });
  }

  states(): string {
    return [...this.state.targets.values()].map((target) => target.state).join(" ");
  }

  under(): string[] {
    return [...this.state.moving].sort();
  }

  #record(changes: readonly RolloutChange[]): void {
    for (const change of changes) {
      this.#seq += 1;
      apply(this.state, change, { seq: this.#seq, at: this.now as Instant });
      this.log.push(change);
      auditRollout(this.state);
      if (change.kind === "target_assigned" && change.state === "updating") checkWindow(this.state);
    }
    if (!isEnded(this.state.phase)) expect(waitingOn(this.state)).not.toBe("");
  }
}

function id(index: number): MachineId {
  return `m-${index}` as MachineId;
}

describe("a good release", () => {
  test("goes wave by wave, no more than the window at once, to success", () => {
    const rollout = new Harness(6);
    expect(rollout.under()).toEqual(["m-0"]);
    rollout.report(0, "healthy");
    expect(rollout.under()).toEqual(["m-1", "m-2"]);
    rollout.report(1, "healthy");
    expect(rollout.under()).toEqual(["m-2"]);
    rollout.report(2, "healthy");
    expect(rollout.under()).toEqual(["m-3", "m-4"]);
    rollout.report(4, "healthy");
    expect(rollout.under()).toEqual(["m-3", "m-5"]);
    rollout.report(3, "healthy");
    rollout.report(5, "healthy");
    expect(rollout.state.phase).toBe("succeeded");
    expect(rollout.log.filter((change) => change.kind === "target_assigned")).toHaveLength(6);
  });

  test("is not moved on by what agents say on the way", () => {
    const rollout = new Harness(2);
    for (const phase of ["pulling", "staged", "activating", "probing"] as const) rollout.report(0, phase);
    expect(rollout.states()).toBe("updating pending");
  });
});

describe("a bad release", () => {
  test("stops in the wave and takes every changed machine back, the newest wave first", () => {
    const rollout = new Harness(6);
    rollout.report(0, "healthy");
    rollout.report(1, "reverted", "exited with code 1");
    expect(rollout.state.phase).toBe("rolling_back");
    expect(rollout.state.reason).toEqual({ code: "exited", message: "1 machine failed in wave 2, 0 allowed: m-1: exited with code 1" });
    expect(rollout.states()).toBe("healthy reverting reverting pending pending pending");
    rollout.report(1, "healthy");
    rollout.report(2, "healthy");
    expect(rollout.state.targets.get(id(1))?.reason?.message).toBe("exited with code 1");
    expect(rollout.state.targets.get(id(2))?.reason).toBeNull();
    expect(rollout.states()).toBe("reverting reverted reverted pending pending pending");
    rollout.report(0, "healthy");
    expect(rollout.state.phase).toBe("rolled_back");
    expect(rollout.state.reason?.code).toBe("exited");
  });

  test("is tolerated up to max_failures and no further", () => {
    const rollout = new Harness(4, { waves: [percent(100)], maxFailures: count(1), maxUnavailable: count(4) });
    rollout.report(0, "failed");
    expect(rollout.state.phase).toBe("rolling");
    rollout.report(1, "failed");
    expect(rollout.state.phase).toBe("rolling_back");
  });

  test("that turns unhealthy after it was healthy counts as failed", () => {
    const rollout = new Harness(4, { waves: [count(2), percent(100)] });
    rollout.report(0, "healthy");
    rollout.report(0, "unhealthy", "GET /healthz answered 500");
    expect(rollout.state.phase).toBe("rolling_back");
  });

  test("leaves a machine that had nothing before with the app removed", () => {
    const rollout = new Harness(1, {}, null);
    rollout.report(0, "failed");
    expect(rollout.log.findLast((change) => change.kind === "target_assigned")).toMatchObject({ purpose: "revert", release: null });
    rollout.report(0, "removed");
    expect(rollout.state.phase).toBe("rolled_back");
  });

  test("ends in failed when a machine can't go back", () => {
    const rollout = new Harness(1);
    rollout.report(0, "reverted");
    rollout.report(0, "failed", "port taken");
    expect(rollout.state.phase).toBe("failed");
    expect(rollout.state.reason?.code).toBe("revert_failed");
  });

  test("waits for an operator with on_failure: pause, and counts only new failures after a resume", () => {
    const rollout = new Harness(3, { waves: [percent(100)], onFailure: "pause", maxUnavailable: count(1) });
    rollout.report(0, "failed");
    expect(rollout.state.phase).toBe("paused");
    expect(rollout.under()).toEqual([]);
    rollout.event({ kind: "resume", reason: { code: "operator", message: "known" } });
    expect(rollout.state.phase).toBe("rolling");
    rollout.report(1, "failed");
    expect(rollout.state.phase).toBe("paused");
    rollout.event({ kind: "resume", reason: { code: "operator", message: "known" } });
    rollout.report(2, "healthy");
    expect(rollout.state.phase).toBe("succeeded");
  });

  test("does not succeed by being waved through when it failed everywhere", () => {
    const rollout = new Harness(2, { waves: [percent(100)], maxFailures: percent(100) });
    rollout.report(0, "failed");
    rollout.report(1, "failed");
    expect(rollout.state.phase).toBe("failed");
    expect(rollout.state.reason?.message).toBe("it failed on each of 2 machines that took it");
  });

  test("stops and touches nobody with on_failure: abort", () => {
    const rollout = new Harness(3, { onFailure: "abort" });
    rollout.report(0, "failed");
    expect(rollout.state.phase).toBe("failed");
    expect(rollout.states()).toBe("failed pending pending");
  });
});

describe("silence", () => {
  test("gives the place in the window to the next, and does not fail the machine", () => {
    const rollout = new Harness(3, { waves: [percent(100)], maxUnavailable: count(1) });
    rollout.silence(0);
    expect(rollout.states()).toBe("unreachable updating pending");
    rollout.report(1, "healthy");
    rollout.report(2, "healthy");
    expect(rollout.state.phase).toBe("succeeded");
  });

  test("of a whole wave holds nobody up, but the next are tried one at a time until one has answered", () => {
    const rollout = new Harness(6, { waves: [count(1), percent(100)], maxUnavailable: count(3) });
    rollout.silence(0);
    expect(rollout.states()).toBe("unreachable updating pending pending pending pending");
    rollout.silence(1);
    expect(rollout.under()).toEqual(["m-2"]);
    rollout.report(2, "healthy");
    expect(rollout.under()).toEqual(["m-3", "m-4", "m-5"]);
  });

  test("of every machine there is does not succeed: it waits for one to answer", () => {
    const rollout = new Harness(3);
    for (const index of [0, 1, 2]) rollout.silence(index);
    expect(rollout.states()).toBe("unreachable unreachable unreachable");
    expect(rollout.state.phase).toBe("rolling");
    expect(waitingOn(rollout.state)).toBe("m-2 to be heard from: no machine has answered yet");
    rollout.silent.clear();
    rollout.event({ kind: "heard_again", machine: id(0) });
    rollout.report(0, "healthy");
    expect(rollout.state.phase).toBe("succeeded");
  });

  test("that ends after the last wave began is waited for before the rollout succeeds", () => {
    const rollout = new Harness(2);
    rollout.silence(0);
    rollout.silent.clear();
    rollout.event({ kind: "heard_again", machine: id(0) });
    rollout.report(1, "healthy");
    expect(rollout.state.phase).toBe("rolling");
    expect(waitingOn(rollout.state)).toBe("m-0 to be healthy for 5s");
    rollout.report(0, "healthy");
    expect(rollout.state.phase).toBe("succeeded");
  });

  test("that ends with a failure in an earlier wave takes everything back", () => {
    const rollout = new Harness(3);
    rollout.silence(0);
    rollout.report(1, "healthy");
    rollout.silent.clear();
    rollout.event({ kind: "heard_again", machine: id(0) });
    rollout.report(0, "reverted");
    expect(rollout.state.phase).toBe("rolling_back");
  });

  test("of a machine at its turn tells it all the same, and goes on", () => {
    const rollout = new Harness(3, { waves: [count(1), percent(100)], maxUnavailable: count(1) });
    rollout.silent.add(id(1));
    rollout.report(0, "healthy");
    expect(rollout.states()).toBe("healthy unreachable updating");
  });

  test("does not hold up a rollback", () => {
    const rollout = new Harness(3, { waves: [percent(100)], maxUnavailable: count(3) });
    rollout.silence(2);
    rollout.report(0, "reverted");
    rollout.report(0, "healthy");
    rollout.report(1, "healthy");
    expect(rollout.state.phase).toBe("rolled_back");
    expect(rollout.states()).toBe("reverted reverted unreachable");
  });
});

describe("progress_deadline", () => {
  test("gives up when no target became healthy for so long, and says who held it up", () => {
    const rollout = new Harness(2);
    rollout.tick(599_999);
    expect(rollout.state.phase).toBe("rolling");
    rollout.tick(1);
    expect(rollout.state.phase).toBe("rolling_back");
    expect(rollout.state.reason).toEqual({
      code: "progress_deadline",
      message: "no target became healthy for 10m (progress_deadline) in wave 1: 1 updating (m-0)",
    });
  });

  test("begins again with each healthy target and does not run while paused", () => {
    const rollout = new Harness(3);
    rollout.tick(500_000);
    rollout.report(0, "healthy");
    rollout.tick(500_000);
    expect(rollout.state.phase).toBe("rolling");
    rollout.event({ kind: "pause", reason: { code: "operator", message: "lunch" } });
    expect(nextDeadline(rollout.state)).toBeUndefined();
    rollout.tick(10_000_000);
    rollout.event({ kind: "resume", reason: { code: "operator", message: "back" } });
    expect(rollout.state.phase).toBe("rolling");
  });

  test("ends a rollback that is stuck", () => {
    const rollout = new Harness(1);
    rollout.report(0, "failed");
    rollout.tick(600_000);
    expect(rollout.state.phase).toBe("failed");
    expect(rollout.state.reason?.message).toContain("the rollback made no progress for 10m");
  });
});

describe("operators", () => {
  test("pause: no new machine is touched and those under way finish", () => {
    const rollout = new Harness(3, { waves: [percent(100)], maxUnavailable: count(1) });
    rollout.event({ kind: "pause", reason: { code: "operator", message: "" } });
    rollout.report(0, "healthy");
    expect(rollout.states()).toBe("healthy pending pending");
    rollout.event({ kind: "resume", reason: { code: "operator", message: "" } });
    expect(rollout.states()).toBe("healthy updating pending");
  });

  test("abort: nobody is touched after it", () => {
    const rollout = new Harness(3, { waves: [percent(100)], maxUnavailable: count(1) });
    rollout.event({ kind: "abort", reason: { code: "operator", message: "" } });
    const assigned = rollout.log.length;
    rollout.report(0, "healthy");
    expect(rollout.log.slice(assigned).map((change) => change.kind)).toEqual(["target_changed"]);
    expect(rollout.states()).toBe("healthy pending pending");
  });

  test("rollback of a success takes all of it back inside the window", () => {
    const rollout = new Harness(4, { waves: [percent(100)], maxUnavailable: count(2) });
    for (let index = 0; index < 4; index += 1) rollout.report(index, "healthy");
    expect(rollout.state.phase).toBe("succeeded");
    rollout.event({ kind: "rollback", reason: { code: "operator", message: "" } });
    expect(rollout.states()).toBe("healthy healthy reverting reverting");
    rollout.report(3, "healthy");
    expect(rollout.states()).toBe("healthy reverting reverting reverted");
  });

  test("are told why a command can't be carried out", () => {
    const rollout = new Harness(1);
    expect(refusal(rollout.state, "resume")).toContain("only a paused deployment");
    rollout.report(0, "healthy");
    expect(refusal(rollout.state, "abort")).toBe("it has ended (succeeded)");
    expect(refusal(rollout.state, "rollback")).toBeUndefined();
  });
});

test("a report of an older generation changes nothing", () => {
  const rollout = new Harness(1);
  const { generation, machine } = rollout.state.targets.get(id(0))!;
  rollout.event({ kind: "reported", machine, generation: (generation - 1) as typeof generation, phase: "healthy", reason: null });
  expect(rollout.states()).toBe("updating");
});

describe("the invariants catch", () => {
  const broken: readonly [string, (state: RolloutState) => void, (state: RolloutState) => void][] = [
    ["counts that do not add up", (state) => (state.waves[0]!.counts.healthy += 1), checkRollout],
    ["a target of a later wave that was touched", (state) => { state.waves[2]!.counts.pending -= 1; state.waves[2]!.counts.healthy += 1; }, checkRollout],
    ["a mover that nobody counts", (state) => state.moving.clear(), checkRollout],
    ["more movers than the window allows", (state) => { state.moving.add(id(4)); state.moving.add(id(5)); }, checkWindow],
    ["a state that its wave does not count", (state) => (state.targets.get(id(0))!.state = "healthy"), auditRollout],
    ["an end of a rollback with targets on the move", (state) => (state.phase = "rolled_back"), checkRollout],
  ];
  test.each(broken)("%s", (_, spoil, check) => {
    const { state } = new Harness(6);
    expect(() => check(state)).not.toThrow();
    spoil(state);
    expect(() => check(state)).toThrow(InvariantViolation);
  });
});
