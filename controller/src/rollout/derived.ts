/**
 * What is derived from the targets' states and from the availability of their machines: who moves, which lanes are taken, who starts next, for whom a wave waits. Kept up
 * to date in O(log n) a change; after a restart it is built anew from the targets.
 */
import { isLostWithRelease } from "./evidence.ts";
import { isFailure, noteKnown } from "./known.ts";
import type { MachineId } from "@muster/proto/ids.ts";
import type { MachineAvailability } from "./availability.ts";
import { backwardTurns, forwardTurns, isCounted, isMoving, isSupersededBack, type LaneKeys, type LeftAs, type LetGo, mayGoBack, type RolloutState, type Target, type TargetState, type WaveState } from "./state.ts";

export function enterState(state: RolloutState, wave: WaveState, target: Target, to: TargetState, leftAs: LeftAs | null): void {
  const wasUnreachable = target.state === "unreachable";
  // Left to a newer deployment up to now.
  const isBackAgain = target.state === "skipped" && to === "failed";
  if (wasUnreachable) {
    leaveUnreachable(state, wave, target);
    target.letGo = null;
  }
  for (const counts of target.onTrial ? [wave.counts, wave.countsOnTrial] : [wave.counts]) {
    counts[target.state] -= 1;
    counts[to] += 1;
  }
  target.state = to;
  if (isMoving(target)) state.moving.add(target.machine);
  else state.moving.delete(target.machine);
  noteBack(state, target);
  leave(state, wave, target, leftAs);
  if (to === "unreachable") enterUnreachable(state, wave, target);
  if ((wasUnreachable || isBackAgain) && mayGoBack(state, target)) state.turnsBack.giveBack(target);
  if (to === "pending" && wave.startedAt !== null) state.turns.giveBack(target);
  if (to === "removed") noteAvailability(state, target.machine, { is: "absent" });
  else putFirst(state, target);
}

function noteBack({ stuckBack, cameBack }: RolloutState, target: Target): void {
  keep(stuckBack, target, target.takenDown === "stuck");
  keep(cameBack, target, target.takenDown === "back");
}

/** What a target that is out of the rollout still says of the release; null: nothing, and nothing that it said before. */
export function leave(state: RolloutState, wave: WaveState, target: Target, as: LeftAs | null): void {
  if (target.leftAs !== null) countLeft(state, wave, target, -1);
  target.leftAs = as;
  if (as !== null) countLeft(state, wave, target, 1);
}

function countLeft({ lostTakers }: RolloutState, wave: WaveState, { machine, leftAs, onTrial }: Target, by: 1 | -1): void {
  if (leftAs === "excused") return;
  if (leftAs === "failed") {
    wave.leftFailed += by;
    return;
  }
  keep(lostTakers, machine, by === 1);
  countLost(wave, onTrial, by);
  wave.counted += by;
}

function countLost(wave: WaveState, onTrial: boolean, by: 1 | -1): void {
  wave.lost += by;
  if (onTrial) wave.lostOnTrial += by;
}

/** An unreachable target is waited for no longer; one that has left is excused. */
export function letGo(state: RolloutState, wave: WaveState, target: Target, why: LetGo): void {
  if (why === "excused" && !isFailure(target)) noteKnown(wave, target, false);
  if (why === "excused" && target.leftAs === "lost") leave(state, wave, target, "excused");
  if (target.state !== "unreachable") return;
  leaveUnreachable(state, wave, target);
  target.letGo = why;
  enterUnreachable(state, wave, target);
}

function enterUnreachable(state: RolloutState, wave: WaveState, target: Target): void {
  if (target.letGo === null) wave.awaited.add(target);
  if (isCounted(state, target)) wave.counted += 1;
  if (!isLostWithRelease(target) || target.letGo === "excused") return;
  countLost(wave, target.onTrial, 1);
  state.lostTakers.add(target.machine);
  if (target.reason?.code === "not_taken") state.wordless.add(target.machine);
}

function leaveUnreachable(state: RolloutState, wave: WaveState, target: Target): void {
  if (isCounted(state, target)) wave.counted -= 1;
  wave.awaited.delete(target);
  if (state.lostTakers.delete(target.machine)) countLost(wave, target.onTrial, -1);
  state.wordless.delete(target.machine);
}

/** Notes whether the app serves on a machine. A target that was removed counts nowhere, though a new machine may have its name. */
export function noteAvailability(state: RolloutState, machine: MachineId, noted: MachineAvailability): void {
  const { is, isFailing = false, isGoingBack = false } = noted;
  const target = state.targets.get(machine);
  if (state.unchanged.has(machine)) for (const [how, those] of Object.entries(state.availability.leftOut)) keep(those, machine, how === leftOutAs(state, noted));
  if (target === undefined) return;
  const { changing, down, failing, goingBack, changingIn, downIn } = state.availability;
  const isThere = target.state !== "removed";
  place(state, target, changing, changingIn, isThere && is === "changing");
  place(state, target, down, downIn, isThere && is === "down");
  keep(failing, machine, isThere && is === "down" && isFailing);
  const wentBack = goingBack.has(machine);
  keep(goingBack, machine, isThere && is === "changing" && isGoingBack);
  if (wentBack && !goingBack.has(machine) && mayGoBack(state, target)) state.turnsBack.giveBack(target);
  putFirst(state, target);
}

