/**
 * Random strategies, fleets and events. In the first phase anything may happen, and after every change everything is counted again; in the second all obstacles are
 * gone and everybody answers, and every rollout must come to its end.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Instant } from "@muster/proto/ids.ts";
import type { Gate, Strategy, WaveSpec } from "../plan/strategy.ts";
import { hasPlace, blockers, opening } from "./place.ts";
import { count, fleetOf, Harness, HOUR, machineId, MINUTE, percent, prometheus, SECOND, soak, START, wave, webhook } from "./rollout.fixture.ts";
import { AGENT_PHASES, isEnded, type Target } from "./state.ts";
import { isSuspicious } from "./suspicion.ts";
import { isTailTripped } from "./tail.ts";

const MACHINES = 12;

const gate: fc.Arbitrary<Gate> = fc.oneof(
  fc.constant(soak(MINUTE)),
  fc.constant<Gate>({ kind: "approval" }),
  fc.record({ onSilence: fc.constantFrom("stop", "go", "wait"), retries: fc.nat(2) }).map(webhook),
  fc.record({ onSilence: fc.constantFrom("stop", "go", "wait"), count: fc.integer({ min: 1, max: 3 }), failureLimit: fc.nat(1) }).map(prometheus),
);

const waveSpec: fc.Arbitrary<WaveSpec> = fc
  .record({
    members: fc.oneof(fc.integer({ min: 1, max: MACHINES }).map(count), fc.integer({ min: 1, max: 100 }).map(percent), fc.constantFrom("zone=a", "rack in (r1,r2)")),
    changes: fc.record({
      gates: fc.array(gate, { maxLength: 2 }),
      at: fc.option(fc.integer({ min: 0, max: 60 }).map((minutes) => (START + minutes * MINUTE) as Instant)),
      afterMs: fc.constantFrom(0, 0, 5 * MINUTE),
      maxFailures: fc.option(fc.nat(2).map(count)),
      maxUnreachable: fc.option(fc.nat(2).map(count)),
      successThreshold: fc.option(fc.oneof(fc.integer({ min: 1, max: 4 }).map(count), fc.integer({ min: 1, max: 100 }).map(percent))),
    }),
  })
  .map(({ members, changes }) => wave(members, changes));

const strategy: fc.Arbitrary<Partial<Strategy>> = fc
  .record({
    first: fc.array(waveSpec, { maxLength: 3 }),
    last: waveSpec.map((spec) => ({ ...spec, members: wave(percent(100)).members })),
    maxUnavailable: fc.integer({ min: 1, max: 6 }).map(count),
    maxUnavailablePer: fc.constantFrom([], [{ label: "rack", max: 1 }], [{ label: "rack", max: 2 }]),
    spread: fc.constantFrom(null, null, "zone"),
    maxFailures: fc.nat(3).map(count),
    maxUnreachable: fc.option(fc.nat(4).map(count)),
    offline: fc.constantFrom<Strategy["offline"]>({ kind: "skip" }, { kind: "wait", forMs: null }, { kind: "wait", forMs: 30 * MINUTE }),
    window: fc.option(fc.constant({ cron: "0 2 * * *", durationMs: HOUR, timeZone: "UTC" })),
    onFailure: fc.constantFrom("rollback", "pause", "abort"),
  })
  .map(({ first, last, ...rest }) => ({ ...rest, waves: [...first, last] }));

const index = fc.nat(MACHINES - 1);

const action = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant("good" as const), index }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("report" as const), index, phase: fc.constantFrom(...AGENT_PHASES), age: fc.constantFrom(0, 0, 0, 1, 5) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("silence", "hear", "cordon", "uncordon", "unwell", "well"), index }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("command" as const), kind: fc.constantFrom("pause", "resume", "abort", "rollback", "approve", "promote", "retry", "set_max_unavailable"), all: fc.boolean(), maxUnavailable: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("answer" as const), verdict: fc.constantFrom("go", "go", "stop", "wait", "silent") }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.constantFrom(SECOND, 10 * SECOND, MINUTE, 5 * MINUTE, HOUR) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("freeze", "thaw", "close", "open", "budget", "room", "restart", "join", "remove", "rejoin") }) },
);
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;

/** A harness that judges each start by the world as it was. */
class Judged extends Harness {
  joined = 0;

  do(step: Action): void {
    const before = this.log.length;
    const { phase } = this;
    this.#do(step);
    // Time may have opened what was closed in a step that takes any.
    if (step.do !== "pass") for (const change of this.log.slice(before)) if (change.kind === "target_assigned") this.#judge(change.machine, change.purpose);
    if (phase === "aborted" && this.phase === "aborted") expect(this.log.slice(before).some((change) => change.kind === "target_assigned")).toBe(false);
    this.#expectFull();
  }

