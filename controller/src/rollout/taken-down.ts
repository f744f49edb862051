/**
 * What becomes of machines that served and were taken down to go back: whether going back takes down more than it brings back is a fact of the rollback, whatever becomes of these machines afterwards. One that could not go back,
 * and is drained, lost, removed or left to a newer deployment then, could not all the same, or a program that removes dead machines would lead a rollback through the whole fleet. In SQL: journal/writes.ts.
 */
import { isStuckBack, type Target, type TargetState } from "./state.ts";

/** `going`: nothing is known yet. `stuck`: it could not go back. `back`: it serves with what it ran before. */
export type TakenDown = NonNullable<Target["takenDown"]>;

/** `to`: the target's state from now on. */
export function takenDownAfter({ takenDown, purpose, reason }: Pick<Target, "takenDown" | "purpose" | "reason">, to: TargetState): TakenDown | null {
  if (takenDown === null) return null;
  if (isStuckBack({ state: to, purpose })) return "stuck";
  return to === "reverted" && reason?.code !== "cordoned" ? "back" : takenDown;
}
