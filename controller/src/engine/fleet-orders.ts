/**
 * What operators ask about the fleet: give a machine labels, keep rollouts away from it, remove it; limit a group, leave everybody alone for a while.
 */
import { isDeepStrictEqual } from "node:util";
import type { Instant, MachineId } from "@muster/proto/ids.ts";
import { checkedSelector, type Labels, LABELS_MAX, parseSelector, selects, whereText } from "@muster/proto/selector.ts";
import { removalReason } from "../journal/removal.ts";
import type { Moment } from "../rollout/moment.ts";
import { isEnded, type RolloutState } from "../rollout/state.ts";
import { timeText, unmatchedReason } from "../rollout/words.ts";
import type { BudgetUse } from "./budgets.ts";
import { declareLost, isAlive, lostWith } from "./declare-lost.ts";
import type { Freeze } from "./facts.ts";
import type { Loop } from "./loop.ts";
import type { Order } from "./operators.ts";
import { ofRollout } from "./own-bug.ts";
import { type Answer, conflict, granted, notFound } from "./refusal.ts";
import { renewAssignments } from "./renewal.ts";
import type { Append } from "./rollouts.ts";

export class FleetOrders {
  readonly #loop: Loop;

  constructor(loop: Loop) {
    this.#loop = loop;
  }

