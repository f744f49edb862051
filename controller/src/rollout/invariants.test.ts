/** Each invariant is broken by hand, and must be seen, in its own words. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { apply, type RolloutChange } from "./change.ts";
import { auditRollout, checkChange, checkRollout, InvariantViolation } from "./invariants.ts";
import { attendedAlways } from "./moment.ts";
import { ALL, APPROVAL, count, fleetOf, Harness, machineId, START, wave } from "./rollout.fixture.ts";
import type { RolloutState, TargetState } from "./state.ts";

function rolling(): RolloutState {
  const fleet = fleetOf(6, (index) => ({ labels: { zone: index < 4 ? "a" : "b" } }));
  return new Harness(fleet, { waves: [wave(count(2)), wave(count(4), { gates: [APPROVAL] }), ALL], spread: "zone" }).state;
}

const NOW = attendedAlways(START);

/** Told by hand, whatever keeps it from that. */
function told(state: RolloutState, index: number): void {
  const change: RolloutChange = { kind: "target_assigned", machine: machineId(index), purpose: "update", release: state.release, state: "updating", reason: null, previous: null };
  apply(state, change, { seq: 99, ...NOW });
  checkChange(state, change);
}

/** Counted as another state, and right otherwise. */
function recount(state: RolloutState, index: number, from: TargetState, to: TargetState): void {
  const { counts } = state.waves[index]!;
  counts[from] -= 1;
  counts[to] += 1;
}

/** The third wave has begun, after the others. */
function toLastWave(state: RolloutState): void {
  const [first, second, third] = state.waves;
  first!.finishedAt = NOW;
  second!.startedAt = START;
  second!.gates[0]!.state = "open";
  second!.finishedAt = NOW;
  third!.startedAt = START;
}

type Spoil = (state: RolloutState) => void;

const BY_ROLLOUT: readonly [string, RegExp, Spoil][] = [
  ["counts that do not add up", /counts 3 of its 2 targets/, (state) => (state.waves[0]!.counts.healthy += 1)],
  ["a negative count", /has a negative count/, (state) => recount(state, 0, "healthy", "failed")],
  ["a target of a later wave that was touched", /was touched before its turn/, (state) => recount(state, 2, "pending", "healthy")],
  ["a wave that began before the one before it was finished", /has begun before wave 1 was finished/, (state) => (state.waves[1]!.startedAt = START)],
  ["a wave that was finished with a gate closed", /was finished with a gate closed/, (state) => (state.waves[1]!.finishedAt = NOW)],
  ["a mover that nobody counts", /2 targets move, 0 are known to/, (state) => state.moving.clear()],
  ["a hold while targets are on the move", /is held by window with targets on the move/, (state) => (state.hold = { kind: "window", message: "", since: NOW })],
  ["a freeze that holds while targets are on the move, though few are enough", /is held by freeze with targets on the move/, (state) => { Object.assign(state.waves[0]!, { successThreshold: 1 }); state.hold = { kind: "freeze", message: "", since: NOW }; }],
  ["targets that were lost", /6 planned targets, 5 known/, (state) => state.targets.delete(machineId(5))],
  ["a rollout that goes forward after its rollback has begun", /goes forward after its rollback has begun/, (state) => (state.beganBack = true)],
  ["a rollout that goes back without a plan", /moves without a plan/, (state) => { state.phase = "rolling_back"; state.waves = []; state.targets.clear(); state.moving.clear(); }],
];