  #judge(machine: Target["machine"], purpose: "update" | "revert"): void {
    if (purpose === "revert") return;
    expect(this.world.frozen(this.now).open).toBe(true);
    expect(this.world.isSilent(machine) || this.world.isCordoned(machine)).toBe(false);
    expect(this.world.fullBudget(machine, purpose)).toBeUndefined();
  }

  /** Whoever could have been started has been. One that is silent or cordoned can't be: it is passed over when it is its turn. */
  #expectFull(): void {
    const { state, world, moment } = this;
    if (isSuspicious(state)) return;
    if (state.phase !== "rolling" || !opening(state, world, moment).open || !state.waves.some(({ counts }) => counts.healthy > 0)) return;

    const isOut = (machine: Target["machine"]) => world.isSilent(machine) || world.isCordoned(machine);
    const waiting = [...state.targets.values()].find((target) => target.state === "pending" && !isOut(target.machine) && state.waves[target.wave]!.startedAt !== null && blockers(state, world, "update")(target) === undefined);
    if (waiting !== undefined && hasPlace(state, waiting, state.maxUnavailable, "update")) expect.fail(`${waiting.machine} could have been started`);
  }

  #do(step: Action): void {
    const { world } = this;
    switch (step.do) {
      case "good": {
        const moving = [...this.state.moving];
        const machine = moving[step.index % Math.max(1, moving.length)];
        if (machine !== undefined) this.healthy(Number(machine.slice(2)));
        return;
      }
      case "report":
        return this.report(step.index, step.phase, { generation: Math.max(0, this.target(step.index).generation - step.age) });
      case "silence":
        return this.silence(step.index);
      case "hear":
        return this.hear(step.index);
      case "cordon":
        world.cordoned.add(machineId(step.index));
        return;
      case "uncordon":
        return this.uncordon(step.index);
      case "unwell":
      case "well":
        return this.unwell(step.index, step.do === "unwell" || world.isSilent(machineId(step.index)));
      case "command":
        return this.command(step.kind as "pause", { ...step, refused: "ignore" });
      case "answer":
        if (this.isAsked()) this.answer(step.verdict as "go");
        return;
      case "pass":
        return this.pass(step.ms);
      case "freeze":
        world.freeze = { until: null };
        return;
      case "thaw":
        world.freeze = undefined;
        return this.event();
      case "close":
        world.closedUntil = (this.now + HOUR) as Instant;
        return;
      case "open":
        world.closedUntil = undefined;
        return this.event();
      case "budget":
        world.budget = (machine) => (Number(machine.slice(2)) % 3 === 0 ? "third=yes" : undefined);
        return;
      case "room":
        world.budget = () => undefined;
        return this.event();
      case "restart":
        return this.restart();
      case "remove":
        return this.remove();
      case "rejoin": {
        const gone = [...this.state.targets.values()].find(({ state }) => state === "removed");
        return gone === undefined ? undefined : this.event({ kind: "joined", target: { machine: gone.machine, lane: gone.lane } });
      }
      case "join":
        this.joined += 1;
        return this.event({ kind: "joined", target: { machine: machineId(MACHINES + this.joined), lane: this.state.lanes.map(() => "").join("/") } });
    }
  }

  /** One on the move rather than another; two are always left. */
  remove(): void {
    const there = [...this.state.targets.values()].filter(({ state }) => state !== "removed");
    const target = there.find(({ machine }) => this.state.moving.has(machine)) ?? there[0];
    if (there.length <= 2 || target === undefined) return;
    const leftWell = !this.world.silent.delete(target.machine);
    this.world.cordoned.delete(target.machine);
    this.event({ kind: "removed", machine: target.machine, reason: { code: "removed", message: "anna removed it from the fleet" }, leftWell });
  }

  isAsked(): boolean {
    const { waves, wave: at } = this.state;
    return waves[at]?.gates.some(({ state, isAsked }) => state === "reached" && isAsked) ?? false;
  }

  /** All obstacles are gone, and everybody answers well. */
  settle(): void {
    this.world.freeze = undefined;
    this.world.closedUntil = undefined;
    this.world.budget = () => undefined;
    this.world.cordoned.clear();
    for (const machine of this.state.targets.keys()) {
      this.hear(Number(machine.slice(2)));
      this.uncordon(Number(machine.slice(2)));
    }
    for (let turns = 0; turns < 500; turns += 1) {
      const machine = [...this.state.moving, ...this.state.availability.changing][0];
      const [back] = this.state.availability.goingBack;
      const wake = this.wake();
      if (this.phase === "paused") this.command("resume");
      else if (back !== undefined) this.report(Number(back.slice(2)), "reverted");
      else if (machine !== undefined) this.healthy(Number(machine.slice(2)));
      else if (isEnded(this.phase)) return;
      else if (this.isAsked()) this.answer("go");
      else if (this.state.hold?.kind === "approval") this.command("approve");
      else if (wake !== undefined) this.pass(Math.max(0, wake - this.now));
      else throw new Error(`it is ${this.phase} and waits for ${this.waitsFor()} for ever`);
    }
    throw new Error(`it is ${this.phase} after 500 turns: ${this.states()}`);
  }
}

test("whatever happens, no limit is passed, and when everybody answers every rollout ends", { timeout: 120_000 }, () => {
  const phases = new Map<string, number>();
  fc.assert(
    fc.property(strategy, fc.array(action, { minLength: 10, maxLength: 80 }), (changes, actions) => {
      const fleet = fleetOf(MACHINES, (at) => ({ labels: { zone: "abc"[at % 3]!, rack: `r${at % 5}` } }));
      const rollout = new Judged(fleet, changes);
      for (const step of actions) rollout.do(step);
      rollout.settle();
      phases.set(rollout.phase, (phases.get(rollout.phase) ?? 0) + 1);
      const states = new Set([...rollout.state.targets.values()].map(({ state }) => state));
      const untouched = [...states].filter((state) => state === "pending" || state === "unreachable" || state === "skipped" || state === "updating");
      if (rollout.phase === "succeeded" && !isTailTripped(rollout.state) && !rollout.log.some((change) => change.kind === "failures_acknowledged")) expect(untouched).toEqual([]);
      if (rollout.phase === "rolled_back") expect(states).not.toContain("healthy");
    }),
    { numRuns: 1500 },
  );
  // A generator that never comes anywhere would prove nothing.
  for (const phase of ["succeeded", "rolled_back", "failed", "aborted"]) expect([phase, (phases.get(phase) ?? 0) > 0]).toEqual([phase, true]);
});
