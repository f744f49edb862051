/**
 * What a rollout leaves to a newer deployment of the app. Whoever waited for its turn has it here again when that ends without it; whoever was to be taken back is, if that has told it nothing. Pure.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import type { RolloutChange } from "./change.ts";
import { isBackTail, isEnded, isMoving, isOvertaken, isToRevert, isTouched, type RolloutReason, type RolloutState, type Target, wentBack } from "./state.ts";

/** What goes on with the machines of another rollout. */
export interface Heirs {
  readonly machines: ReadonlySet<MachineId>;
  readonly reason: RolloutReason;
}

/** Why it is left to the other deployment. */
export function goesOnWith({ id, release }: Pick<RolloutState, "id" | "release">): RolloutReason {
  return { code: "superseded", message: `${id} (${release}) goes on with it` };
}

/** A rollback leaves to the newer deployment the targets that both have and that it had still to take back. A target on its way back goes on until the newer deployment tells it something. */
export function leaveTo(state: RolloutState, heirs: Heirs): readonly RolloutChange[] {
  return state.beganBack ? together(those(state, heirs, isLeftToNewer), heirs) : [];
}

/** In a tail, of machines that the newer one has told nothing yet. */
export function onLeft(state: RolloutState, heirs: Heirs): readonly RolloutChange[] {
  return together(leftIn(state, heirs), heirs);
}

/** Those that wait for their turn, and in a rollback those that it had still to take back. */
export function leftIn(state: RolloutState, heirs: Heirs): readonly MachineId[] {
  return those(state, heirs, (target) => isLeftUntold(state, target) || (target.state === "pending" && mayGoOn(state, target)));
}

/** In a tail, of a machine that the newer one has told something: whatever was to come of it here, or was lost, is left. */
export function onOvertaken(state: RolloutState, machine: MachineId, reason: RolloutReason): readonly RolloutChange[] {
  const target = state.targets.get(machine);
  if (target === undefined) return [];
  const isOpen = target.state === "pending" || isMoving(target);
  return isLeftUntold(state, target) || isLostIn(state, target) || (isOpen && mayGoOn(state, target)) ? [left(machine, reason)] : [];
}

/** The target goes back in its turn. It counts as failed here: what it answered meanwhile was for the newer deployment. */
export function onLeftAgain(state: RolloutState, machine: MachineId): readonly RolloutChange[] {
  const target = state.targets.get(machine);
  if (target === undefined || !(isBackTail(state) || state.phase === "rolling_back") || !isTouched(target) || !isOvertaken(target)) return [];
  return [{ kind: "target_changed", machine, state: "failed", reason: null, runs: null }];
}

/** A rollback leaves the target to a newer deployment that has it too, unless the machine is silent: then it hears of the newer deployment first. */
function isLeftToNewer(target: Target): boolean {
  return isToRevert(target) && target.state !== "unreachable" && !isOvertaken(target);
}

function isLeftUntold(state: RolloutState, target: Target): boolean {
  return isBackTail(state) && isLeftToNewer(target);
}

/** A rollback starts nobody, and whoever was starting when it began is still to be told to go back. */
function mayGoOn(state: RolloutState, { purpose }: Target): boolean {
  return !wentBack(state) || purpose !== "update";
}

/** The target was lost on its way, or with the release, when the rollout ended, and has not said since how it went. */
function isLostIn({ phase }: RolloutState, { state: stands, purpose }: Target): boolean {
  return isEnded(phase) && stands === "unreachable" && purpose !== null;
}

/** O(the fewer of the two). */
function those({ targets }: RolloutState, { machines }: Heirs, which: (target: Target) => boolean): readonly MachineId[] {
  return [...(machines.size < targets.size ? machines : targets.keys())].filter((machine) => {
    const target = targets.get(machine);
    return target !== undefined && machines.has(machine) && which(target);
  });
}

/** Many in one row. */
function together(machines: readonly MachineId[], { reason }: Heirs): readonly RolloutChange[] {
  if (machines.length > 1) return [{ kind: "targets_left", machines, reason }];
  return machines.map((machine) => left(machine, reason));
}

function left(machine: MachineId, reason: RolloutReason): RolloutChange {
  return { kind: "target_changed", machine, state: "skipped", reason, runs: null };
}