/** How a machine that is left out counts: while the app does not serve there, in the window, whatever it is to run; while it serves, as evidence if it is the rollout's release. */
function leftOutAs({ release }: RolloutState, { is, release: assigned }: MachineAvailability): MachineAvailability["is"] | "other" {
  return is === "available" && assigned !== undefined && assigned !== release ? "other" : is;
}

/** Whether its machine does not serve, and says so or is being changed: starting it costs nothing. A lost one may serve, unseen. */
export function costsNothing({ availability: { changing, failing } }: RolloutState, { machine }: Target): boolean {
  return changing.has(machine) || failing.has(machine);
}

/** The targets of a wave that begins, or that joined one. */
export function addTurns(state: RolloutState, { targets }: Pick<WaveState, "targets">): void {
  state.turns.addAll(targets);
  for (const target of targets) putFirst(state, target);
}

/** Queues the targets that were told the release and have not been told to go back. */
export function aimBack(state: RolloutState): void {
  state.turnsBack = backwardTurns(state);
  state.backFirst.clear();
  for (const { targets } of state.waves.toReversed()) {
    const back = targets.filter((target) => mayGoBack(state, target)).toReversed();
    state.turnsBack.addAll(back);
    for (const target of back) putFirst(state, target);
  }
}

/** Everything anew, from the targets as they were loaded. The availability of their machines is noted after it. */
export function rebuild(state: RolloutState): void {
  state.turns = forwardTurns();
  for (const wave of state.waves) {
    if (wave.startedAt !== null) addTurns(state, { targets: wave.targets.filter((target) => target.state === "pending") });
    for (const target of wave.targets) {
      if (isMoving(target)) state.moving.add(target.machine);
      noteBack(state, target);
    }
    const unreachable = wave.targets.filter(({ state: stands }) => stands === "unreachable");
    for (const target of unreachable.sort((a, b) => a.since.attended - b.since.attended)) enterUnreachable(state, wave, target);
    for (const target of wave.targets) if (target.leftAs !== null) countLeft(state, wave, target, 1);
  }
  if (state.phase === "rolling_back" || state.phase === "rolled_back" || state.phase === "failed" || isSupersededBack(state)) aimBack(state);
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

/** Targets that do not serve come first, in each direction. A candidate that has ceased to be one is dropped at its turn. */
function putFirst(state: RolloutState, target: Target): void {
  if (!costsNothing(state, target)) return;
  if (target.state === "pending" && state.waves[target.wave]?.startedAt !== null) state.startFirst.add(target);
  if (mayGoBack(state, target)) state.backFirst.add(target);
}

function keep<T>(set: Set<T>, member: T, isIn: boolean): void {
  if (isIn) set.add(member);
  else set.delete(member);
}

/** Puts a target into the set and the counts of its lanes, or takes it out; targets that wait for a lane are looked at again when one leaves it. */
function place(state: RolloutState, target: Target, set: Set<MachineId>, counts: Map<string, number>, isIn: boolean): void {
  if (set.has(target.machine) === isIn) return;
  keep(set, target.machine, isIn);
  if (state.lanes.length === 0) return;
  const { values, counted } = laneKeys(state, target);
  for (const key of counted) {
    const n = (counts.get(key) ?? 0) + (isIn ? 1 : -1);
    if (n === 0) counts.delete(key);
    else counts.set(key, n);
  }
  const { changing, changingIn } = state.availability;
  for (const [index, { label }] of state.lanes.entries()) {
    if (!isIn) release(state, values[index]!);
    if (set === changing && (changingIn.get(values[index]!) ?? 0) === (isIn ? 1 : 0)) releaseSpread(state, label, index);
  }
}

/** Once no value of a label is changing, any may be next; while one is, only more of it. */
function releaseSpread(state: RolloutState, label: string, index: number): void {
  const { changing, changingIn } = state.availability;
  const [first] = changing;
  if (first === undefined || !changingIn.has(label)) return release(state, label);
  const { values, others } = laneKeys(state, state.targets.get(first)!);
  if (changingIn.get(values[index]!) === changingIn.get(label)) release(state, others[index]!);
}

function release({ turns, turnsBack, startFirst, startFirstBehind }: RolloutState, key: string): void {
  turns.release(key);
  turnsBack.release(key);
  for (const target of startFirstBehind.get(key) ?? []) startFirst.add(target);
  startFirstBehind.delete(key);
}
