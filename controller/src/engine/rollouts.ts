/**
 * The rollouts in memory, and the loop that drives them: decide → journal → apply for each event of a transaction, then advance → … These are the ones that have not ended, and those that have ended
 * while machines still take their turn in them.
 *
 * Always holds: no rollout advances between two events of one transaction, so nothing is judged by a part of what came together.
 *
 * Everything here runs inside one journal transaction of the engine. If that fails, what is in memory is thrown away and read again from the tables. A bug in one rollout is thrown with its name
 * (RolloutBug), so that it can be paused and all others go on.
 */
import assert from "node:assert/strict";
import { type AppName, type DeploymentId, deploymentNumber, type Generation, type Instant, type MachineId } from "@muster/proto/ids.ts";
import { checkedSelector } from "@muster/proto/selector.ts";
import { isFaultOfDisk } from "../journal/disk-fault.ts";
import type { Entry, JournalRow } from "../journal/entry.ts";
import type { Journal } from "../journal/journal.ts";
import { activeDeployments, loadRollout } from "../journal/load.ts";
import { byPriority, isOver, isTurn, waitsForOthers } from "./due.ts";
import { isTakenUp, missedBy, phaseSeq } from "./missed.ts";
import { ofRollout, ofRolloutOr, type Quarantine, RolloutBug } from "./own-bug.ts";
import { nextWake } from "../rollout/advance.ts";
import { hasBackTail } from "../rollout/back.ts";
import type { RolloutChange } from "../rollout/change.ts";
import { decide, type RolloutEvent } from "../rollout/decide.ts";
import { noteAvailability } from "../rollout/derived.ts";
import { drive, type Recorder, take } from "../rollout/drive.ts";
import { goesOnWith, leaveTo, leftIn } from "../rollout/leave.ts";
import { statement } from "../journal/statement.ts";
import { auditRollout } from "../rollout/invariants.ts";
import type { Moment } from "../rollout/moment.ts";
import { isCommand } from "../rollout/command.ts";
import { failedTargets, isBroken, isEnded, isMoving, isOvertaken, isSupersededBack, isUnderWay, releaseTold, type RolloutPhase, type RolloutReason, type RolloutState, startsAgain, type Target } from "../rollout/state.ts";
import type { World } from "./world.ts";

/** Changes that follow by themselves in one transaction, beside one for each event, before other work gets its turn; the rest follows in the next one. Bounds how long the loop is held. */
const CHANGES_PER_TURN = 80;

/** Writes one row of the running transaction. */
export type Append = (entry: Entry) => JournalRow;

export interface RolloutsOptions {
  readonly journal: Journal;
  readonly world: World;
  readonly quarantine: Quarantine;
  /** Machines must speak first: events are taken in, and nothing follows from them yet. */
  readonly isHeldBack: () => boolean;
  /** A machine is assigned something by a deployment. */
  readonly onTold: (machine: MachineId, by: DeploymentId) => void;
  /** By machine, what was decided since a deployment began, and stands. */
  readonly decidedSince: (state: RolloutState) => ReadonlyMap<MachineId, RolloutReason>;
}

export class Rollouts {
  readonly #journal: Journal;
  readonly #world: World;
  readonly #quarantine: Quarantine;
  readonly #isHeldBack: () => boolean;
  readonly #onTold: RolloutsOptions["onTold"];
  readonly #decidedSince: RolloutsOptions["decidedSince"];
  /** In the order of submission, but for tails and rollbacks that were taken up later. */
  readonly #known = new Map<DeploymentId, RolloutState>();
  readonly #byApp = new Map<AppName, Set<RolloutState>>();
  /** When each must be looked at though nothing was heard. */
  readonly #wakes = new Map<DeploymentId, Instant>();
  /** Rollouts with more to do than one turn allowed. */
  readonly #unfinished = new Set<RolloutState>();
  /** Rollouts for which something has changed since they last advanced, with the number of events they have taken in since. 0: only whether a machine of theirs serves. */
  readonly #touched = new Map<RolloutState, number>();
  #hasGoneBack = false;

