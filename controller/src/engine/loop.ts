/**
 * The loop: load → decide → commit → effects. Everything that changes anything goes through here, in one transaction each, with no await inside.
 *
 * Always holds: an effect (telling a machine, asking a gate's question, waking a watcher) runs after the commit of what caused it; when a transaction fails, memory is
 * read again from the tables, so that it is never ahead of the disk; whatever a transaction did, what waited for that begins in the same one.
 */
import type { AppName, DeploymentId, Instant, MachineId } from "@muster/proto/ids.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { checkedSelector } from "@muster/proto/selector.ts";
import type { Logger } from "pino";
import type { Fleet } from "../fleet/fleet.ts";
import type { Asker, Question, Verdict } from "../gates/verdict.ts";
import type { Entry, JournalRow } from "../journal/entry.ts";
import type { Journal } from "../journal/journal.ts";
import { planRollout } from "../plan/plan.ts";
import { isEnded } from "../rollout/state.ts";
import { Assignments } from "./assignments.ts";
import type { Schedule } from "./calendar.ts";
import type { Clock } from "./clock.ts";
import { Facts } from "./facts.ts";
import { selectMachines } from "./fleet-plan.ts";
import { answerOf, askerOf, askersOf, questionOf } from "./questions.ts";
import { type Append, Rollouts } from "./rollouts.ts";
import { Standing } from "./standing.ts";
import { NO_SECRETS, type SecretKeeper } from "./secrets.ts";
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

export class Loop {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly facts: Facts;
  readonly world: World;
  readonly rollouts: Rollouts;
  readonly assignments: Assignments;
  readonly standing: Standing;
  readonly secrets: SecretKeeper;
  readonly #options: LoopOptions;
  readonly #listeners = new Set<(rows: readonly JournalRow[]) => void>();
  /** Questions under way, or whose answer is still to be kept, so that none is asked twice. */
  readonly #asked = new Set<string>();
  #cancelWake: (() => void) | undefined;
  /** When time was looked at last: what was to be done at a time may have to be done sooner when the clock is set back. */
  #tickedAt = 0;
  #stopped = false;

  constructor(options: LoopOptions) {
    const { journal, clock, fleet, schedule } = options;
    this.#options = options;
    this.journal = journal;
    this.clock = clock;
    this.secrets = options.secrets ?? NO_SECRETS;
    this.facts = new Facts(journal.db);
    this.assignments = new Assignments(journal);
    this.world = new World(fleet, schedule, (machine) => this.rollouts.isMoving(machine));
    this.rollouts = new Rollouts(journal, this.world);
    this.standing = new Standing(this.facts, this.rollouts, this.world);
    this.#reload();
  }

