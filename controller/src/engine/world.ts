/**
 * What rollouts see of the world: the fleet, whether apps serve on its machines, the calendar, and the limits of groups. Whatever changes one of these goes through here, so that all
 * that is derived from it (budgets, the targets of rollouts, how deployments are now) is told.
 */
import assert from "node:assert/strict";
import type { AppName, DeploymentId, Generation, Instant, MachineId } from "@muster/proto/ids.ts";
import { checkedSelector, type Labels, type Selector, selects } from "@muster/proto/selector.ts";
import type { AgentRefusal, Fleet, FleetView, HeardAt } from "../fleet/fleet.ts";
import { roundedDown } from "../plan/size.ts";
import type { Window } from "../plan/strategy.ts";
import { Availabilities, type Assigned } from "../rollout/availability.ts";
import type { Attended } from "../rollout/moment.ts";
import { type AgentPhase, type Hold, type Purpose, type RolloutReason, type RolloutState, type Target, wentBack } from "../rollout/state.ts";
import type { Opening, Surroundings, WayBack } from "../rollout/surroundings.ts";
import { Budgets } from "./budgets.ts";
import { Calendar, type Schedule } from "./calendar.ts";
import { DeploymentsNow, isUnsound, type Now, type Standing } from "./deployments-now.ts";
import type { Facts, Given } from "./facts.ts";
import { Overdue } from "./overdue.ts";
import { Owed } from "./owed.ts";

const NEVER = -1 as Attended;
/** None of these says what runs. */
const ON_THE_WAY: readonly AgentPhase[] = ["pulling", "staged", "activating", "probing", "reverting", "removing"];

/** Whose targets are on a machine. */
export interface Listener {
  /** `app` undefined: any of them. */
  availabilityChanged(machine: MachineId, app: AppName | undefined): void;
}

export class World implements Surroundings {
  readonly fleet: FleetView;
  readonly availabilities = new Availabilities();
  readonly now = new DeploymentsNow();
  readonly calendar: Calendar;
  readonly budgets: Budgets;
  readonly overdue: Overdue;
  readonly owed = new Owed();
  readonly #fleet: Fleet;
  readonly #facts: Facts;
  readonly #cordoned = new Set<MachineId>();
  #fleetChanges = 0;
  readonly #assignedOf = new Map<AppName, number>();
  /** `deployment/machine`: it was told, and has its turn again. */
  readonly #startAgain = new Set<string>();
  /** Selectors and releases of deployments, which never change theirs. */
  readonly #given = new Map<DeploymentId, Given>();
  /** By app and machine, where that is another than the one that told it last: which deployment gave it the release that it went back to. */
  readonly #broughtBy = new Map<string, DeploymentId>();
  /** By their text. */
  readonly #parsed = new Map<string, Selector>();
  #listener: Listener = { availabilityChanged: () => {} };
  #decisions: Pick<Surroundings, "overruledBy"> = { overruledBy: () => undefined };

  constructor(fleet: Fleet, schedule: Schedule, facts: Facts) {
    this.fleet = fleet;
    this.#fleet = fleet;
    this.#facts = facts;
    this.calendar = new Calendar(schedule);
    this.budgets = new Budgets(this.availabilities);
    this.overdue = new Overdue(fleet.silentAfterMs);
  }

  set listener(listener: Listener) {
    this.#listener = listener;
  }

  /** Who knows which deployment gives its release to late machines. */
  set decisions(decisions: Pick<Surroundings, "overruledBy">) {
    this.#decisions = decisions;
  }