const BY_AUDIT: readonly [string, RegExp, Spoil][] = [
  ["a state that its wave does not count", /has 1 pending and counts 2/, (state) => { const target = state.waves[1]!.targets[0]!; target.state = "skipped"; }],
  ["a target on trial that its wave does not count so", /has 1 updating on trial and counts 0/, (state) => Object.assign(state.waves[0]!.targets[0]!, { onTrial: true })],
  ["an unreachable target that counts, and is not counted", /has 0 unreachable that count, and counts 1/, (state) => (state.waves[0]!.counted = 1)],
  ["a failure that has left, and is not counted", /0 targets of wave 1 have left as failed, and 1 are counted/, (state) => (state.waves[0]!.leftFailed = 1)],
  ["a target that is there, and has left", /is updating and has left as lost/, (state) => (state.waves[0]!.targets[0]!.leftAs = "lost")],
  ["a target that stands where another does", /is in wave 1 after position 0 and says 1\/0/, (state) => Object.assign(state.waves[0]!.targets[1]!, { position: 0 })],
  ["a target that says another wave", /is in wave 1 after position -1 and says 2\/0/, (state) => Object.assign(state.waves[0]!.targets[0]!, { wave: 1 })],
  ["a machine that is known twice", /is known twice/, (state) => state.targets.set(machineId(0), { ...state.targets.get(machineId(0))! })],
  ["a target that moves, and is not counted as moving", /is updating and not counted as moving/, (state) => { state.moving.delete(machineId(0)); state.moving.add(machineId(5)); }],
  ["an unreachable target that nobody waits for, and nobody let go", /is unreachable and not awaited/, (state) => { const [first] = state.waves[0]!.targets; first!.state = "unreachable"; recount(state, 0, "updating", "unreachable"); state.moving.delete(first!.machine); }],
  ["a target that is on its way without having been told", /is updating with purpose null/, (state) => (state.targets.get(machineId(0))!.purpose = null)],
];

const BY_CHANGE: readonly [string, RegExp, Spoil][] = [
  ["a wave that was finished with too few healthy", /was finished with 2 targets that had not settled, and 0 healthy/, (state) => { Object.assign(state.waves[0]!, { successThreshold: 1 }); checkChange(state, { kind: "wave_finished", wave: 0 }); }],
  ["a start past the window", /1 targets are changing and 0 down, 1 allowed/, (state) => { state.maxUnavailable = 1; state.availability.changing.delete(machineId(1)); state.waves[1]!.startedAt = START; state.waves[0]!.finishedAt = NOW; told(state, 2); }],
  ["one that costs nothing, past the window all the same", /1 targets are changing, 1 allowed/, (state) => { state.maxUnavailable = 1; state.availability.changing.delete(machineId(1)); state.availability.changing.add(machineId(2)); state.waves[1]!.startedAt = START; state.waves[0]!.finishedAt = NOW; told(state, 2); }],
  ["a start in a second value of a spread label", /targets of two values of zone are changing/, (state) => { state.maxUnavailable = 9; toLastWave(state); told(state, 5); }],
  ["a start past what its lane allows", /2 targets with .* are changing, 1 allowed/, (state) => { state.maxUnavailable = 9; state.waves[0]!.finishedAt = NOW; state.waves[1]!.startedAt = START; state.lanes = state.lanes.map((lane) => ({ ...lane, max: 1 })); told(state, 2); }],
  ["a start while it is paused", /was told of the release/, (state) => { state.phase = "paused"; state.maxUnavailable = 9; state.waves[0]!.finishedAt = NOW; state.waves[1]!.startedAt = START; told(state, 2); }],
];

describe("the invariants catch", () => {
  test.each(BY_ROLLOUT)("%s", (_, words, spoil) => {
    const state = rolling();
    expect(() => auditRollout(state)).not.toThrow();
    spoil(state);
    expect(() => checkRollout(state)).toThrow(words);
    expect(() => checkRollout(state)).toThrow(InvariantViolation);
  });

  test.each(BY_AUDIT)("%s", (_, words, spoil) => {
    const state = rolling();
    spoil(state);
    expect(() => auditRollout(state)).toThrow(words);
  });

  test.each(BY_CHANGE)("%s", (_, words, spoil) => {
    const state = rolling();
    expect(() => spoil(state)).toThrow(words);
  });

  test("whatever is demanded", () => {
    // Two of them are broken in two ways.
    const demands = readFileSync(new URL("invariants.ts", import.meta.url), "utf8").split("\n").filter((line) => /^ *(if .*|else )?demand\(/.test(line));
    expect(demands).toHaveLength(BY_ROLLOUT.length + BY_AUDIT.length + BY_CHANGE.length - 2);
  });
});