  constructor({ journal, world, quarantine, isHeldBack, onTold, decidedSince }: RolloutsOptions) {
    this.#decidedSince = decidedSince;
    this.#onTold = onTold;
    this.#journal = journal;
    this.#world = world;
    this.#quarantine = quarantine;
    this.#isHeldBack = isHeldBack;
    world.listener = { availabilityChanged: (machine, app) => this.#noteAvailability(machine, app) };
  }

  /** Forgets what is in memory and reads the tables. `onBroken`: a rollout under way whose tables contradict themselves; it is there all the same, unless they can't be read at all. */
  reload(tails: readonly DeploymentId[], onBroken: (id: DeploymentId, error: unknown) => void): void {
    for (const collection of [this.#known, this.#byApp, this.#wakes, this.#unfinished, this.#touched]) collection.clear();
    for (const id of tails) {
      if (this.#quarantine.has(id)) continue;
      this.#load(id, (error) => {
        this.#quarantine.put(id, error);
        this.#forget(id);
      });
    }
    for (const id of activeDeployments(this.#journal)) this.#load(id, (error) => onBroken(id, error));
  }

  #load(id: DeploymentId, onBroken: (error: unknown) => void): void {
    const load = (): void => {
      const state = loadRollout(this.#journal, id)!;
      this.add(state);
      this.#unfinished.add(state);
      auditRollout(state);
    };
    ofRolloutOr(id, load, ({ cause }) => onBroken(cause));
  }

  /** Rollouts that have not ended. */
  active(): readonly RolloutState[] {
    return [...this.#known.values()].filter(({ phase }) => !isEnded(phase));
  }

  all(): readonly RolloutState[] {
    return [...this.#known.values()];
  }

  get(id: DeploymentId): RolloutState | undefined {
    return this.#known.get(id);
  }

  /** Those of an app that have not ended, in the order of submission: at most one is under way, the others are pending. */
  ofApp(app: AppName): readonly RolloutState[] {
    return [...(this.#byApp.get(app) ?? [])].filter(({ phase }) => !isEnded(phase)).sort((a, b) => deploymentNumber(a.id) - deploymentNumber(b.id));
  }

  /** Of an app, the rollbacks that a newer deployment took the place of, and that go on. */
  goingBack(app: AppName): readonly RolloutState[] {
    return [...(this.#byApp.get(app) ?? [])].filter((state) => isSupersededBack(state) && hasBackTail(state));
  }

  /** Whether a superseded rollback has come to its end since this was asked last: others may have waited for it. */
  takeGoneBack(): boolean {
    const hasGoneBack = this.#hasGoneBack;
    this.#hasGoneBack = false;
    return hasGoneBack;
  }

  /** The rollout in which a machine was told this generation, and the one that it was told there: a drain, and its end, renew what it is assigned, and what it says of that is about the same. */
  told(app: AppName, machine: MachineId, generation: Generation): { readonly state: RolloutState; readonly generation: Generation } | undefined {
    for (const state of this.#byApp.get(app) ?? []) if (state.targets.get(machine)?.generation === generation) return { state, generation };
    const newest = this.#world.availabilities.assignedTo(machine, app);
    const state = newest?.generation === generation ? this.#known.get(newest.deployment) : undefined;
    const target = state?.targets.get(machine);
    // A drain may have given it back what it ran before.
    return state !== undefined && target !== undefined && target.purpose !== null && newest?.release === releaseTold(state, target) ? { state, generation: target.generation } : undefined;
  }

  /** A new rollout, or an ended one that is taken up again. Throws a RolloutBug. */
  add(state: RolloutState): void {
    this.#known.set(state.id, state);
    const ofApp = this.#byApp.get(state.app);
    if (ofApp === undefined) this.#byApp.set(state.app, new Set([state]));
    else ofApp.add(state);
    this.#noteAll(state);
  }

  /** From memory or, when it has ended, from the tables; then it must be driven or dropped. Throws a RolloutBug when they can't be read. */
  takeUp(id: DeploymentId): RolloutState | undefined {
    return this.#known.get(id) ?? ofRollout(id, () => loadRollout(this.#journal, id));
  }

  /** Takes in an event. What follows from it follows in `goOnAfterEvents`, when all that came in the transaction is taken in. */
  drive(state: RolloutState, event: RolloutEvent, append: Append, now: Moment): void {
    if (!this.#known.has(state.id)) this.add(state);
    const isKnownBroken = isBroken(state);
    if (isKnownBroken && !isCommand(event) && event.kind !== "supersede") return this.#leave(state);
    if (isKnownBroken && (event.kind === "abort" || event.kind === "supersede")) return this.#endBroken(state, event, append);
    const told: MachineId[] = [];
    ofRollout(state.id, () => {
      const recorder = this.#recorder(state, append, told);
      const next = isTakenUp(state, event) ? this.#wake(state, event, recorder) : event;
      if (next !== undefined) take(state, decide(state, next), recorder);
    });
    this.#noteEvent(state, event);
    this.#leaveTo(state, told, append, now);
  }

  /** The targets of `by` no longer start in the tails of other rollouts. Returns, by machine, the rollout that leaves it. */
  overtakeTails(by: Pick<RolloutState, "id" | "app" | "release">, machines: ReadonlySet<MachineId>, append: Append, now: Moment): ReadonlyMap<MachineId, RolloutState> {
    const left = new Map<MachineId, RolloutState>();
    const event = { kind: "left", heirs: { machines, reason: goesOnWith(by) } } as const;
    for (const tail of this.#tailsBeside(by)) {
      const leaving = leftIn(tail, event.heirs);
      for (const machine of leaving) left.set(machine, tail);
      if (leaving.length > 0) this.drive(tail, event, append, now);
    }
    return left;
  }

  #tailsBeside({ id, app }: Pick<RolloutState, "id" | "app">): readonly RolloutState[] {
    return [...(this.#byApp.get(app) ?? [])].filter((tail) => isEnded(tail.phase) && tail.id !== id);
  }

  /** Goes on with what a turn left over, with what time alone allows, and with what waited for others, the most important first. */
  goOn(append: Append, now: Moment): void {
    const due = this.all().filter((state) => this.#unfinished.has(state) || (this.#wakes.get(state.id) ?? Infinity) <= now.at || waitsForOthers(state));
    for (const state of due.sort(byPriority)) this.#advance(state, append, now);
  }

  /** After something that concerns every rollout: a freeze, a budget, a clock that was set. */
  goOnAll(append: Append, now: Moment): void {
    for (const state of this.all().toSorted(byPriority)) this.#advance(state, append, now);
  }

  /** What follows from the events that were taken in. What one rollout starts may be an event for another. */
  goOnAfterEvents(append: Append, now: Moment): void {
    const due = (): RolloutState[] => [...this.#touched].filter(([, events]) => events > 0).map(([state]) => state);
    for (let next = due(); next.length > 0; next = due()) for (const state of next.sort(byPriority)) this.#advance(state, append, now);
  }

  /** Advances the rollouts that wait for what others do. */
  goOnWaiting(append: Append, now: Moment): void {
    this.goOnAfterEvents(append, now);
    const due = this.all().filter((state) => this.#touched.has(state) || waitsForOthers(state));
    for (const state of due.sort(byPriority)) this.#advance(state, append, now);
    this.goOnAfterEvents(append, now);
  }

  get hasUnfinished(): boolean {
    return this.#unfinished.size > 0 && !this.#isHeldBack();
  }

  /** When `goOn` must be called though nothing happens. */
  nextWake(): Instant | undefined {
    let next: Instant | undefined;
    for (const wake of this.#wakes.values()) if (next === undefined || wake < next) next = wake;
    return next;
  }

  /** Whether it has ended, or was never there: nobody can pause it. */
  hasEnded(id: DeploymentId): boolean {
    const phase = this.#phaseOf(id);
    return phase === undefined || isEnded(phase);
  }

  /** Of a rollout that has ended. One without a row was to be submitted in the transaction that failed, and is only forgotten. */
  quarantine(bug: RolloutBug): void {
    if (this.#phaseOf(bug.deployment) !== undefined) this.#quarantine.put(bug.deployment, bug);
    this.#forget(bug.deployment);
  }

  /** Pauses a rollout without driving it, which would throw. */
  pauseBroken(id: DeploymentId, message: string, append: Append): void {
    this.putBroken(id, "paused", { code: "internal", message }, append);
    const state = this.#known.get(id);
    if (state !== undefined) this.#unfinished.delete(state);
    this.#wakes.delete(id);
  }

  #phaseOf(id: DeploymentId): RolloutPhase | undefined {
    return statement(this.#journal.db, "SELECT phase FROM deployments WHERE id = ?").pluck().get(id) as RolloutPhase | undefined;
  }

  /** Gives a phase to one that has not ended, whatever its tables say; one that has is forgotten. */
  putBroken(id: DeploymentId, phase: RolloutPhase, reason: RolloutReason, append: Append): void {
    const stands = statement(this.#journal.db, "SELECT app, phase, reason_message AS message FROM deployments WHERE id = ?").get(id) as (Pick<RolloutState, "app" | "phase"> & { readonly message: string | null }) | undefined;
    if (stands === undefined || isEnded(stands.phase)) return this.#forget(id);
    // Each start of the controller finds the same fault again.
    if (stands.phase === phase && stands.message === reason.message) return;
    const change = { kind: "phase_changed", phase, reason } as const;
    const row = append({ ...change, deployment: id, app: stands.app });
    // The rollout is in memory, unless it could not be read.
    const state = this.#known.get(id);
    if (state !== undefined) take(state, [change], { record: () => row, isUnchecked: true, applied: () => this.#noteTurns(state, change) });
    if (isEnded(phase)) this.#forget(id);
  }

  /** All reports of a machine are stored: its last answers, which did not count while some were still to come, count now. */
  answerAgain(machine: MachineId, append: Append, now: Moment): void {
    const { availabilities } = this.#world;
    for (const state of this.active()) {
      const target = state.targets.get(machine);
      const answer = availabilities.answerOf(machine, state.app);
      if (target === undefined || answer === undefined || !this.#isAwaited(state, target)) continue;
      this.drive(state, { kind: "reported", machine, generation: target.generation, phase: answer, reason: this.#world.reason(machine, state.app), runs: null }, append, now);
    }
  }

  /** What machines said, and what became of them, while nobody drove the rollout: from this row of the journal on. */
  #takeMissed(state: RolloutState, since: number, recorder: Recorder, which: (target: Target) => boolean = () => true): void {
    // Do not read all labels when no target needs them.
    if (![...state.targets.values()].some(which)) return;
    const matches = checkedSelector(state.strategy.targets);
    const comparison = { world: this.#world, journal: this.#journal, since, labels: this.#world.labels(), matches };
    for (const target of [...state.targets.values()]) {
      if (!which(target)) continue;
      for (const event of missedBy(state, target, comparison)) take(state, decide(state, event), recorder);
    }
  }

  /** The target is on the move, and its machine's answer is about what it was told here. */
  #isAwaited({ app }: RolloutState, target: Target): boolean {
    return isMoving(target) && this.#world.availabilities.assignedTo(target.machine, app)?.generation === target.generation;
  }

  #noteEvent(state: RolloutState, event: RolloutEvent): void {
    if (isOver(state)) return this.#forget(state.id);
    this.#wakes.delete(state.id);
    if (this.#isHeldBack() || isTurn(state, event)) this.#leaveUnfinished(state);
    else this.#touched.set(state, (this.#touched.get(state) ?? 0) + 1);
  }

  /** Only an operator drives a broken rollout, and nobody one that is over. */
  #leave(state: RolloutState): void {
    this.#unfinished.delete(state);
    this.#touched.delete(state);
  }

  #leaveUnfinished(state: RolloutState): void {
    this.#touched.delete(state);
    this.#unfinished.add(state);
  }

  #advance(state: RolloutState, append: Append, now: Moment): void {
    if (isBroken(state)) return this.#leave(state);
    const most = CHANGES_PER_TURN + (this.#touched.get(state) ?? 0);
    const told: MachineId[] = [];
    ofRollout(state.id, () => {
      if (this.#isHeldBack()) return this.#settle(state, true, now);
      const left = drive(state, undefined, this.#world, now, this.#recorder(state, append, told), most);
      assert(state.phase !== "rolling" || !this.#hasRival(state), `two rollouts of ${state.app} are under way`);
      this.#settle(state, left === "more", now);
    });
    this.#leaveTo(state, told, append, now);
  }

  /** What tails had still to do on these machines is left to the rollout that has told them something. */
  #leaveTo(state: RolloutState, told: readonly MachineId[], append: Append, now: Moment): void {
    for (const machine of told) {
      this.#onTold(machine, state.id);
      for (const tail of this.#tailsBeside(state)) {
        // Going back may be older than the tail, which has its turn after it.
        if (tail.targets.has(machine) && this.#world.isOverruled(tail, machine)) this.drive(tail, { kind: "overtaken", machine, reason: goesOnWith(state) }, append, now);
      }
    }
  }

  /**
   * An operator has looked at a rollout that was broken, or had ended, and it goes on. Returns what is still to be decided. Who resumes or retries it knows of what was known when it stopped; what came to its
   * machines since counts as if it came now. A rollback asks each machine at its turn, but for those that are heard again, or were left to a newer deployment: their turn would not come.
   */
  #wake(state: RolloutState, event: RolloutEvent, recorder: Recorder): RolloutEvent | undefined {
    const since = phaseSeq(this.#journal, state.id, state.phase);
    if (isBroken(state) && event.kind !== "resume") {
      this.#takeMissed(state, since, { ...recorder, isUnchecked: true });
      return event;
    }
    const retried = new Set(event.kind === "retry" ? failedTargets(state).map(({ machine }) => machine) : []);
    take(state, decide(state, event), recorder);
    this.#takeMissed(state, since, recorder, event.kind === "rollback" ? (target) => target.state === "unreachable" || isOvertaken(target) : undefined);
    if (event.kind === "retry") this.#leaveDecided(state, retried, recorder);
    return undefined;
  }

  /** A retry decides about the targets that had failed, and about no others: of those, what was decided since stands. */
  #leaveDecided(state: RolloutState, retried: ReadonlySet<MachineId>, recorder: Recorder): void {
    for (const [machine, reason] of this.#decidedSince(state)) if (!retried.has(machine)) take(state, decide(state, { kind: "decided_since", machine, reason }), recorder);
  }

  /** A broken rollout can be ended, whatever contradicts itself in it, so that the next one can begin. */
  #endBroken(state: RolloutState, event: Extract<RolloutEvent, { readonly kind: "abort" | "supersede" }>, append: Append): void {
    try {
      this.#takeMissed(state, phaseSeq(this.#journal, state.id, state.phase), { ...this.#recorder(state, append), isUnchecked: true });
    } catch (error) {
      // What its machines said may be what broke it. A row that the tables did not take must not stay in the journal.
      if (isFaultOfDisk(error) || error instanceof RolloutBug) throw error;
    }
    this.putBroken(state.id, event.kind === "abort" ? "aborted" : "superseded", event.reason, append);
    if (event.kind === "supersede" && state.beganBack) this.#goOnBack(state.id, event, append);
  }

  /** A superseded rollback takes back what is left all the same, if its tables can be read. */
  #goOnBack(id: DeploymentId, { heirs }: Extract<RolloutEvent, { readonly kind: "supersede" }>, append: Append): void {
    this.#load(id, (error) => {
      this.#quarantine.put(id, error);
      this.#forget(id);
    });
    const state = this.#known.get(id);
    if (state !== undefined && heirs !== undefined) take(state, leaveTo(state, heirs), this.#recorder(state, append));
  }

  /** `told`: gets the machines that are assigned something. */
  #recorder(state: RolloutState, append: Append, told: MachineId[] = []): Recorder {
    return {
      record: (change) => append({ ...change, deployment: state.id, app: state.app }),
      applied: (change, { seq, attended }) => {
        // Before the first start: a machine that does not serve takes a place in the window from the beginning.
        if (change.kind === "rollout_started") this.#noteAll(state);
        if (change.kind === "target_joined") this.#note(state, change.target.machine);
        this.#noteTurns(state, change);
        this.#journal.questions.note(state, change);
        if (change.kind !== "target_assigned") return;
        told.push(change.machine);
        const assigned = { generation: seq as Generation, deployment: state.id, release: change.release };
        this.#world.assigned(change.machine, state.app, assigned, attended);
      },
    };
  }

  /** Who has its turn again is seen by what the release's machines are judged by. */
  #noteTurns(state: RolloutState, change: RolloutChange): void {
    const changed = change.kind === "targets_retried" || change.kind === "phase_changed" ? state.targets.keys() : change.kind === "targets_left" ? change.machines : "machine" in change ? [change.machine] : [];
    for (const machine of changed) {
      const target = state.targets.get(machine);
      if (target !== undefined) this.#world.startsAgain(machine, state.app, state.id, startsAgain(state, target));
    }
  }

  #noteAvailability(machine: MachineId, app: AppName | undefined): void {
    for (const state of app === undefined ? this.#known.values() : (this.#byApp.get(app) ?? [])) {
      if (!state.targets.has(machine) && !state.unchanged.has(machine)) continue;
      this.#note(state, machine);
      if (!this.#touched.has(state)) this.#touched.set(state, 0);
    }
  }

  #noteAll(state: RolloutState): void {
    for (const machine of state.targets.keys()) this.#note(state, machine);
    for (const machine of state.unchanged) this.#note(state, machine);
  }

  /** What a broken rollout can't note is noted when it is read again. */
  #note(state: RolloutState, machine: MachineId): void {
    try {
      noteAvailability(state, machine, this.#world.availabilities.noted(machine, state.app));
    } catch (error) {
      if (!isBroken(state)) throw new RolloutBug(state.id, error);
    }
  }

  #settle(state: RolloutState, isUnfinished: boolean, now: Moment): void {
    this.#wakes.delete(state.id);
    this.#touched.delete(state);
    if (isOver(state)) return this.#forget(state.id);
    if (isUnfinished) this.#unfinished.add(state);
    else this.#unfinished.delete(state);
    const wake = isUnfinished ? undefined : nextWake(state, this.#world, now);
    if (wake !== undefined) this.#wakes.set(state.id, wake);
  }

  #forget(id: DeploymentId): void {
    const state = this.#known.get(id);
    if (state === undefined) return;
    if (isSupersededBack(state)) this.#hasGoneBack = true;
    this.#known.delete(id);
    this.#wakes.delete(id);
    this.#leave(state);
    this.#byApp.get(state.app)?.delete(state);
  }

  #hasRival(state: RolloutState): boolean {
    return this.ofApp(state.app).some((other) => other !== state && isUnderWay(other));
  }
}
