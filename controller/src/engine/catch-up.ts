/**
 * What machines still get after the rollouts that concern them have ended: those that were lost, cordoned or not there yet take the release that stands for their app; those that were lost in a
 * rollback go back.
 *
 * A deployment stands for the machines of its selector when it has succeeded and changed somebody, and none that did so is newer. Always holds: the newest decision about a machine wins (ADR 25): nothing
 * older is caught up with, also where the newest is in quarantine, and no release comes again to machines from which it was taken back since. One look at a machine costs O(apps), without a question to the tables where nothing is outstanding.
 */
import type { AppName, DeploymentId, MachineId } from "@muster/proto/ids.ts";
import { checkedSelector, type Labels, type Selector, selects, widestSelector } from "@muster/proto/selector.ts";
import { type LaneLabel, laneOf } from "../plan/plan.ts";
import type { RolloutEvent } from "../rollout/decide.ts";
import type { Entry } from "../journal/entry.ts";
import type { TakenBackRow } from "../journal/taken-back.ts";
import type { Strategy } from "../plan/strategy.ts";
import type { Moment } from "../rollout/moment.ts";
import { goesForward, isOvertaken, isSupersededBack, isUnderWay, type RolloutState, type Target } from "../rollout/state.ts";
import { unmatchedReason } from "../rollout/words.ts";
import type { Decision, Intention, OutstandingTarget, Told } from "./decisions.ts";
import { changesWhoStands } from "./effects.ts";
import type { Facts, StandingRow } from "./facts.ts";
import { ofRollout, ofRolloutOr, type Quarantine } from "./own-bug.ts";
import type { Append, Rollouts } from "./rollouts.ts";
import type { World } from "./world.ts";

/** Machines that are looked at in one transaction: bounds how long the loop is held. */
const MACHINES_PER_TURN = 64;
/** Selectors that are tried on labels in one transaction: some milliseconds. */
const TRIED_PER_TURN = 10_000;
/** To read an outstanding target takes as long as to try so many. */
const TRIED_PER_OUTSTANDING = 8;
/** Machines of a fleet share few sets of labels; where they do not, the memory of what stands for each is given up. */
const LABELS_KEPT_MAX = 2_000;

interface Standing extends StandingRow {
  readonly matches: Selector;
  readonly laneLabels: readonly LaneLabel[];
  readonly lateJoiners: Strategy["lateJoiners"];
  readonly isWayBack: boolean;
}

interface TakenBack extends TakenBackRow {
  readonly matches: Selector;
}

export class CatchUp {
  readonly #facts: Facts;
  readonly #rollouts: Rollouts;
  readonly #world: World;
  readonly #quarantine: Quarantine;
  /** By app, the newest first. */
  #standing = new Map<AppName, readonly Standing[]>();
  #takenBack = new Map<AppName, readonly TakenBack[]>();
  /** The newest that selects these labels, by their text and the app. */
  readonly #newest = new Map<string, Map<AppName, Standing | undefined>>();
  /** Apps of which another deployment may stand by now. */
  readonly #changed = new Set<AppName>();
  #tried = 0;
  /** Machines to be looked at, some per turn. */
  readonly #due = new Set<MachineId>();
  /** Machines that wait for the end of the app's deployment under way. */
  readonly #deferred = new Map<AppName, Set<MachineId>>();
  /** Of these, those that a rollback has left to that deployment: whether they go back is known when they have been looked at after its end. */
  readonly #undecidedBack = new Map<AppName, Map<MachineId, DeploymentId>>();

  constructor(facts: Facts, rollouts: Rollouts, world: World, quarantine: Quarantine) {
    this.#facts = facts;
    this.#rollouts = rollouts;
    this.#world = world;
    this.#quarantine = quarantine;
  }

