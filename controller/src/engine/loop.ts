/**
 * The loop: load → decide → commit → effects. Everything that changes anything goes through here, in one transaction each, with no await inside.
 *
 * Always holds: an effect (telling a machine, asking a gate's question, waking a watcher) runs after the commit of what caused it; when a transaction fails, memory is
 * read again from the tables, so that it is never ahead of the disk; all that came in a transaction is taken in before anything follows from it; whatever a transaction did, what waited for that begins in the same one; a bug in one rollout pauses that one, or puts it into
 * quarantine if it has ended, and the transaction is done again without it.
 */
import { type AppName, type DeploymentId, deploymentNumber, type Instant, type MachineId } from "@muster/proto/ids.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { selects, widestSelector } from "@muster/proto/selector.ts";
import type { Logger } from "pino";
import type { Fleet } from "../fleet/fleet.ts";
import { returnSpreadMs } from "../fleet/return-spread.ts";
import type { Asker, Question, Verdict } from "../gates/verdict.ts";
import { isFaultOfDisk } from "../journal/disk-fault.ts";
import { type Entry, isRolloutEntry, type JournalRow } from "../journal/entry.ts";
import type { Journal } from "../journal/journal.ts";
import type { PlanMachine } from "../plan/plan.ts";
import type { Moment } from "../rollout/moment.ts";
import { goesOnWith, type Heirs } from "../rollout/leave.ts";
import { isBroken, type RolloutState } from "../rollout/state.ts";
import { Assignments } from "./assignments.ts";
import { Attendance, type Seen } from "./attendance.ts";
import type { Schedule } from "./calendar.ts";
import { CatchUp } from "./catch-up.ts";
import type { Clock } from "./clock.ts";
import { decidedSince } from "./decided-since.ts";
import { Effects } from "./effects.ts";
import { Facts } from "./facts.ts";
import { ofRollout, ofRolloutOr, Quarantine, RolloutBug } from "./own-bug.ts";
import { type Planned, Planner } from "./planner.ts";
import { Promotions } from "./promotions.ts";
import { answerOf, askersOf, askListening, questionOf } from "./questions.ts";
import { type Append, Rollouts } from "./rollouts.ts";
import { NO_SECRETS, type SecretKeeper } from "./secrets.ts";
import { earlier } from "../rollout/step.ts";
import { tailWait } from "../rollout/tail.ts";
import { nextToStart, supersededBy, waitingToStart } from "./starts.ts";
import { World } from "./world.ts";

export interface LoopOptions {
  readonly journal: Journal;
  readonly fleet: Fleet;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly schedule: Schedule;
  /** Absent: there are none. */
  readonly secrets?: SecretKeeper;
  /** Tells a machine its newest assignment, soon; may be lost, since every heartbeat says the newest generation. */
  readonly tell: (machine: MachineId) => void;
  /** Why machines would refuse to run a release, in words. They judge it themselves; asked here, it is known before anybody is told. */
  readonly distrusts: (release: Release) => string | undefined;
  /** Asks the world outside whether a rollout may go on. Never rejects. */
  readonly ask: (question: Question) => Promise<Verdict>;
  /** Called in the transaction that removes a machine: whoever keeps more about it in the same database forgets that here. Default: nobody does. */
  readonly onMachineRemoved?: (machine: MachineId) => void;
}

/** After a fault of the disk, the time until the engine tries by itself again. */
const RETRY_MS = 1000;
/** And so many times as long as it took to read everything again. */
const RELOADS_SHARE = 4;

export class Loop {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly facts: Facts;
  readonly world: World;
  readonly planner: Planner;
  readonly promotions: Promotions;
  readonly quarantine: Quarantine;
  readonly rollouts: Rollouts;
  readonly assignments: Assignments;
  readonly catchUp: CatchUp;
  readonly secrets: SecretKeeper;
  readonly attendance: Attendance;
  readonly #options: LoopOptions;
  readonly #listeners = new Set<(rows: readonly JournalRow[]) => void>();
  /** Questions under way, or whose answer is still to be kept, so that none is asked twice. */
  readonly #asked = new Set<string>();
  /** Rollouts under way that contradict themselves, found when they were loaded. */
  readonly #broken = new Map<DeploymentId, unknown>();
  /** Deployments that begin once they are planned. */
  readonly #toPlan = new Set<DeploymentId>();
  #cancelWake: (() => void) | undefined;
  /** What the disk answered last, and until when, on the monotonic clock, nobody tries it again. Undefined: it took the last transaction. */
  #fault: { readonly error: unknown; readonly until: number } | undefined;
  #stopped = false;

