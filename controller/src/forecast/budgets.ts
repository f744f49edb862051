/**
 * The budgets of groups of machines, as the rollout of a forecast fills them. They count as the engine's do: machines that are unavailable for other reasons
 * than a rollout never take the last place, a budget of 0 is nobody at all, and a way back always has a place.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { checkedSelector, selects } from "@muster/proto/selector.ts";
import type { PlanMachine } from "../plan/plan.ts";
import { budgetHasRoom } from "../rollout/place.ts";
import type { Purpose } from "../rollout/state.ts";
import type { BudgetNow } from "./inputs.ts";

/** Which of the budgets a machine counts in; machines that count in none are left out. */
export type Membership = ReadonlyMap<MachineId, readonly number[]>;

export function membershipOf(budgets: readonly BudgetNow[], targets: readonly PlanMachine[]): Membership {
  const groups = budgets.map(({ selector }) => checkedSelector(selector));
  const membership = new Map<MachineId, readonly number[]>();
  for (const { id, labels } of targets) {
    const of = groups.flatMap((selector, index) => (selects(selector, labels) ? [index] : []));
    if (of.length > 0) membership.set(id, of);
  }
  return membership;
}

interface Group {
  readonly selector: string;
  readonly max: number;
  readonly restingElsewhere: number;
  readonly moving: Set<MachineId>;
  readonly atRest: Set<MachineId>;
}

export class Budgets {
  readonly #groups: readonly Group[];
  readonly #membership: Membership;

  constructor(budgets: readonly BudgetNow[], membership: Membership) {
    this.#groups = budgets.map((budget) => ({ ...budget, moving: new Set(), atRest: new Set() }));
    this.#membership = membership;
  }

  /** The selector of one that has no room for the machine; undefined: it may move. */
  full(machine: MachineId, purpose: Purpose): string | undefined {
    return this.#of(machine).find((group) => !budgetHasRoom(group, machine, purpose))?.selector;
  }

  note(machine: MachineId, isMoving: boolean, isUnwell: boolean): void {
    for (const { moving, atRest } of this.#of(machine)) {
      if (isMoving) moving.add(machine);
      else moving.delete(machine);
      if (isUnwell && !isMoving) atRest.add(machine);
      else atRest.delete(machine);
    }
  }

  #of(machine: MachineId): readonly Group[] {
    return (this.#membership.get(machine) ?? NONE).map((index) => this.#groups[index]!);
  }
}

const NONE: readonly number[] = [];
