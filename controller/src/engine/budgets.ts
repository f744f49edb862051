/**
 * How many machines of a group may be unavailable at once, over all rollouts. A machine counts while it is on the move in any rollout, and while it is not
 * well for any other reason.
 *
 * As with a rollout's own window, machines that are unavailable for other reasons never take the last place, so that a dead machine does not hold its group
 * for ever; a budget of 0 is nobody at all. A way back needs a place like a way forward, but always has one.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { checkedSelector, type Labels, type Selector, selects } from "@muster/proto/selector.ts";
import { budgetHasRoom } from "../rollout/place.ts";
import type { Purpose } from "../rollout/state.ts";
import type { Facts } from "./facts.ts";
import type { Wellness } from "./wellness.ts";

interface Group {
  readonly selector: Selector;
  readonly max: number;
  readonly members: Set<MachineId>;
  readonly moving: Set<MachineId>;
  /** Unavailable for other reasons. */
  readonly atRest: Set<MachineId>;
}

export interface BudgetUse {
  readonly selector: string;
  readonly maxUnavailable: number;
  readonly machines: number;
  /** Sorted. */
  readonly unavailable: readonly MachineId[];
}

export class Budgets {
  readonly #wellness: Wellness;
  readonly #isMoving: (machine: MachineId) => boolean;
  /** By selector, as written. */
  readonly #groups = new Map<string, Group>();

  /** `isMoving`: in any rollout. */
  constructor(wellness: Wellness, isMoving: (machine: MachineId) => boolean) {
    this.#wellness = wellness;
    this.#isMoving = isMoving;
  }

  reload(facts: Facts): void {
    this.#groups.clear();
    for (const { selector, max_unavailable: max } of facts.budgets()) this.set(selector, max, facts);
  }

  set(text: string, max: number, facts: Facts): void {
    const group: Group = { selector: checkedSelector(text), max, members: new Set(), moving: new Set(), atRest: new Set() };
    this.#groups.set(text, group);
    for (const { machine, labels } of facts.labels()) this.#place(group, machine, labels);
  }

  remove(text: string): void {
    this.#groups.delete(text);
  }

  /** A machine is new, or has other labels. */
  labelled(machine: MachineId, labels: Labels): void {
    for (const group of this.#groups.values()) this.#place(group, machine, labels);
  }

  /** It is no part of the fleet any more, and so of no group. */
  forget(machine: MachineId): void {
    for (const group of this.#groups.values()) leave(group, machine);
  }

  /** A machine began or ceased to move, or to be well. */
  changed(machine: MachineId): void {
    for (const group of this.#groups.values()) if (group.members.has(machine)) this.#count(group, machine);
  }

  /** The selector of a budget that has no room for the machine. */
  full(machine: MachineId, purpose: Purpose): string | undefined {
    for (const [text, group] of this.#groups) {
      if (!group.members.has(machine)) continue;
      if (!budgetHasRoom(group, machine, purpose)) return text;
    }
    return undefined;
  }

  /** The selector of a budget that would be exceeded if the machine were gone. */
  exceededWithout(machine: MachineId): string | undefined {
    for (const [text, { max, members, moving, atRest }] of this.#groups) {
      if (!members.has(machine) || moving.has(machine) || atRest.has(machine)) continue;
      if (moving.size + atRest.size >= max) return text;
    }
    return undefined;
  }

  list(): readonly BudgetUse[] {
    return [...this.#groups]
      .map(([selector, { max, members, moving, atRest }]) => ({
        selector,
        maxUnavailable: max,
        machines: members.size,
        unavailable: [...moving, ...atRest].sort(),
      }))
      .sort((a, b) => (a.selector < b.selector ? -1 : 1));
  }

  has(selector: string): boolean {
    return this.#groups.has(selector);
  }

  #place(group: Group, machine: MachineId, labels: Labels): void {
    if (selects(group.selector, labels)) {
      group.members.add(machine);
      this.#count(group, machine);
    } else leave(group, machine);
  }

  #count({ moving, atRest }: Group, machine: MachineId): void {
    const moves = this.#isMoving(machine);
    if (moves) moving.add(machine);
    else moving.delete(machine);
    if (!moves && this.#wellness.isUnwellAtAll(machine)) atRest.add(machine);
    else atRest.delete(machine);
  }
}

function leave({ members, moving, atRest }: Group, machine: MachineId): void {
  for (const machines of [members, moving, atRest]) machines.delete(machine);
}
