/**
 * How many machines of a group may be unavailable at once, over all apps and rollouts: as with a rollout's own window, one place is always left beside machines that are down, and none beside
 * those that are changing (ADR 23). A budget of 0 is nobody at all, but going back always has a place.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { checkedSelector, type Labels, type Selector, selects } from "@muster/proto/selector.ts";
import { type Availabilities, groupHasRoom } from "../rollout/availability.ts";
import type { Purpose } from "../rollout/state.ts";
import type { Facts } from "./facts.ts";

interface Group {
  readonly selector: Selector;
  readonly max: number;
  readonly members: Set<MachineId>;
  readonly changing: Set<MachineId>;
  readonly down: Set<MachineId>;
}

export interface BudgetUse {
  readonly selector: string;
  readonly maxUnavailable: number;
  readonly machines: number;
  /** Sorted. */
  readonly unavailable: readonly MachineId[];
}

export class Budgets {
  readonly #availabilities: Pick<Availabilities, "ofMachine">;
  /** By selector, as written. */
  readonly #groups = new Map<string, Group>();

  constructor(availabilities: Pick<Availabilities, "ofMachine">) {
    this.#availabilities = availabilities;
  }

  reload(facts: Facts): void {
    this.#groups.clear();
    for (const { selector, max_unavailable: max } of facts.budgets()) this.set(selector, max, facts);
  }

  set(text: string, max: number, facts: Facts): void {
    const group: Group = { selector: checkedSelector(text), max, members: new Set(), changing: new Set(), down: new Set() };
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

  /** Whether an app of it serves may have changed. */
  changed(machine: MachineId): void {
    for (const group of this.#groups.values()) if (group.members.has(machine)) this.#count(group, machine);
  }

  /** The selector of a budget that has no room for the machine. */
  full(machine: MachineId, purpose: Purpose): string | undefined {
    for (const [text, group] of this.#groups) if (group.members.has(machine) && !groupHasRoom(group, machine, purpose)) return text;
    return undefined;
  }

  /** The selector of a budget that would be exceeded if the machine were gone. One that is changing is judged too: its change comes to an end, and then the next may change; that it is gone does not. */
  exceededWithout(machine: MachineId): string | undefined {
    for (const [text, { max, members, changing, down }] of this.#groups) {
      if (!members.has(machine) || down.has(machine)) continue;
      const others = changing.size + down.size - (changing.has(machine) ? 1 : 0);
      if (others >= max) return text;
    }
    return undefined;
  }

  list(): readonly BudgetUse[] {
    return [...this.#groups]
      .map(([selector, { max, members, changing, down }]) => ({ selector, maxUnavailable: max, machines: members.size, unavailable: [...changing, ...down].sort() }))
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

  #count({ changing, down }: Group, machine: MachineId): void {
    const is = this.#availabilities.ofMachine(machine);
    if (is === "changing") changing.add(machine);
    else changing.delete(machine);
    if (is === "down") down.add(machine);
    else down.delete(machine);
  }
}

function leave({ members, changing, down }: Group, machine: MachineId): void {
  for (const machines of [members, changing, down]) machines.delete(machine);
}
