/**
 * The budgets of groups of machines, as the rollout of a forecast fills them. They count as the engine's do: machines that are unavailable for other reasons
 * than a rollout never take the last place, a budget of 0 is nobody at all, and going back always has a place.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { checkedSelector, selects } from "@muster/proto/selector.ts";
import type { PlanMachine } from "../plan/plan.ts";
import { type Availability, type Group, groupHasRoom } from "../rollout/availability.ts";
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

interface BudgetGroup extends Group {
  readonly selector: string;
  readonly changing: Set<MachineId>;
  readonly down: Set<MachineId>;
}

export class Budgets {
  readonly #groups: readonly BudgetGroup[];
  readonly #membership: Membership;

  constructor(budgets: readonly BudgetNow[], membership: Membership) {
    this.#groups = budgets.map(({ selector, max, restingElsewhere: downElsewhere }) => ({ selector, max, downElsewhere, changing: new Set(), down: new Set() }));
    this.#membership = membership;
  }

  /** The selector of one that has no room for the machine; undefined: it may move. */
  full(machine: MachineId, purpose: Purpose): string | undefined {
    return this.#of(machine).find((group) => !groupHasRoom(group, machine, purpose))?.selector;
  }

  note(machine: MachineId, is: Availability): void {
    for (const { changing, down } of this.#of(machine)) {
      if (is === "changing") changing.add(machine);
      else changing.delete(machine);
      if (is === "down") down.add(machine);
      else down.delete(machine);
    }
  }

  #of(machine: MachineId): readonly BudgetGroup[] {
    return (this.#membership.get(machine) ?? NONE).map((index) => this.#groups[index]!);
  }
}

const NONE: readonly number[] = [];