  constructor(options: LoopOptions) {
    const { journal, clock, fleet, schedule } = options;
    this.#options = options;
    this.journal = journal;
    this.clock = clock;
    this.secrets = options.secrets ?? NO_SECRETS;
    this.facts = new Facts(journal.db);
    this.attendance = new Attendance({ db: journal.db, clock, silentAfterMs: fleet.silentAfterMs, spreadMs: () => returnSpreadMs(fleet.size), owes: (machine) => this.world.owes(machine) });
    this.assignments = new Assignments(journal, options.logger);
    this.world = new World(fleet, schedule, this.facts);
    this.planner = new Planner(journal, this.world);
    this.quarantine = new Quarantine(options.logger);
    this.promotions = new Promotions(this.facts, this.world, clock, this.quarantine, () => journal.lastSeq);
    this.rollouts = new Rollouts({ journal, world: this.world, quarantine: this.quarantine, isHeldBack: () => this.attendance.isCatchingUp, onTold: (machine, by) => this.#completeBeside(machine, by), decidedSince: (state) => decidedSince(state, this) });
    this.catchUp = new CatchUp(this.facts, this.rollouts, this.world, this.quarantine);
    this.world.decisions = this.catchUp;
    this.#reload();
  }

  /** Takes up what an earlier run left, once the machines have spoken. */
  start(): void {
    this.#pauseBroken();
    this.holdBack();
    for (const { id } of this.rollouts.active()) this.askAgain(id);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelWake?.();
  }

  distrusts(release: Release): string | undefined {
    return this.#options.distrusts(release);
  }

  get isStopped(): boolean {
    return this.#stopped;
  }

  /** Nothing new starts before each machine that is not lost has caught up. */
  holdBack(): void {
    // What was planned was of a fleet that may be another by now.
    this.planner.forgetAll();
    this.attendance.catchUp(this.world.fleet.present());
    if (this.attendance.isOver) this.attend();
  }

  /** Every awaited machine has caught up, or its time is over. */
  attend(): void {
    this.attendance.attend();
    this.tick();
  }

  /** A gap is looked for before anything is done, so that nothing follows from what is taken in first after it. For a while after a fault of the disk, throws that fault again without trying. */
  commit<T>(work: (append: Append, now: Seen) => T): T {
    if (this.#fault !== undefined && this.clock.monotonicMs() < this.#fault.until) throw this.#fault.error;
    if (this.attendance.look()) this.holdBack();
    this.#pauseBroken();
    const paused = new Set<DeploymentId>();
    for (;;) {
      try {
        return this.#attempt(work);
      } catch (error) {
        if (!(error instanceof RolloutBug) || paused.has(error.deployment)) throw error;
        paused.add(error.deployment);
        this.#pause(error);
      }
    }
  }

  /** Work that nobody waits for: a fault is logged. Whether it was done. */
  byItself(what: string, work: () => void): boolean {
    try {
      work();
      return true;
    } catch (error) {
      this.#options.logger.error({ err: error, what }, "engine could not commit");
      return false;
    }
  }

  /** Called in the transaction that removes the machine. */
  forgetElsewhere(machine: MachineId): void {
    this.#options.onMachineRemoved?.(machine);
  }

  /** What an older deployment still had to do on the machine is left to `by`, which has told it something. */
  #completeBeside(machine: MachineId, by: DeploymentId): void {
    if (this.facts.decisions.isOutstandingBeside(by, machine)) this.catchUp.look(machine);
  }

  tellMachine(machine: MachineId): void {
    this.#options.tell(machine);
  }

  /** Called with the rows of each commit, in order. Returns a function that ends it. */
  onCommit(listener: (rows: readonly JournalRow[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Looks at what time allows. `atAll`: the wall clock was set, so that whatever was to be done at a time may have to be done at another. */
  tick(atAll = false): void {
    this.byItself("time", () => {
      this.commit((append, now) => {
        this.journal.removals.goOn();
        if (atAll) this.rollouts.goOnAll(append, now);
        else this.rollouts.goOn(append, now);
      });
    });
  }

  /** `isAlone`: nothing begins in the same transaction. */
  #attempt<T>(work: (append: Append, now: Seen) => T, isAlone = false): T {
    const now = this.attendance.now();
    const takesGap = !isAlone && this.attendance.hasGapToTake;
    const effects = new Effects();
    const append = (entry: Entry): JournalRow => {
      // What the tables do not take is a bug of whose row it is.
      const row = isRolloutEntry(entry) ? ofRollout(entry.deployment, () => this.journal.append(entry, now)) : this.journal.append(entry, now);
      effects.note(row, (id) => this.rollouts.get(id));
      for (const machine of effects.stale()) this.assignments.forget(machine);
      this.catchUp.note(entry);
      if (entry.kind === "release_signed") this.assignments.forgetRelease(entry.id);
      return row;
    };
    let result: T;
    try {
      result = this.journal.transaction(() => {
        if (takesGap) for (const state of this.rollouts.active()) this.rollouts.drive(state, { kind: "gap_over" }, append, now);
        const done = work(append, now);
        if (!isAlone && !this.attendance.isCatchingUp) this.#beginWhatWaited(append, now);
        return done;
      });
    } catch (error) {
      const failedAt = this.clock.monotonicMs();
      this.#reload();
      if (!(error instanceof RolloutBug)) this.#failed(error, failedAt);
      throw error;
    }
    this.#fault = undefined;
    if (takesGap) this.attendance.tookGap();
    if (effects.rows.length > 0) this.attendance.wrote(now);
    this.#afterCommit(effects);
    return result;
  }

  #pauseBroken(): void {
    for (const [id, error] of this.#broken) {
      this.#broken.delete(id);
      const known = this.rollouts.get(id);
      if (known === undefined || !isBroken(known)) this.#pause(new RolloutBug(id, error));
    }
  }

  /** One rollout can't go on by itself: an operator has to look at it. */
  #pause(bug: RolloutBug): void {
    const { deployment } = bug;
    if (this.rollouts.hasEnded(deployment)) return this.rollouts.quarantine(bug);
    this.#options.logger.error({ err: bug, deploymentId: deployment }, "rollout contradicts itself; it is paused");
    const message = `a fault of the controller itself stopped it (${bug.message}); every other deployment goes on. Resume it, roll it back or abort it, and report the fault`;
    // Deployments that would begin in the same transaction may be broken as well.
    this.#attempt((append) => this.rollouts.pauseBroken(deployment, message, append), true);
  }

  /** What came in the transaction has been taken in, and rollouts go on. The end of one lets others begin, which may end at once, and lets machines take up what they missed. */
  #beginWhatWaited(append: Append, now: Moment): void {
    for (;;) {
      this.rollouts.goOnAfterEvents(append, now);
      const started = this.#startPending(append, now);
      const hasChanged = this.catchUp.takeChanged();
      const isDecided = this.catchUp.goOn(append, now);
      this.rollouts.goOnWaiting(append, now);
      if (!started && !hasChanged && !this.catchUp.hasChanged && !isDecided && !this.rollouts.takeGoneBack()) return;
    }
  }

  #startPending(append: Append, now: Moment): boolean {
    const apps = new Set(this.rollouts.active().filter((state) => state.phase === "pending").map(({ app }) => app));
    let started = false;
    for (const app of apps) {
      for (let next = this.#next(app, now); next !== undefined; next = this.#next(app, now)) {
        const planned = this.planner.take(next);
        if (planned === undefined) {
          this.#toPlan.add(next.id);
          break;
        }
        started = true;
        this.#startOrDrop(next, planned, append, now);
      }
    }
    return started;
  }