  /** Takes up what an earlier run left. */
  start(): void {
    this.byItself("start", () => {
      this.commit((append, now) => {
        for (const state of this.rollouts.active()) this.rollouts.drive(state, { kind: "taken_up", now }, append, now);
      });
    });
    this.#tick();
    this.#askAgain();
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

  commit<T>(work: (append: Append, now: Instant) => T): T {
    const now = this.clock.now();
    const rows: JournalRow[] = [];
    const ended = new Set<AppName>();
    const append = (entry: Entry): JournalRow => {
      const row = this.journal.append(entry, now);
      rows.push(row);
      if (entry.kind === "phase_changed" && isEnded(entry.phase)) ended.add(entry.app);
      if (entry.kind === "target_assigned" || entry.kind === "assignment_renewed" || entry.kind === "machine_removed") this.assignments.forget(entry.machine);
      if (entry.kind === "release_signed") this.assignments.forgetRelease(entry.id);
      return row;
    };
    let result: T;
    try {
      result = this.journal.transaction(() => {
        const done = work(append, now);
        this.#beginWhatWaited(ended, append, now);
        return done;
      });
    } catch (error) {
      this.#reload();
      this.#retryLater();
      throw error;
    }
    this.#afterCommit(rows);
    return result;
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

  /** In the transaction that removes it. */
  forgetElsewhere(machine: MachineId): void {
    this.#options.onMachineRemoved?.(machine);
  }

  tellMachine(machine: MachineId): void {
    this.#options.tell(machine);
  }

  /** Called with the rows of each commit, in order. Returns a function that ends it. */
  onCommit(listener: (rows: readonly JournalRow[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The end of one rollout lets others begin, which may end at once, and the end of a start lets machines take up what they missed. */
  #beginWhatWaited(ended: Set<AppName>, append: Append, now: Instant): void {
    for (;;) {
      const started = this.#startPending(append, now);
      const apps = [...ended];
      ended.clear();
      for (const app of apps) this.standing.settled(app, append, now);
      this.rollouts.goOnWaiting(append, now);
      if (!started && apps.length === 0 && ended.size === 0) return;
    }
  }

  #startPending(append: Append, now: Instant): boolean {
    const apps = new Set(this.rollouts.active().filter((state) => state.phase === "pending").map(({ app }) => app));
    let started = false;
    for (const app of apps) {
      for (let next = this.#next(app, now); next !== undefined; next = this.#next(app, now)) {
        started = true;
        const reason = { code: "superseded", message: `${next.id} (${next.release}) took its place` } as const;
        for (const rival of supersededBy(next, this.rollouts.ofApp(app))) this.rollouts.drive(rival, { kind: "supersede", reason }, append, now);
        const machines = selectMachines(this.journal, app, checkedSelector(next.strategy.targets), next.release);
        this.rollouts.drive(next, { kind: "start", plan: planRollout(next.strategy, machines, next.release) }, append, now);
        this.rollouts.overtakeTails(next, next.targets, append, now);
      }
    }
    return started;
  }

  #next(app: AppName, now: Instant) {
    return nextToStart(this.rollouts.ofApp(app), this.facts, now);
  }

  #afterCommit(rows: readonly JournalRow[]): void {
    const told = new Set<MachineId>();
    for (const { entry } of rows) if (entry.kind === "target_assigned" || entry.kind === "assignment_renewed") told.add(entry.machine);
    for (const machine of told) this.tellMachine(machine);
    for (const { entry } of rows) if (entry.kind === "gate_asked" || entry.kind === "alarm_asked") this.#ask(entry.deployment, askerOf(entry));
    if (rows.length > 0) for (const listener of this.#listeners) listener(rows);
    this.#arm();
  }

  /** The answer becomes an event; a controller that died in between asks again. */
  #ask(id: DeploymentId, asker: Asker): void {
    const rollout = this.rollouts.get(id);
    const question = rollout === undefined ? undefined : questionOf(rollout, asker);
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
      else this.clock.wake((this.clock.now() + RETRY_MS) as Instant, () => answered(verdict));
    };
    void this.#options.ask(question).then(answered);
  }

  /** Questions whose answer was lost with an earlier controller. */
  #askAgain(): void {
    for (const state of this.rollouts.active()) for (const asker of askersOf(state)) this.#ask(state.id, asker);
  }

  #arm(): void {
    this.#cancelWake?.();
    this.#cancelWake = undefined;
    if (this.#stopped) return;
    const now = this.clock.now();
    const next = this.rollouts.hasUnfinished ? now : earliest([this.rollouts.nextWake(), ...this.#startTimes(now)]);
    if (next !== undefined) this.#cancelWake = this.clock.wake(next, () => this.#tick());
  }

  /** What was read again is looked at when the disk may be well, and not at once: a full disk must not keep a CPU busy. */
  #retryLater(): void {
    this.#cancelWake?.();
    if (!this.#stopped) this.#cancelWake = this.clock.wake((this.clock.now() + RETRY_MS) as Instant, () => this.#tick());
  }

  #startTimes(now: Instant): readonly (Instant | undefined)[] {
    const pending = this.rollouts.active().filter((state) => state.phase === "pending");
    return pending.map((state) => waitingToStart(state, this.rollouts.ofApp(state.app), this.facts, now)?.until);
  }

  #tick(): void {
    this.byItself("time", () => {
      this.commit((append, now) => {
        const wasSetBack = now < this.#tickedAt;
        this.#tickedAt = now;
        if (wasSetBack) this.rollouts.goOnAll(append, now);
        else this.rollouts.goOn(append, now);
      });
    });
  }

  #reload(): void {
    const { fleet } = this.#options;
    const now = this.clock.now();
    this.assignments.forgetAll();
    for (const { id, silent_since } of this.facts.machines()) fleet.restore(id, now, silent_since);
    this.rollouts.reload(this.facts.interruptedTails());
    this.world.reload(this.facts);
  }
}

function earliest(times: readonly (Instant | undefined)[]): Instant | undefined {
  return times.reduce((first, time) => (time !== undefined && (first === undefined || time < first) ? time : first), undefined);
}