  /** From the tables. Everybody is looked at: nobody knows who came, and what ended, while no controller looked, and whoever was to be looked at in a transaction that failed still is. */
  reload(): void {
    for (const collection of [this.#standing, this.#takenBack, this.#newest, this.#deferred, this.#undecidedBack, this.#changed]) collection.clear();
    for (const app of this.#facts.appsDeployed()) this.#read(app);
    this.lookAtAll();
  }

  /** What kept a deployment from going on is over. */
  lookAtAll(): void {
    for (const { id } of this.#facts.machines()) this.#due.add(id);
  }

  /** A machine is there: for the first time, again, with other labels, or after a cordon. */
  look(machine: MachineId): void {
    this.#due.add(machine);
  }

  forget(machine: MachineId): void {
    this.#due.delete(machine);
    for (const machines of [...this.#deferred.values(), ...this.#undecidedBack.values()]) machines.delete(machine);
  }

  /**
   * A row of the journal is written. Where a deployment of the app has begun, ended, or goes back, who stands is known at once; machines are looked at for it when they have been heard, in this transaction or a later one. Where a
   * tail can't go on now, those that wait for it are looked at again: what they run may be to be left meanwhile.
   */
  note(entry: Entry): void {
    if (changesWhoStands(entry)) {
      this.#read(entry.app);
      this.#changed.add(entry.app);
    }
    // What it is back on may be what stands; and what it missed besides waited for its way back.
    if (entry.kind === "target_changed" && (entry.state === "reverted" || entry.state === "failed")) this.#due.add(entry.machine);
    if (entry.kind !== "held" || entry.hold === null) return;
    const state = this.#rollouts.get(entry.deployment);
    if (state?.phase === "succeeded") for (const target of state.targets.values()) if (target.state === "pending") this.#due.add(target.machine);
  }

  get hasChanged(): boolean {
    return this.#changed.size > 0;
  }

  /** Whether any app has changed. */
  takeChanged(): boolean {
    const apps = [...this.#changed];
    this.#changed.clear();
    for (const app of apps) this.#lookAtDeferred(app);
    return apps.length > 0;
  }

  /** Who stands may be another, and those that waited for it are looked at. */
  changed(app: AppName): void {
    this.#read(app);
    this.#lookAtDeferred(app);
  }

  #lookAtDeferred(app: AppName): void {
    for (const machine of this.#deferred.get(app) ?? []) this.#due.add(machine);
    this.#deferred.delete(app);
  }

  /** Machines that a new rollout takes from older ones are looked at when it has ended. `from`: the older one. */
  defer(app: AppName, machine: MachineId, from?: Pick<RolloutState, "id" | "phase" | "beganBack">): void {
    const machines = this.#deferred.get(app);
    if (machines === undefined) this.#deferred.set(app, new Set([machine]));
    else machines.add(machine);
    if (from !== undefined && isSupersededBack(from)) this.#leaveUndecided(app, machine, from.id);
  }

  /**
   * A deployment that begins, or is taken up again, decides about its machines until it has ended: they no longer start in the tails of others.
   * When it begins, it decides about those that it leaves out, too, unless it has nobody to change; taken up again, not about those that are left to a newer one. Machines that have come since it ended are
   * looked at when it has ended again.
   */
  takeFromTails(by: RolloutState, begins: boolean, append: Append, now: Moment): void {
    const own = [...by.targets.values()].filter(isDecidedBy).map(({ machine }) => machine);
    const decided = new Set(begins && by.targets.size > 0 ? [...own, ...by.unchanged] : own);
    for (const [machine, tail] of this.#rollouts.overtakeTails(by, decided, append, now)) this.defer(by.app, machine, tail);
    if (!begins) this.lookAtAll();
  }

  /** Rollbacks with machines of which it is not known yet whether they go back. */
  undecidedBack(app: AppName): readonly DeploymentId[] {
    return [...new Set(this.#undecidedBack.get(app)?.values())];
  }

  #leaveUndecided(app: AppName, machine: MachineId, id: DeploymentId): void {
    const machines = this.#undecidedBack.get(app);
    if (machines === undefined) this.#undecidedBack.set(app, new Map([[machine, id]]));
    else machines.set(machine, id);
  }

  get hasMore(): boolean {
    return this.#due.size > 0;
  }

  /** Looks at some of those that are due. Whether it is known by now of all machines whether they go back, and was not before. */
  goOn(append: Append, now: Moment): boolean {
    const wasUndecided = this.#hasUndecidedBack();
    this.#lookAtSome(append, now);
    return wasUndecided && !this.#hasUndecidedBack();
  }

  #hasUndecidedBack(): boolean {
    return [...this.#undecidedBack.values()].some(({ size }) => size > 0);
  }

  #lookAtSome(append: Append, now: Moment): void {
    let left = MACHINES_PER_TURN;
    this.#tried = 0;
    for (const machine of this.#due) {
      if (left === 0 || this.#tried >= TRIED_PER_TURN) return;
      left -= 1;
      this.#due.delete(machine);
      for (const machines of this.#undecidedBack.values()) machines.delete(machine);
      this.#lookAt(machine, append, now);
    }
  }

  #read(app: AppName): void {
    for (const known of this.#newest.values()) known.delete(app);
    this.#facts.forgetStanding(app);
    const before = this.#standing.get(app) ?? [];
    const after = this.#facts.standing(app).map((row) => this.#standingOf(row));
    this.#standing.set(app, after);
    if (before.some((each) => isFallen(each, after))) this.lookAtAll();
    const takenBack = after.flatMap(({ release, startSeq }) => this.#facts.takenBack(app, release, startSeq));
    this.#takenBack.set(app, takenBack.map((row) => ({ ...row, matches: widestSelector(row.selector) })));
  }

  /** A deployment that can't be read stands all the same: machines that it may be for get nothing older. */
  #standingOf(row: StandingRow): Standing {
    const matches = widestSelector(row.selector);
    const read = () => ({ ...row, matches: checkedSelector(row.selector), laneLabels: JSON.parse(row.lanes) as LaneLabel[], ...givenTo(row) });
    return ofRolloutOr(row.id, read, (bug) => {
      this.#quarantine.put(row.id, bug);
      return { ...row, matches, laneLabels: [], lateJoiners: "ignore" as const, isWayBack: false };
    });
  }

  #lookAt(machine: MachineId, append: Append, now: Moment): void {
    const labels = this.#facts.machine(machine)?.labels;
    // A machine that owes reports is looked at when they are stored.
    if (labels === undefined || this.#world.isSilent(machine) || this.#world.isDrained(machine) || this.#world.owes(machine)) return;
    // Which deployment stands for an app is known when the one under way has ended.
    for (const { app } of this.#rollouts.active()) this.defer(app, machine);
    this.#goOnInEnded(machine, labels, append, now);
    if (this.#world.isCordoned(machine)) return;
    const known = this.#newestOf(labels);
    for (const [app, standing] of this.#standing) {
      if (!known.has(app)) known.set(app, this.#find(standing, labels));
      const newest = known.get(app);
      if (newest !== undefined && !this.#quarantine.has(newest.id)) ofRollout(newest.id, () => this.#join(app, newest, machine, labels, append, now));
    }
  }

  #newestOf(labels: Labels): Map<AppName, Standing | undefined> {
    const key = JSON.stringify(labels);
    let known = this.#newest.get(key);
    if (known === undefined) {
      if (this.#newest.size >= LABELS_KEPT_MAX) this.#newest.clear();
      known = new Map();
      this.#newest.set(key, known);
    }
    return known;
  }

  #find(standing: readonly Standing[], labels: Labels): Standing | undefined {
    return standing.find(({ matches }) => {
      this.#tried += 1;
      return selects(matches, labels);
    });
  }

  /** A machine that was away for long has thousands. All rows are read at once; what is driven for one of them changes rollouts in memory alone, whose rows are read when it is their turn. */
  #goOnInEnded(machine: MachineId, labels: Labels, append: Append, now: Moment): void {
    const rows = this.#facts.decisions.outstandingIn(machine);
    this.#tried += rows.length * TRIED_PER_OUTSTANDING;
    const isInMemory = ({ deployment }: OutstandingTarget): boolean => this.#rollouts.get(deployment) !== undefined;
    const changing = new Set(rows.filter(isInMemory));
    for (const read of rows) {
      const row = changing.has(read) || isInMemory(read) ? this.#facts.decisions.outstandingTarget(read.deployment, machine) : read;
      if (row !== undefined && !this.#quarantine.has(row.deployment)) ofRollout(row.deployment, () => this.#goOnIn(row, machine, labels, append, now));
    }
  }

  /** A target that was passed over, or lost, in a deployment that has ended. */
  #goOnIn(row: OutstandingTarget, machine: MachineId, labels: Labels, append: Append, now: Moment): void {
    const { deployment: id, app, phase, state, purpose, generation, goesBack, attempts } = row;
    // A cordon keeps a release from the machine, and does not keep it from going back.
    if (goesBack === 0 && this.#world.isCordoned(machine)) return;
    const assigned = this.#world.availabilities.assignedTo(machine, app);
    const isOwn = assigned?.deployment === id;
    const answer = this.#world.availabilities.answerOf(machine, app);
    const heard: RolloutEvent = { kind: "heard_again", machine, answer, wasRenewed: isOwn && assigned.generation !== generation && purpose !== "revert" };
    const hadIt = state === "unreachable" && purpose !== null;
    if (goesBack === 1 && attempts > 0 && state === "unreachable") return this.#goBackIn(id, app, heard, append, now);
    if (goesBack === 1 && attempts > 0 && row.reason === "superseded") return this.#goBackAgainIn(row, machine, append, now);
    if (hadIt && isOwn) return this.#drive(id, heard, append, now);
    if (hadIt) return this.#leaveTo(assigned?.deployment, id, machine, append, now);
    // The target was drained while updating, and counted as lost; it is heard now.
    if (row.leftAs !== null) this.#drive(id, heard, append, now);
    if (phase !== "succeeded") return;
    if (this.#isDecidedByActive(app, machine) || this.#isGoingBack(app, machine)) return;
    const standing = this.#standsFor(id, app, machine, labels);
    if (standing === undefined) return;
    if (!isFor(standing, labels)) {
      return this.#drive(id, { kind: "unmatched", machine, reason: unmatchedReason({ targets: standing.selector }) }, append, now);
    }
    this.#rollouts.overtakeTails({ ...standing, app }, new Set([machine]), append, now);
    if (state === "unreachable") this.#drive(id, heard, append, now);
    else this.#drive(id, { kind: row.reason === "unmatched" ? "matched" : "uncordoned", machine }, append, now);
  }

  /** The deployment, if it is the one to give its release to the machine, which is among its targets. Undefined: it is not. */
  #standsFor(id: DeploymentId, app: AppName, machine: MachineId, labels: Labels): Standing | undefined {
    const standing = this.#standing.get(app)?.find((each) => each.id === id || selects(each.matches, labels));
    return standing?.id !== id || this.#decidedOtherwise(standing, machine, labels) !== undefined ? undefined : standing;
  }

  /** Whoever has a turn in the tail of a deployment is looked at again when it comes: another deployment may decide about it by now. */
  overruledBy({ id, app }: Pick<RolloutState, "id" | "app">, machine: MachineId): DeploymentId | undefined {
    const labels = this.#facts.machine(machine)?.labels;
    const standing = labels === undefined ? undefined : this.#standing.get(app)?.find((each) => each.id === id || selects(each.matches, labels));
    if (labels === undefined || standing === undefined) return undefined;
    return standing.id === id ? this.#decidedOtherwise(standing, machine, labels) : standing.id;
  }

  /** A newer decision has priority: once the machine was told it, it is left to that; until then nothing happens here. */
  #goBackIn(id: DeploymentId, app: AppName, heard: Extract<RolloutEvent, { readonly kind: "heard_again" }>, append: Append, now: Moment): void {
    const { machine } = heard;
    const newest = this.newestDecision(machine, app);
    if (newest === undefined || newest.deployment === id) return this.#drive(id, heard, append, now);
    if (newest.deployment === this.#facts.decisions.told(machine, app)?.deployment) this.#leaveTo(newest.deployment, id, machine, append, now);
  }

  /** A target that was left to a newer deployment still goes back if nothing newer is to come or was told. */
  #goBackAgainIn({ deployment: id, app, phase }: OutstandingTarget, machine: MachineId, append: Append, now: Moment): void {
    if (this.newestDecision(machine, app)?.deployment === id) this.#drive(id, { kind: "left_again", machine }, append, now);
    else if (phase === "superseded" && this.#rollouts.ofApp(app).some(isUnderWay)) this.#leaveUndecided(app, machine, id);
  }

  /** Another deployment has told the machine something newer. */
  #leaveTo(newer: DeploymentId | undefined, id: DeploymentId, machine: MachineId, append: Append, now: Moment): void {
    if (newer === undefined || newer === id) return;
    this.#drive(id, { kind: "overtaken", machine, reason: { code: "superseded", message: `${newer} goes on with it` } }, append, now);
  }

  /** The newest decision about an app on a machine, told by now or not. A decision that nothing would carry out any more does not count. */
  newestDecision(machine: MachineId, app: AppName): Decision | undefined {
    const labels = this.#facts.machine(machine)?.labels ?? {};
    // Rollouts with pending targets are in memory.
    const pending = this.#rollouts.all().filter(({ app: its, phase, targets }) => its === app && goesForward(phase) && targets.get(machine)?.state === "pending");
    const toCome = [...this.#facts.decisions.intentions(machine, app), ...pending.map(({ id, phase }): Intention => ({ deployment: id, phase, isBack: 0, seq: this.#facts.decisions.startSeq(id) }))];
    const all = [this.#facts.decisions.told(machine, app), ...toCome.filter((each) => this.#willTell(each, app, machine, labels))];
    return all.reduce((newest, each) => (each !== undefined && (newest === undefined || each.seq > newest.seq) ? each : newest), undefined);
  }

  #willTell({ deployment: id, phase, isBack }: Intention, app: AppName, machine: MachineId, labels: Labels): boolean {
    if (isBack === 1) return true;
    const { strategy, release, hold = null } = this.#rollouts.get(id) ?? {};
    // A tail that waits, for a freeze or for its release to be well, may do so for days. Whoever runs that release waits for it there.
    if (phase === "succeeded" && hold !== null && this.#world.availabilities.assignedTo(machine, app)?.release !== release) return false;
    if (phase !== "succeeded") return strategy === undefined || strategy.isWayBack === true || selects(widestSelector(strategy.targets), labels);
    const standing = this.#standsFor(id, app, machine, labels);
    return standing !== undefined && isFor(standing, labels);
  }

  /** A machine that the deployment did not know. */
  #join(app: AppName, standing: Standing, machine: MachineId, labels: Labels, append: Append, now: Moment): void {
    const assigned = this.#world.availabilities.assignedTo(machine, app);
    if (standing.lateJoiners === "ignore" || assigned?.deployment === standing.id) return;
    if (assigned?.release === standing.release && (!this.#isBackOn(standing, machine) || this.#leftOutAfter(standing.startSeq - 1, machine, app) === standing.id)) return;
    if (this.#isDecidedByActive(app, machine) || this.#isGoingBack(app, machine)) return;
    if (this.#decidedOtherwise(standing, machine, labels) !== undefined || this.#facts.decisions.isTarget(standing.id, machine)) return;
    this.#rollouts.overtakeTails({ ...standing, app }, new Set([machine]), append, now);
    this.#drive(standing.id, { kind: "joined", target: { machine, lane: laneOf(standing.laneLabels, labels) } }, append, now);
  }

  /** Who has decided something newer about the machine, or has taken the release back from machines like it since; undefined: nobody. */
  #decidedOtherwise(standing: Standing, machine: MachineId, labels: Labels): DeploymentId | undefined {
    const { id, app, release, startSeq } = standing;
    const decided = this.#facts.decisions.told(machine, app);
    if (decided !== undefined && decided.deployment !== id && decided.seq > startSeq && !this.#isBackOn(standing, machine) && !this.#wentBackFromOther(decided, standing, machine)) return decided.deployment;
    const leftOutBy = this.#leftOutAfter(startSeq, machine, app);
    if (leftOutBy !== undefined) return leftOutBy;
    return this.#takenBack.get(app)?.find((each) => each.release === release && each.seq > startSeq && selects(each.matches, labels))?.by;
  }

  /** Another release was taken back from it: that says nothing of what stands, and was missed there, unless what it went back to had been given to it since. */
  #wentBackFromOther({ deployment, goodSeq }: Told, { app, release, startSeq }: Standing, machine: MachineId): boolean {
    if (goodSeq !== null && goodSeq > startSeq) return false;
    const taken = this.#facts.decisions.takenBackBy(deployment);
    return taken !== undefined && taken !== release && this.#world.availabilities.assignedTo(machine, app)?.release !== taken;
  }

  /** Who has left the machine out since, whatever labels it has by now. */
  #leftOutAfter(seq: number, machine: MachineId, app: AppName): DeploymentId | undefined {
    const release = this.#world.availabilities.assignedTo(machine, app)?.release ?? null;
    return release === null ? undefined : this.#facts.decisions.leftOutAfter(seq, machine, app, release);
  }

  /** A rollback has given it what stands, or a drain left it nothing. Whoever came late to what was taken back is a machine of that from then on, and goes back with it. */
  #isBackOn({ app, release }: Standing, machine: MachineId): boolean {
    const assigned = this.#world.availabilities.assignedTo(machine, app);
    return (assigned?.release === release || assigned?.release === null) && this.#facts.isAsLate(machine, app);
  }

  #drive(id: DeploymentId, event: RolloutEvent, append: Append, now: Moment): void {
    const state = this.#rollouts.takeUp(id);
    if (state !== undefined) this.#rollouts.drive(state, event, append, now);
  }

  /** In a rollback that has ended, or that a newer deployment took the place of: what it missed besides is caught up with when it is back. */
  #isGoingBack(app: AppName, machine: MachineId): boolean {
    const assigned = this.#world.availabilities.assignedTo(machine, app);
    return assigned !== undefined && this.#rollouts.get(assigned.deployment)?.targets.get(machine)?.state === "reverting";
  }

  /** A deployment of the app that has not ended decides what the machine runs: it has it as a target, or leaves it out, since it runs that already, and changes others. */
  #isDecidedByActive(app: AppName, machine: MachineId): boolean {
    return this.#rollouts.ofApp(app).some(({ targets, unchanged }) => {
      const target = targets.get(machine);
      return target === undefined ? targets.size > 0 && unchanged.has(machine) : isDecidedBy(target);
    });
  }
}

/** It is taken back. Whoever waited for it, or was another's as long as it stood, is looked at again. */
function isFallen({ selector, startSeq }: Standing, standing: readonly Standing[]): boolean {
  return !standing.some((each) => each.selector === selector && each.startSeq >= startSeq);
}

/** A rollout under way decides about its target: that is in the fleet, and was not left to a newer deployment. */
function isDecidedBy(target: Target): boolean {
  return target.state !== "removed" && !isOvertaken(target);
}

/** A deployment of an older release is for every machine that it was planned for, whatever the labels are by now. */
function isFor({ matches, isWayBack }: Standing, labels: Labels): boolean {
  return isWayBack || selects(matches, labels);
}

function givenTo({ strategy }: StandingRow): Pick<Standing, "lateJoiners" | "isWayBack"> {
  const { lateJoiners, isWayBack = false } = JSON.parse(strategy) as Strategy;
  return { lateJoiners, isWayBack };
}
