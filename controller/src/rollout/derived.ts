/**
 * What is derived from the targets' states (who moves, in which lanes, who takes a place in the window, whose turn is next), kept up to date in O(log n) a
 * change. After a restart it is built anew from the targets.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { backwardTurns, forwardTurns, isMoving, isToRevert, type LaneKeys, type RolloutState, type Target, type TargetState, type WaveState } from "./state.ts";

export function enterState(state: RolloutState, wave: WaveState, target: Target, to: TargetState): void {
  const moved = isMoving(target);
  wave.counts[target.state] -= 1;
  wave.counts[to] += 1;
  target.state = to;
  const moves = isMoving(target);
  if (moves !== moved) (moves ? startMoving : stopMoving)(state, target);
  if (to === "pending") state.turns.giveBack(target);
  if (to === "removed") noteUnwell(state, target.machine, false);
}

/** From the machines' side: silent, or not well for whatever reason. Whoever was removed takes no place, though a new machine may have its name. */
export function noteUnwell(state: RolloutState, machine: MachineId, isAway: boolean): void {
  const target = state.targets.get(machine);
  if (target === undefined) return;
  const isUnwell = isAway && target.state !== "removed";
  if (state.unwell.has(machine) === isUnwell) return;
  if (isUnwell) state.unwell.add(machine);
  else state.unwell.delete(machine);
  if (!state.moving.has(machine)) state.unwellAtRest += isUnwell ? 1 : -1;
}

/** The targets of a wave that begins, or that joined one. */
export function addTurns(state: RolloutState, { targets }: Pick<WaveState, "targets">): void {
  state.turns.addAll(targets);
}

/** All that were told the release and have not been told to go back. */
export function aimBack(state: RolloutState): void {
  state.turnsBack = backwardTurns();
  for (const { targets } of state.waves.toReversed()) state.turnsBack.addAll(targets.filter(isToRevert).toReversed());
}

/** Everything anew, from the targets as they were loaded. */
export function rebuild(state: RolloutState): void {
  state.turns = forwardTurns();
  for (const wave of state.waves) {
    if (wave.startedAt !== null) state.turns.addAll(wave.targets.filter((target) => target.state === "pending"));
    for (const target of wave.targets) if (isMoving(target)) startMoving(state, target);
  }
  if (state.phase === "rolling_back") aimBack(state);
}

export function laneKeys(state: RolloutState, { lane }: Pick<Target, "lane">): LaneKeys {
  let keys = state.laneKeys.get(lane);
  if (keys === undefined) {
    const parts = lane.split("/");
    const values = state.lanes.map(({ label }, index) => `${label}=${parts[index] ?? ""}`);
    const others = state.lanes.map(({ label }, index) => `${label}!=${parts[index] ?? ""}`);
    keys = { values, others, counted: [...values, ...state.lanes.map(({ label }) => label)] };
    state.laneKeys.set(lane, keys);
  }
  return keys;
}

function startMoving(state: RolloutState, target: Target): void {
  state.moving.add(target.machine);
  if (state.unwell.has(target.machine)) state.unwellAtRest -= 1;
  if (state.lanes.length === 0) return;
  const { values, counted } = laneKeys(state, target);
  for (const key of counted) state.movingIn.set(key, (state.movingIn.get(key) ?? 0) + 1);
  for (const [index, { label }] of state.lanes.entries()) if (state.movingIn.get(values[index]!) === 1) releaseSpread(state, label, index);
}

function stopMoving(state: RolloutState, target: Target): void {
  state.moving.delete(target.machine);
  if (state.unwell.has(target.machine)) state.unwellAtRest += 1;
  if (state.lanes.length === 0) return;
  const { values, counted } = laneKeys(state, target);
  for (const key of counted) {
    const left = (state.movingIn.get(key) ?? 0) - 1;
    if (left === 0) state.movingIn.delete(key);
    else state.movingIn.set(key, left);
  }
  for (const [index, { label }] of state.lanes.entries()) {
    release(state, values[index]!);
    if (!state.movingIn.has(values[index]!)) releaseSpread(state, label, index);
  }
}

/** Once no value of a label is on the move, any may be next; while one is, only more of it. */
function releaseSpread(state: RolloutState, label: string, index: number): void {
  const [first] = state.moving;
  if (!state.movingIn.has(label)) return release(state, label);
  const { values, others } = laneKeys(state, state.targets.get(first!)!);
  if (state.movingIn.get(values[index]!) === state.movingIn.get(label)) release(state, others[index]!);
}

function release({ turns, turnsBack }: RolloutState, key: string): void {
  turns.release(key);
  turnsBack.release(key);
}