  /**
   * `set` over those that it has, without those in `remove`. What selects it, and what counts it, changes at once. A target that its deployment selects no longer, and that has not started, is let go
   * from it.
   */
  labelMachine(machine: MachineId, { set, remove }: { readonly set: Labels; readonly remove: readonly string[] }, by: string): Answer<Labels> {
    const { facts, world, rollouts, catchUp } = this.#loop;
    const before = facts.machine(machine)?.labels;
    if (before === undefined) return notFound(`there is no machine ${machine}`);
    const kept = Object.entries(before).filter(([key]) => !remove.includes(key));
    const after = Object.entries({ ...Object.fromEntries(kept), ...set }).sort(([a], [b]) => (a < b ? -1 : 1));
    if (after.length > LABELS_MAX) return conflict(`${machine} would have ${after.length} labels; at most ${LABELS_MAX} are allowed`);
    const labels: Labels = Object.fromEntries(after);
    if (!isDeepStrictEqual(labels, before)) {
      this.#loop.commit((append, now) => {
        append({ kind: "machine_labelled", machine, labels, by });
        world.labelled(machine, labels);
        for (const state of rollouts.all()) this.#match(state, machine, labels, append, now);
        catchUp.look(machine);
      });
    }
    return granted(labels);
  }

  /** Removes a machine from the fleet: no rollout counts, awaits or touches it any more, and all that is kept about it beside the journal goes. */
  removeMachine(machine: MachineId, { by, reason: why }: Order): Answer<void> {
    const { facts, world, rollouts, attendance, catchUp } = this.#loop;
    if (!facts.hasMachine(machine)) return notFound(`there is no machine ${machine}`);
    const reason = removalReason({ by, reason: why });
    this.#loop.commit((append, now) => {
      const isKnownAlive = isAlive(this.#loop, machine, now);
      const lostAfterwards = lostWith(this.#loop, machine, now);
      const leftWell = (state: RolloutState): boolean => (isEnded(state.phase) ? !lostAfterwards.includes(state.id) : isKnownAlive || world.isExcused(machine, state.app) || !this.#hasIt(state, machine));
      // One that a fault has paused is told of it when it goes on, by this row.
      const lostIn = rollouts.all().filter((state) => !isEnded(state.phase) && state.targets.has(machine) && !leftWell(state)).map(({ id }) => id);
      const lost = [...new Set([...lostAfterwards, ...lostIn])];
      const runs = facts.answeredRunning(machine);
      const all = rollouts.all().map((state) => ({ state, leftWell: leftWell(state), runs: runs[state.app] ?? null }));
      this.#loop.forgetElsewhere(machine);
      this.#loop.journal.reports.forget(machine);
      append({ kind: "machine_removed", machine, by, reason: why, ...(lost.length === 0 ? {} : { lostWith: lost }), ...(Object.keys(runs).length === 0 ? {} : { runs }) });
      world.forget(machine);
      catchUp.forget(machine);
      for (const { state, ...how } of all) rollouts.drive(state, { kind: "removed", machine, reason, ...how }, append, now);
    });
    world.forgetPresence(machine);
    attendance.givenUp(machine);
    return granted(undefined);
  }

  /** Its credentials count no more, which others see to: here it is written down for those who ask. One that was never heard is no machine of the fleet yet. */
  noteRevoked(machine: MachineId, { by, reason }: Order): void {
    if (this.#loop.facts.hasMachine(machine)) this.#loop.commit((append) => append({ kind: "machine_revoked", machine, by, reason }));
  }

  /** `drain`: what runs there is stopped as well. Refused when a budget would be exceeded by that, unless it is forced. */
  cordon(machine: MachineId, { drain, force }: { readonly drain: boolean; readonly force: boolean }, { by, reason }: Order): Answer<void> {
    const { facts, world, rollouts, attendance } = this.#loop;
    if (facts.machine(machine) === undefined) return notFound(`there is no machine ${machine}`);
    const isDrained = world.isDrained(machine);
    if (drain && isDrained) return conflict(`${machine} is drained already`);
    if (!drain && world.isCordoned(machine)) return conflict(`${machine} is cordoned already`);
    const exceeded = drain && !force ? world.budgets.exceededWithout(machine) : undefined;
    if (exceeded !== undefined) return conflict(`draining ${machine} would exceed the budget of ${whereText(exceeded)}; wait until others are well again, or use --force`);
    this.#loop.commit((append, now) => {
      // What a program drains since it is dead is lost before it is drained.
      if (drain && !attendance.isCatchingUp && !world.isSilent(machine) && !world.fleet.isHeardLately(machine, now.watchedMs)) declareLost(this.#loop, machine, world.fleet.silentAfterMs / 2, append, now);
      append({ kind: "machine_cordoned", machine, by, reason, drained: drain });
      // Its place in the windows is known to be taken before its turn passes to the next.
      world.cordon(machine, drain);
      for (const state of rollouts.all()) rollouts.drive(state, { kind: "cordoned", machine }, append, now);
      if (!drain) return;
      for (const state of rollouts.all()) rollouts.drive(state, { kind: "drained", machine }, append, now);
      renewAssignments(this.#loop, machine, append, now);
    });
    return granted(undefined);
  }

  /** What was drained runs again, and what was missed is taken up. */
  uncordon(machine: MachineId, { by, reason }: Order): Answer<void> {
    const { facts, world, rollouts, catchUp } = this.#loop;
    if (!facts.hasMachine(machine)) return notFound(`there is no machine ${machine}`);
    if (!world.isCordoned(machine)) return conflict(`${machine} is not cordoned`);
    this.#loop.commit((append, now) => {
      append({ kind: "machine_uncordoned", machine, by, reason });
      const wasDrained = world.isDrained(machine);
      world.uncordon(machine);
      if (wasDrained) renewAssignments(this.#loop, machine, append, now);
      for (const state of rollouts.active()) rollouts.drive(state, { kind: "uncordoned", machine }, append, now);
      catchUp.look(machine);
    });
    return granted(undefined);
  }

  setBudget(selector: string, maxUnavailable: number, by: string): Answer<BudgetUse> {
    const parsed = parseSelector(selector);
    if (!parsed.ok) return conflict(`"${selector}" is not a selector: ${parsed.message}`);
    const { world, facts, rollouts } = this.#loop;
    this.#loop.commit((append, now) => {
      append({ kind: "budget_set", selector, maxUnavailable, by });
      world.budgets.set(selector, maxUnavailable, facts);
      rollouts.goOnAll(append, now);
    });
    return granted(this.budgets().find((budget) => budget.selector === selector)!);
  }

  removeBudget(selector: string, by: string): Answer<void> {
    const { world, rollouts } = this.#loop;
    if (!world.budgets.has(selector)) return notFound(`there is no budget for ${selector === "" ? whereText(selector) : `"${selector}"`}; muster budget list shows them`);
    this.#loop.commit((append, now) => {
      append({ kind: "budget_removed", selector, by });
      world.budgets.remove(selector);
      rollouts.goOnAll(append, now);
    });
    return granted(undefined);
  }

  budgets(): readonly BudgetUse[] {
    return this.#loop.world.budgets.list();
  }

  /** `from` 0: now. `until` null: until it is ended. */
  addFreeze(period: { readonly from: Instant; readonly until: Instant | null }, { by, reason }: Order): Answer<Freeze> {
    const { clock, facts, world, rollouts } = this.#loop;
    const from = Math.max(period.from, clock.now()) as Instant;
    const { until } = period;
    if (until !== null && until <= from) return conflict(`the freeze would end at ${timeText(until)}, before it begins (${timeText(from)})`);
    const id = facts.nextFreezeId();
    this.#loop.commit((append, now) => {
      append({ kind: "freeze_added", freeze: id, from, until, reason, by });
      world.calendar.reload(facts);
      rollouts.goOnAll(append, now);
    });
    return granted({ id, from, until, reason, by });
  }

  endFreeze(id: string, by: string): Answer<void> {
    const { facts, world, rollouts } = this.#loop;
    if (!this.freezes().some((freeze) => freeze.id === id)) return notFound(`there is no freeze ${id} that is not over; muster freeze list shows them`);
    this.#loop.commit((append, now) => {
      append({ kind: "freeze_ended", freeze: id, by });
      world.calendar.reload(facts);
      rollouts.goOnAll(append, now);
    });
    return granted(undefined);
  }

  /** Under way and to come, by their beginning. */
  freezes(): readonly Freeze[] {
    return this.#loop.world.calendar.freezes(this.#loop.clock.now());
  }

  #hasIt({ targets, app }: RolloutState, machine: MachineId): boolean {
    const target = targets.get(machine);
    return target !== undefined && this.#loop.world.tookIt(app, target);
  }

  #match(state: RolloutState, machine: MachineId, labels: Labels, append: Append, now: Moment): void {
    if (!state.targets.has(machine)) return;
    const { targets } = state.strategy;
    const isMatched = ofRollout(state.id, () => selects(checkedSelector(targets), labels));
    // Whether one that has ended goes on with it is known when it is looked at which stands for it.
    if (isMatched && isEnded(state.phase)) return;
    this.#loop.rollouts.drive(state, isMatched ? { kind: "matched", machine } : { kind: "unmatched", machine, reason: unmatchedReason({ targets }) }, append, now);
    // It is its own again.
    if (isMatched && state.targets.get(machine)?.state === "pending") this.#loop.rollouts.overtakeTails(state, new Set([machine]), append, now);
  }
}
