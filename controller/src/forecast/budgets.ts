/**
 * The budgets of groups of machines, as the rollout of a forecast fills them. They count as the engine's do: machines that are unavailable for other reasons
 * than a rollout never take the last place, a budget of 0 is nobody at all, and a way back always has a place.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { parseSelector, selects } from "@muster/proto/selector.ts";
import type { PlanMachine } from "../plan/plan.ts";
import type { Purpose } from "../rollout/state.ts";
import type { BudgetNow } from "./inputs.ts";

/** Which of the budgets a machine counts in; machines that count in none are left out. */
export type Membership = ReadonlyMap<MachineId, readonly number[]>;

export function membershipOf(budgets: readonly BudgetNow[], targets: readonly PlanMachine[]): Membership {
  const groups = budgets.map(({ selector: text }) => {
    const parsed = parseSelector(text);
    if (!parsed.ok) throw new Error(`a budget has the selector "${text}", which can't be read: ${parsed.message}`);
    return parsed.selector;
  });
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
  readonly resting: Set<MachineId>;
}

export class Budgets {
  readonly #groups: readonly Group[];
  readonly #membership: Membership;

  constructor(budgets: readonly BudgetNow[], membership: Membership) {
    this.#groups = budgets.map((budget) => ({ ...budget, moving: new Set(), resting: new Set() }));
    this.#membership = membership;
  }

  /** The selector of one that has no room for the machine; undefined: it may move. */
  full(machine: MachineId, purpose: Purpose): string | undefined {
    return this.#of(machine).find(({ max: most, restingElsewhere, moving, resting }) => {
      const max = purpose === "revert" ? Math.max(1, most) : most;
      const onTheMove = moving.size - (moving.has(machine) ? 1 : 0);
      const atRest = restingElsewhere + resting.size - (resting.has(machine) ? 1 : 0);
      return max === 0 || onTheMove >= Math.max(1, max - atRest);
    })?.selector;
  }

  note(machine: MachineId, isMoving: boolean, isUnwell: boolean): void {
    for (const { moving, resting } of this.#of(machine)) {
      if (isMoving) moving.add(machine);
      else moving.delete(machine);
      if (isUnwell && !isMoving) resting.add(machine);
      else resting.delete(machine);
    }
  }

  #of(machine: MachineId): readonly Group[] {
    return (this.#membership.get(machine) ?? NONE).map((index) => this.#groups[index]!);
  }
}

const NONE: readonly number[] = [];
