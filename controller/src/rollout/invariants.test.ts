/** Each invariant is broken by hand, and must be seen. */
import { describe, expect, test } from "vitest";
import { apply, type RolloutChange } from "./change.ts";
import { auditRollout, checkChange, checkRollout, InvariantViolation } from "./invariants.ts";
import { attendedAlways } from "./moment.ts";
import { ALL, APPROVAL, count, fleetOf, Harness, machineId, START, wave } from "./rollout.fixture.ts";
import type { RolloutState } from "./state.ts";

function rolling(): RolloutState {
  const fleet = fleetOf(6, (index) => ({ labels: { zone: index < 4 ? "a" : "b" } }));
  return new Harness(fleet, { waves: [wave(count(2)), wave(count(4), { gates: [APPROVAL] }), ALL], spread: "zone" }).state;
}

const NOW = attendedAlways(START);

function told(state: RolloutState, index: number): void {
  const change: RolloutChange = { kind: "target_assigned", machine: machineId(index), purpose: "update", release: state.release, state: "updating", reason: null, previous: null };
  apply(state, change, { seq: 99, ...NOW });
  checkChange(state, change);
}

describe("the invariants catch", () => {
  const broken: readonly [string, (state: RolloutState) => void, (state: RolloutState) => void][] = [
    ["counts that do not add up", (state) => (state.waves[0]!.counts.healthy += 1), checkRollout],
    ["a negative count", (state) => { state.waves[0]!.counts.healthy -= 1; state.waves[0]!.counts.failed += 1; }, checkRollout],
    ["a target of a later wave that was touched", (state) => { state.waves[2]!.counts.pending -= 1; state.waves[2]!.counts.healthy += 1; }, checkRollout],
    ["a wave that began before the one before it was finished", (state) => (state.waves[1]!.startedAt = START), checkRollout],
    ["a wave that was finished with a gate closed", (state) => (state.waves[1]!.finishedAt = NOW), checkRollout],
    ["a mover that nobody counts", (state) => state.moving.clear(), checkRollout],
    ["a hold while targets are on the move", (state) => (state.hold = { kind: "window", message: "", since: NOW }), checkRollout],
    ["a wave that was finished with too few healthy", (state) => { const { counts } = state.waves[0]!; Object.assign(state.waves[0]!, { successThreshold: 1 }); expect(counts.healthy).toBe(0); checkChange(state, { kind: "wave_finished", wave: 0 }); }, () => {}],
    ["a freeze that holds while targets are on the move, though few are enough", (state) => { Object.assign(state.waves[0]!, { successThreshold: 1 }); state.hold = { kind: "freeze", message: "", since: NOW }; }, checkRollout],
    ["targets that were lost", (state) => state.targets.delete(machineId(5)), checkRollout],
    ["a state that its wave does not count", (state) => (state.targets.get(machineId(0))!.state = "healthy"), auditRollout],
    ["an unreachable target that nobody waits for, and nobody let go", (state) => { const [first] = state.waves[0]!.targets; first!.state = "unreachable"; state.waves[0]!.counts.updating -= 1; state.waves[0]!.counts.unreachable += 1; state.moving.delete(first!.machine); }, auditRollout],
    ["a target that is on its way without having been told", (state) => (state.targets.get(machineId(0))!.purpose = null), auditRollout],
    ["a start past the window", (state) => { state.waves[1]!.startedAt = START; state.waves[0]!.finishedAt = NOW; told(state, 2); }, () => {}],
    ["a start in a second value of a spread label", (state) => { state.maxUnavailable = 9; for (const { startedAt } of state.waves) void startedAt; state.waves[0]!.finishedAt = NOW; state.waves[1]!.startedAt = START; state.waves[1]!.gates[0]!.state = "open"; state.waves[1]!.finishedAt = NOW; state.waves[2]!.startedAt = START; told(state, 5); }, () => {}],
    ["a start while it is paused", (state) => { state.phase = "paused"; state.maxUnavailable = 9; state.waves[0]!.finishedAt = NOW; state.waves[1]!.startedAt = START; told(state, 2); }, () => {}],
  ];
  test.each(broken)("%s", (_, spoil, check) => {
    const state = rolling();
    expect(() => auditRollout(state)).not.toThrow();
    expect(() => { spoil(state); check(state); }).toThrow(InvariantViolation);
  });
});