  /** From the tables; nobody is told of it. Whoever has not answered yet has what is left of its time: attended time stood still while nobody looked. */
  reload(now: HeardAt): void {
    this.#fleetChanges += 1;
    this.#given.clear();
    this.#parsed.clear();
    this.#startAgain.clear();
    this.#broughtBy.clear();
    for (const collection of [this.availabilities, this.now, this.overdue, this.#cordoned]) collection.clear();
    const machines = this.#facts.machines();
    this.#fleet.restore(machines, now);
    for (const { id, silent_since: silentSince } of machines) if (silentSince !== null) this.availabilities.lost(id, true);
    for (const { machine, drained } of this.#facts.cordons()) {
      this.#cordoned.add(machine);
      if (drained) this.availabilities.drained(machine, true);
    }
    for (const { machine, deployment } of this.#facts.startingAgain()) this.#startAgain.add(`${deployment}/${machine}`);
    for (const row of this.#facts.assignments()) {
      const { machine, app, generation, deployment, release, phase, broughtBy, awaitedSince } = row;
      this.#noteBroughtBy(machine, app, row, () => broughtBy);
      this.availabilities.assigned(machine, app, { generation, deployment, release });
      if (phase !== null) this.availabilities.reported(machine, app, generation, phase);
      this.#count(machine, app, 1);
      if (awaitedSince !== null && !this.isSilent(machine)) this.overdue.await(row, awaitedSince, phase === "reverting");
    }
    this.calendar.reload(this.#facts);
    this.budgets.reload(this.#facts);
  }

  /** Another one: who is in the fleet, with which labels, who is lost, or what is assigned of the app has changed. */
  planningVersion(app: AppName): string {
    return `${this.#fleetChanges} ${this.#assignedOf.get(app) ?? 0}`;
  }

  /** A machine joined, or its labels changed. */
  labelled(machine: MachineId, labels: Labels): void {
    this.#fleetChanges += 1;
    this.budgets.labelled(machine, labels);
  }

  /** It stands in the tables. */
  assigned(machine: MachineId, app: AppName, assigned: Assigned, now: Attended): void {
    this.#assignedOf.set(app, (this.#assignedOf.get(app) ?? 0) + 1);
    this.#change(machine, app, () => {
      this.availabilities.assigned(machine, app, assigned);
      this.#noteBroughtBy(machine, app, assigned, () => this.#facts.broughtBy(machine, app));
    });
    if (!this.isSilent(machine)) this.overdue.await({ machine, app, generation: assigned.generation, ...this.#facts.deadlines(machine, app) }, now, false);
  }

  reported(machine: MachineId, app: AppName, generation: Generation, phase: AgentPhase, now: Attended): void {
    const assigned = this.availabilities.assignedTo(machine, app);
    if (assigned === undefined) return;
    const isGoingBack = phase === "reverting" && assigned.generation === generation;
    const before = this.availabilities.answerOf(machine, app);
    // Its turn has come: the wait for that was none of its time, be it over by now.
    const hasItsTurn = before === "staged" && phase === "activating" && assigned.generation === generation && this.#facts.deadlines(machine, app).stopTimeoutMs !== null;
    this.#change(machine, app, () => {
      if (hasItsTurn) this.availabilities.assigned(machine, app, assigned);
      this.availabilities.reported(machine, app, generation, phase);
    });
    if (!this.#isChanging(machine, app) || this.isSilent(machine)) return this.overdue.answered(machine, app);
    // It begins anew though it had answered, begins to go back, or goes back no more: its agent died, and has not kept that it did.
    const isAnew = hasItsTurn || isGoingBack !== (before === "reverting") || !this.overdue.isAwaited(machine, app);
    if (isAnew) this.overdue.await({ machine, app, generation: assigned.generation, ...this.#facts.deadlines(machine, app) }, now, isGoingBack);
  }

  /** The agent is a new instance: none of its answers holds any more, and it has its whole time to answer again. */
  beganAnew(machine: MachineId, now: Attended): void {
    for (const app of this.availabilities.appsOf(machine)) {
      const assigned = this.availabilities.assignedTo(machine, app)!;
      this.assigned(machine, app, assigned, now);
    }
  }

  /** Whether the machine has its turn again in a deployment that has told it before. */
  startsAgain(machine: MachineId, app: AppName, deployment: DeploymentId, isSo: boolean): void {
    const key = `${deployment}/${machine}`;
    if (isSo === this.#startAgain.has(key)) return;
    this.#change(machine, app, () => {
      if (isSo) this.#startAgain.add(key);
      else this.#startAgain.delete(key);
    });
  }

  /** The machine's time to answer is over. False: it has answered. */
  declareOverdue(machine: MachineId, app: AppName, generation: Generation): boolean {
    let is = false;
    this.#change(machine, app, () => {
      is = this.availabilities.overdue(machine, app, generation);
    });
    return is;
  }

  /** Nothing is heard of it any more. The fleet calls it silent and its availability lost: one fact, which changes here and in `heardAgain` alone. */
  lost(machine: MachineId, now: HeardAt): void {
    this.#fleetChanges += 1;
    this.#fleet.markSilent(machine, now.at);
    this.#changeAll(machine, () => this.availabilities.lost(machine, true));
    // Its answer is awaited anew when it is heard.
    for (const app of this.availabilities.appsOf(machine)) this.overdue.answered(machine, app);
  }

  /** One that was lost. */
  heardAgain(machine: MachineId, now: HeardAt, generation: number): void {
    this.#fleetChanges += 1;
    this.#fleet.connected(machine, now, generation);
    this.#changeAll(machine, () => this.availabilities.lost(machine, false));
    for (const app of this.availabilities.appsOf(machine)) {
      if (!this.#isChanging(machine, app)) continue;
      const { generation } = this.availabilities.assignedTo(machine, app)!;
      this.overdue.await({ machine, app, generation, ...this.#facts.deadlines(machine, app) }, now.attended, this.availabilities.answerOf(machine, app) === "reverting");
    }
  }

  /** A session began, of a machine that is not lost. */
  connected(machine: MachineId, now: HeardAt, generation: number): void {
    assert(!this.isSilent(machine), `${machine} is silent, and is heard again first`);
    this.#fleet.connected(machine, now, generation);
  }

  /** Says nothing of a machine that is lost: `heardAgain` does. */
  heard(machine: MachineId, now: HeardAt, generation?: Generation): void {
    this.#fleet.heard(machine, now, generation);
  }

  refuses(machine: MachineId, now: Instant, refusal: AgentRefusal | undefined): void {
    this.#fleet.refuses(machine, now, refusal);
  }

  disconnected(machine: MachineId, now: Instant): void {
    this.#fleet.disconnected(machine, now);
  }

  cordon(machine: MachineId, isDrained: boolean): void {
    this.#cordoned.add(machine);
    if (isDrained) this.#changeAll(machine, () => this.availabilities.drained(machine, true));
  }

  uncordon(machine: MachineId): void {
    this.#cordoned.delete(machine);
    this.#changeAll(machine, () => this.availabilities.drained(machine, false));
  }

  /** The machine was removed from the fleet, and counts nowhere. */
  forget(machine: MachineId): void {
    this.#fleetChanges += 1;
    for (const app of this.availabilities.appsOf(machine)) {
      this.#count(machine, app, -1);
      this.#broughtBy.delete(`${app}/${machine}`);
      this.overdue.answered(machine, app);
    }
    this.availabilities.forget(machine);
    this.#cordoned.delete(machine);
    this.owed.settle(machine);
    this.budgets.forget(machine);
    this.#listener.availabilityChanged(machine, undefined);
  }

  /** After the commit that removes the machine: a transaction that fails brings back from the tables all but when it was heard. Until then it may be silent here and, being forgotten, not lost. */
  forgetPresence(machine: MachineId): void {
    this.#fleet.forget(machine);
  }

  /** How the machines of a deployment are now. */
  nowOf(id: RolloutState["id"]): Now {
    return this.now.of(id, () => this.#facts.hasGoneBack(id));
  }

  /** How an app counts on a machine; undefined: it was never assigned there. */
  standingOf(machine: MachineId, app: AppName): Standing | undefined {
    const assigned = this.availabilities.assignedTo(machine, app);
    if (assigned === undefined) return undefined;
    const { selector, release } = this.#givenBy(assigned.deployment)!;
    const broughtBy = this.#broughtBy.get(`${app}/${machine}`);
    return {
      assigned,
      selector: broughtBy === undefined ? selector : this.#givenBy(broughtBy)!.selector,
      isOfAnother: assigned.release !== release,
      is: this.availabilities.of(machine, app),
      answer: this.availabilities.answerOf(machine, app),
      // A drain is an order, and no answer: whoever is lost before it says that it has stopped the app excuses nothing.
      isExcused: this.availabilities.isDrained(machine) && (!this.availabilities.isLost(machine) || this.isExcused(machine, app)),
      startsAgain: this.#startAgain.has(`${assigned.deployment}/${machine}`),
    };
  }

  /** It is part of the fleet. */
  has(machine: MachineId): boolean {
    return this.#facts.hasMachine(machine);
  }

  /** Of the whole fleet. */
  labels(): ReadonlyMap<MachineId, Labels> {
    return new Map(this.#facts.labels().map(({ machine, labels }) => [machine, labels]));
  }

  /** False: the machine has not said that it has the assignment, so that can't have silenced it. */
  hasAssignment(machine: MachineId, app: AppName, generation: Generation): boolean {
    return this.availabilities.answerOf(machine, app) !== undefined || !this.fleet.lacks(machine, generation);
  }

  /** False: the machine has not shown that it took what it was told here, so that can't have silenced it. What a drain tells it since does not matter: the machine may have been dead by then. */
  tookIt(app: AppName, { machine, purpose, generation, firstTold, wasHealthy }: Pick<Target, "machine" | "purpose" | "generation" | "firstTold" | "wasHealthy">): boolean {
    if (purpose === "revert") return this.hasAssignment(machine, app, generation);
    // Whoever has answered to what a drain gave back runs that.
    if (purpose === null && firstTold > 0 && this.hasAnswered(machine, app)) return false;
    return wasHealthy || this.hasAssignment(machine, app, firstTold);
  }

  /** Whether the release may have silenced the machine. `message`: since when nothing is heard. */
  silenceReason(app: AppName, target: Target, message: string): RolloutReason {
    return this.tookIt(app, target) ? { code: "silent", message } : { code: "not_taken", message: `${message}, and it had not said before that it has the assignment` };
  }

  /** The machine has said what runs of the app since it was assigned what it is. */
  hasAnswered(machine: MachineId, app: AppName): boolean {
    const answer = this.availabilities.answerOf(machine, app);
    return answer !== undefined && !ON_THE_WAY.includes(answer);
  }

  /** The machine is drained, and has said that nothing of the app runs there any more: what becomes of it then matters to no rollout. */
  isExcused(machine: MachineId, app: AppName): boolean {
    return this.availabilities.isDrained(machine) && this.availabilities.answerOf(machine, app) === "removed";
  }

  isSilent(machine: MachineId): boolean {
    return this.fleet.isSilent(machine);
  }

  /** While it owes reports, not all that it has to say was heard. */
  heardAt(machine: MachineId): Attended {
    return this.owes(machine) ? NEVER : this.fleet.heardAt(machine);
  }

  owes(machine: MachineId): boolean {
    return this.owed.has(machine);
  }

  owing(): Iterable<MachineId> {
    return this.owed.machines();
  }

  isCordoned(machine: MachineId): boolean {
    return this.#cordoned.has(machine);
  }

  isSelected(machine: MachineId, selector: string): boolean {
    const labels = this.#facts.machine(machine)?.labels;
    if (labels === undefined) return true;
    let parsed = this.#parsed.get(selector);
    if (parsed === undefined) {
      parsed = checkedSelector(selector);
      this.#parsed.set(selector, parsed);
    }
    return selects(parsed, labels);
  }

  isDrained(machine: MachineId): boolean {
    return this.availabilities.isDrained(machine);
  }

  /** What stands is given to nobody as long as it is not well where it runs: the machine waits without it, as those do that come late. */
  wayBack({ id, app, release }: Pick<RolloutState, "id" | "app" | "release">, machine: MachineId, asLate = false): WayBack {
    const { release: previous, asLate: isLate, givenBy } = this.#facts.wayBack(machine, app, { id, release }, asLate);
    const standing = asLate && givenBy !== null ? this.#facts.deployment(givenBy) : undefined;
    return { release: standing !== undefined && this.unsound(standing) !== undefined ? null : previous, asLate: isLate };
  }

  answerDueAt(machine: MachineId, app: AppName): Attended | undefined {
    return this.overdue.dueAt(machine, app);
  }

  said(machine: MachineId, app: AppName): { readonly code: string; readonly message: string } | null {
    return this.fleet.refusal(machine) ?? this.reason(machine, app);
  }

  /** What its answer about the app as it is assigned now says is wrong. */
  reason(machine: MachineId, app: AppName): RolloutReason | null {
    return this.#facts.reason(machine, app);
  }

  frozen(now: Instant): Opening {
    return this.calendar.frozen(now);
  }

  opening(window: Window, now: Instant): Opening {
    return this.calendar.opening(window, now);
  }

  fullBudget(machine: MachineId, purpose: Purpose): string | undefined {
    return this.budgets.full(machine, purpose);
  }

  successor({ id, app }: Pick<RolloutState, "id" | "app">, machine: MachineId): DeploymentId | undefined {
    const isItsOwn = this.availabilities.assignedTo(machine, app)?.deployment === id;
    return isItsOwn ? undefined : this.#facts.decisions.decidedAfterRollback(id, machine, app);
  }

  overruledBy(state: Pick<RolloutState, "id" | "app">, machine: MachineId): DeploymentId | undefined {
    return this.#decisions.overruledBy(state, machine);
  }

  /** Of a rollout that has ended: what the machine was told is newer than what is still to be done there. */
  isOverruled(state: RolloutState, machine: MachineId): boolean {
    if (state.phase === "succeeded") return this.overruledBy(state, machine) !== undefined;
    return !wentBack(state) || this.successor(state, machine) !== undefined;
  }

  unsound({ app, release, strategy }: Pick<RolloutState, "app" | "release" | "strategy">): Hold | undefined {
    const left = this.#facts.leftWith(app, release);
    const now = this.now.ofRelease(release, strategy.targets, left);
    if (!isUnsound(now, roundedDown(strategy.maxFailures, now.machines))) return undefined;
    return { kind: "unsound", message: `${release} to be healthy where it runs: ${now.healthy} of ${now.machines} are now${leftText(left)}` };
  }

  /** Undefined: there is no such deployment. */
  #givenBy(id: DeploymentId): Given | undefined {
    const given = this.#given.get(id) ?? this.#facts.givenBy(id);
    if (given !== undefined) this.#given.set(id, given);
    return given;
  }

  #noteBroughtBy(machine: MachineId, app: AppName, { deployment, release }: Pick<Assigned, "deployment" | "release">, read: () => DeploymentId | null): void {
    const broughtBy = release === null || release === this.#givenBy(deployment)!.release ? null : read();
    // One that is not there, by a fault of the controller, brought nothing.
    if (broughtBy === null || this.#givenBy(broughtBy) === undefined) this.#broughtBy.delete(`${app}/${machine}`);
    else this.#broughtBy.set(`${app}/${machine}`, broughtBy);
  }

  #isChanging(machine: MachineId, app: AppName): boolean {
    return this.availabilities.isChanging(machine, app);
  }

  #change(machine: MachineId, app: AppName, change: () => void): void {
    this.#count(machine, app, -1);
    change();
    this.#count(machine, app, 1);
    this.#listener.availabilityChanged(machine, app);
    this.budgets.changed(machine);
  }

  #changeAll(machine: MachineId, change: () => void): void {
    const apps = [...this.availabilities.appsOf(machine)];
    for (const app of apps) this.#count(machine, app, -1);
    change();
    for (const app of apps) this.#count(machine, app, 1);
    this.#listener.availabilityChanged(machine, undefined);
    this.budgets.changed(machine);
  }

  #count(machine: MachineId, app: AppName, by: 1 | -1): void {
    const standing = this.standingOf(machine, app);
    if (standing !== undefined) this.now.count(standing, by);
  }
}

function leftText(left: ReadonlyMap<string, number>): string {
  return left.size === 0 ? "" : ", with those that failed or were lost with it and are gone (muster retry excuses them)";
}