  #startOrDrop(next: RolloutState, { machines, plan }: Planned, append: Append, now: Moment): void {
    const { id, app, release } = next;
    const supersede = (state: RolloutState, message: string, heirs?: Heirs): void => this.rollouts.drive(state, { kind: "supersede", reason: { code: "superseded", message }, ...(heirs === undefined ? {} : { heirs }) }, append, now);
    const takenBackBy = this.#takenBackSince(next, machines);
    if (takenBackBy !== undefined) return supersede(next, `${takenBackBy} took ${release} back from its machines after this was submitted; deploy it again if it is to come all the same`);
    const heirs: Heirs = { machines: new Set(plan.waves.flatMap(({ targets }) => targets.map(({ machine }) => machine))), reason: goesOnWith(next) };
    for (const rival of supersededBy(next, this.rollouts.ofApp(app), machines)) {
      supersede(rival, `${id} (${release}) took its place`, heirs);
      // A machine taken over from a rollback goes back if `next` ends without having told it anything.
      if (rival.beganBack) for (const machine of heirs.machines) this.catchUp.defer(app, machine, rival);
    }
    this.rollouts.drive(next, { kind: "start", plan }, append, now);
    this.catchUp.takeFromTails(next, true, append, now);
  }

  /** The deployment that took the release back from some of the machines after this one was asked for, which is no new decision to give it to them again. Undefined: none. */
  #takenBackSince({ id, app, release }: RolloutState, machines: readonly PlanMachine[]): DeploymentId | undefined {
    const taken = this.facts.takenBack(app, release, this.facts.decisions.askedForAt(id));
    // A deployment that takes the release back was decided when it was submitted: only a higher number is later.
    const later = taken.filter(({ by, isOwn }) => (isOwn === 1 || deploymentNumber(by) > deploymentNumber(id))).map(({ by, selector }) => ({ by, matches: widestSelector(selector) }));
    return later.find(({ by, matches }) => {
      const told = new Set(this.facts.decisions.toldIn(by));
      return machines.some(({ id: machine, labels }) => told.has(machine) || selects(matches, labels));
    })?.by;
  }

  #next(app: AppName, now: Moment) {
    const next = this.#ready(app, now);
    if (next === undefined || next.strategy.after === null) return next;
    return this.promotions.deciding(() => this.#ready(app, now));
  }

  #ready(app: AppName, now: Moment): RolloutState | undefined {
    return nextToStart(this.rollouts.ofApp(app), (state) => ofRollout(state.id, () => this.waiting(state, now)));
  }

  /** Why the release of a deployment that has succeeded is given to nobody else now, in words; undefined: it is. */
  lateWait(id: DeploymentId): string | undefined {
    const quarantined = this.quarantine.why(id);
    if (quarantined !== undefined) return quarantined;
    const wait = (): string | undefined => {
      const state = this.rollouts.get(id) ?? this.facts.deployment(id);
      return state === undefined ? undefined : (this.world.unsound(state)?.message ?? tailWait(this.rollouts.get(id)));
    };
    return ofRolloutOr(id, wait, (bug) => {
      this.quarantine.put(id, bug);
      return this.quarantine.why(id);
    });
  }

  /** Why a pending deployment does not begin yet. */
  waiting(state: Parameters<typeof waitingToStart>[0], now: Moment = this.attendance.now()) {
    return waitingToStart(state, this.rollouts.ofApp(state.app), this, now);
  }

  #afterCommit(effects: Effects): void {
    for (const machine of effects.told) this.tellMachine(machine);
    for (const { deployment, asker } of effects.questions) this.#ask(deployment, asker);
    if (effects.rows.length > 0) for (const listener of this.#listeners) listener(effects.rows);
    for (const id of this.#toPlan) this.clock.wakeAfter(0, () => this.#plan(id));
    this.#arm();
  }

  /** Plans the next deployment of an app. */
  #plan(id: DeploymentId): void {
    if (!this.#toPlan.delete(id) || this.#stopped) return;
    const state = this.rollouts.get(id);
    if (state?.phase !== "pending") return this.planner.forget(id);
    this.byItself("plan", () => {
      try {
        this.planner.prepare(state);
      } catch (error) {
        if (!(error instanceof RolloutBug)) throw error;
        this.#pause(error);
      }
    });
    // In the next turn: the two together would hold the loop for longer than either.
    this.clock.wakeAfter(0, () => this.tick());
  }

  /** The answer becomes an event; a controller that died in between asks again. */
  #ask(id: DeploymentId, asker: Asker): void {
    const question = this.#questionOf(id, asker);
    if (question === undefined) return;
    const key = `${id}/${Object.values(asker).join("/")}/${question.attempt}`;
    if (this.#asked.has(key)) return;
    this.#asked.add(key);
    const answered = (verdict: Verdict): void => {
      if (this.#stopped) return;
      const isKept = this.byItself("answer", () => {
        this.commit((append, now) => {
          const state = this.rollouts.get(id);
          if (state !== undefined) this.rollouts.drive(state, answerOf(question, verdict), append, now);
        });
      });
      if (isKept) this.#asked.delete(key);
      else this.clock.wakeAfter(RETRY_MS, () => answered(verdict));
    };
    void askListening(question, this.#options.ask, this.attendance).then(answered);
  }

  /** After a commit, or before the first: a bug pauses its rollout in a transaction of its own. */
  #questionOf(id: DeploymentId, asker: Asker): Question | undefined {
    const rollout = this.rollouts.get(id);
    return rollout === undefined ? undefined : this.#orPause(id, () => questionOf(rollout, asker));
  }

  #orPause<T>(id: DeploymentId, work: () => T): T | undefined {
    return ofRolloutOr(id, work, (bug) => {
      this.byItself("pause", () => this.#pause(bug));
      return undefined;
    });
  }

  /** Questions whose answer was lost with an earlier controller, or came while the rollout was broken. One that is under way is not asked twice. */
  askAgain(id: DeploymentId): void {
    const state = this.rollouts.get(id);
    for (const asker of state === undefined ? [] : (this.#orPause(id, () => askersOf(state)) ?? [])) this.#ask(id, asker);
  }

  #arm(): void {
    this.#cancelWake?.();
    this.#cancelWake = undefined;
    // `attend`, which ends the catching up, looks at everything.
    if (this.#stopped || this.attendance.isCatchingUp) return;
    const now = this.attendance.now();
    const hasMore = this.rollouts.hasUnfinished || this.catchUp.hasMore || this.journal.removals.isOwed;
    const next = hasMore ? now.at : [this.rollouts.nextWake(), ...this.#startTimes(now)].reduce(earlier, undefined);
    if (hasMore && this.journal.log.isLong) this.#cancelWake = this.journal.log.whenShort(() => this.tick());
    else if (next !== undefined) this.#cancelWake = this.clock.wakeAfter(next - now.at, () => this.tick());
  }

  /** Called after memory was read again. No commit is tried at once: a full disk must not keep a CPU busy with reading. */
  #failed(error: unknown, at: number): void {
    this.attendance.failed();
    const now = this.clock.monotonicMs();
    const retryMs = Math.max(RETRY_MS, RELOADS_SHARE * (now - at));
    if (isFaultOfDisk(error)) this.#fault = { error, until: now + retryMs };
    this.#cancelWake?.();
    if (!this.#stopped) this.#cancelWake = this.clock.wakeAfter(retryMs, () => this.tick());
  }

  #startTimes(now: Moment): readonly (Instant | undefined)[] {
    const pending = this.rollouts.active().filter((state) => state.phase === "pending");
    // The next transaction meets what is a bug, and pauses the rollout.
    return pending.map((state) => ofRolloutOr(state.id, () => this.waiting(state, now)?.until, () => undefined));
  }

  #reload(): void {
    const now = this.attendance.now();
    this.assignments.forgetAll();
    this.promotions.forgetAll();
    this.journal.mapped(() => {
      this.world.reload(now);
      this.rollouts.reload(this.facts.interruptedTails(), (id, error) => this.#broken.set(id, error));
      this.catchUp.reload();
    });
  }
}
