/**
 * A controller without its adapters to the world: the real engine on the real journal, with the real publisher and the real schedule.
 *
 * It can be killed between any two things that it does: before a row is written (the transaction is gone), after a commit (nobody was told), between two machines
 * that are told. A killed engine is thrown away, and another begins on the same journal. Its disk can be full: then nothing is committed or acknowledged. It can be stopped
 * as by SIGSTOP: time passes, what arrives waits, and then everything is late. Its wall clock can be set.
 *
 * Whoever checks a run asks the engine nothing but what is here.
 */
import type { Logger } from "pino";
import { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { Envelope } from "@muster/proto/gen/muster/v1/envelope.ts";
import type { DeploymentId, Instant, MachineId } from "@muster/proto/ids.ts";
import { Engine } from "@muster/controller/src/engine/engine.ts";
import { MachineGone } from "@muster/controller/src/engine/refusal.ts";
import { Fleet } from "@muster/controller/src/fleet/fleet.ts";
import { Schedule } from "@muster/controller/src/gates/schedule.ts";
import type { Question, Verdict } from "@muster/controller/src/gates/verdict.ts";
import { outstandingOf } from "@muster/controller/src/history/outstanding.ts";
import type { JournalRow } from "@muster/controller/src/journal/entry.ts";
import { JournalError } from "@muster/controller/src/journal/disk-fault.ts";
import type { Journal } from "@muster/controller/src/journal/journal.ts";
import { Publisher } from "@muster/controller/src/publish/publisher.ts";
import type { EndedPhase } from "@muster/controller/src/rollout/state.ts";
import type { Attention } from "./attention.ts";
import type { Turning } from "./life.ts";
import type { Timeline } from "./clock.ts";
import type { Network } from "./network.ts";
import type { Random } from "./random.ts";
import { Sessions } from "./sessions.ts";
import { plainSigner } from "./signer.ts";
import type { Store } from "./store.ts";

/** Where a controller is killed. */
export type Point = "append" | "commit" | "tell";

const DEAD = Symbol("dead");

class Killed extends Error {}

export interface ControllerOptions {
  readonly store: Store;
  readonly timeline: Timeline;
  readonly network: Network;
  readonly random: Random;
  /** It could judge; it could hear, though its disk may be full. */
  readonly attention: Attention;
  readonly hearing: Attention;
  /** Hands an assignment to whoever is at the other end. */
  readonly deliver: (assignment: Assignment) => void;
  /** An assignment was told, or asked for. */
  readonly onAssignment: (assignment: Assignment) => void;
  /** The engine threw what no fault explains. */
  readonly onBug: (error: unknown) => void;
  readonly isAdmitted: (machine: MachineId) => boolean;
  readonly labelsOf: (machine: MachineId) => Readonly<Record<string, string>>;
  readonly onHeard: (machine: MachineId) => void;
  readonly onCommit: (rows: readonly JournalRow[]) => void;
  /** The world outside has answered a gate or an alarm. */
  readonly onVerdict: (question: Question, verdict: Verdict) => void;
}

export const SILENT_AFTER_MS = 30_000;
/** Whoever asks there has no answer, until nothing goes wrong any more. */
export const NOBODY_URL = "http://nobody";
/** So that a clock that is set back still shows a date. */
const EPOCH_MS = 1_700_000_000_000;

export class SimController implements Turning {
  engine: Engine | undefined;
  readonly sessions: Sessions;
  /** Whoever is asked by a gate says go. */
  outsideIsWell = false;
  clockWasNeverSet = true;
  /** Counts starts: what a dead one had asked for does not happen. */
  life = 0;
  /** When the one that is up was started, in true time. */
  begunAt = 0;
  #fleet = new Fleet(SILENT_AFTER_MS);
  readonly #options: ControllerOptions;
  readonly #hooked = new WeakSet<Journal>();
  /** What its wall clock is off by. */
  #clockOffsetMs = 0;
  #isDiskFull = false;
  #isPaused = false;
  /** What arrived, or fell due, while it was stopped. */
  #late: (() => unknown)[] = [];
  /** Whoever waits for a dead engine waits no more. */
  #death = Promise.withResolvers<typeof DEAD>();
  #armed: { readonly point: Point; left: number } | undefined;
  #isKilled = false;

  constructor(options: ControllerOptions) {
    this.#options = options;
    const { timeline, network, onAssignment, isAdmitted, labelsOf, onHeard } = options;
    this.sessions = new Sessions({ controller: this, timeline, network, onAssignment, isAdmitted, labelsOf, onHeard });
  }

  get isUp(): boolean {
    return this.engine !== undefined;
  }

  get now(): Instant {
    return (EPOCH_MS + this.#options.timeline.now + this.#clockOffsetMs) as Instant;
  }

  get isDiskFull(): boolean {
    return this.#isDiskFull;
  }

  set isDiskFull(isFull: boolean) {
    this.#isDiskFull = isFull;
    this.#options.store.isFull = isFull;
    this.#attend();
  }

  /** Its wall clock jumps by so much. From a far jump on it waits for machines to be heard. */
  setClock(byMs: number): void {
    this.#clockOffsetMs += byMs;
    this.clockWasNeverSet = false;
    if (Math.abs(byMs) > SILENT_AFTER_MS / 2) this.#options.attention.set(false);
    this.#attend();
  }

  // What whoever checks may ask.

  /** For how long it could judge without a break: before that it may still wait for machines to be heard. */
  get attendingMs(): number {
    const { attention, timeline } = this.#options;
    return attention.isAttending ? timeline.now - attention.since : 0;
  }

  isSilent(machine: MachineId): boolean {
    return this.#fleet.isSilent(machine);
  }

  /** Of the newest assignment; 0: there is none. */
  generationOf(machine: MachineId): number {
    return this.engine?.assignmentFor(machine)?.generation ?? 0;
  }

  /** What a deployment waits for, as operators read it. */
  waitingOn(deployment: string): string | undefined {
    return this.engine?.waitingOn(deployment as never);
  }

  /** Machines that the outcome of a deployment, as operators read it, excepts; it counts those that it does not name. Whoever asks while the controller is dead reads it afterwards. */
  outstandingOf(deployment: DeploymentId, phase: EndedPhase): { has(machine: MachineId): boolean } {
    const steps = outstandingOf(this.#options.store.journal.db, deployment, { phase, beganBack: phase === "rolled_back" }, { isOverdue: () => false });
    let step = steps.next();
    while (step.done !== true) step = steps.next();
    const { targets, count } = step.value;
    const named = new Set<string>(targets.map(({ machine }) => machine));
    return { has: (machine) => named.has(machine) || count > named.size };
  }

  /** A deployment that `status` shows with this machine as one of its own, though it has left the fleet; of those that have not ended, and of those that somebody may take up again. */
  deploymentWith(machine: MachineId): { readonly id: string; readonly state: string } | undefined {
    const sql = `SELECT d.id, t.state FROM deployments d JOIN targets t ON t.deployment = d.id AND t.machine = ?
      WHERE t.state <> 'removed' AND (d.phase <> 'superseded' OR d.back_seq IS NOT NULL) ORDER BY d.number DESC LIMIT 1`;
    return this.#options.store.journal.db.prepare(sql).get(machine) as { id: string; state: string } | undefined;
  }

  start(): void {
    if (this.engine !== undefined) return;
    const { store, timeline, onCommit } = this.#options;
    if (this.life > 0) store.reopen();
    this.#hook(store.journal);
    this.life += 1;
    this.#isKilled = false;
    this.#isPaused = false;
    this.#fleet = new Fleet(SILENT_AFTER_MS);
    const begunAt = timeline.now;
    this.begunAt = begunAt;
    const wakeAfter = (delayMs: number, callback: () => void) => timeline.after(delayMs, this.#living(() => void this.ask(() => callback())));
    const clock = {
      now: () => this.now,
      monotonicMs: () => timeline.now - begunAt,
      wakeAfter,
    };
    const publisher = this.#publisher();
    try {
      this.engine = new Engine({
        journal: store.journal,
        fleet: this.#fleet,
        clock,
        logger: this.#loggerOf(this.life),
        schedule: new Schedule(),
        ask: (question) => this.#askOutside(question),
        distrusts: () => undefined,
        tell: (machine) => publisher.tell(machine),
      });
      this.engine.onCommit(onCommit);
    } catch (error) {
      this.#judge(error);
    }
    this.#attend();
    this.ask((engine) => engine.start());
    this.ask((engine) => engine.tellAgain());
  }

  /** Killed at the `left`th such point from now. */
  arm(point: Point, left: number): void {
    this.#armed = { point, left };
  }

  disarm(): void {
    this.#armed = undefined;
  }

  /** `forMs`: until it is started again; by chance otherwise. */
  kill(forMs?: number): void {
    if (this.engine === undefined) return;
    this.life += 1;
    this.#armed = undefined;
    this.#late = [];
    this.#death.resolve(DEAD);
    this.#death = Promise.withResolvers();
    this.engine.stop();
    this.engine = undefined;
    this.#attend();
    this.sessions.endAll();
    const { timeline, random } = this.#options;
    timeline.after(forMs ?? (random.chance(0.7) ? random.whole(10, 3_000) : random.whole(3_000, 60_000)), () => this.start());
  }

  /** As by SIGSTOP: nothing happens in it until it goes on. */
  pause(): void {
    if (this.engine === undefined) return;
    this.#isPaused = true;
    this.#attend();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#attend();
    const late = this.#late;
    this.#late = [];
    // Timers that fell due and messages that arrived: the loop takes one after another.
    for (const act of late) this.#options.timeline.after(0, this.#living(act));
  }

  /** Now, or when it goes on. */
  whenTurning(act: () => void | Promise<void>): void | Promise<void> {
    if (!this.#isPaused) return act();
    this.#late.push(act);
  }

  /** Moving steps to the archive takes no virtual time: nothing else happens meanwhile. */
  async archived(): Promise<void> {
    const sweeping = this.engine?.archiving.underWay;
    if (sweeping === undefined) return;
    await sweeping.catch(() => {});
    if (this.#isKilled) this.kill();
  }

  /** Undefined when it could not be asked, or could not answer. */
  ask<T>(question: (engine: Engine) => T): T | undefined {
    if (this.engine === undefined || this.#isPaused) return undefined;
    try {
      return this.#inTurn(question, this.engine);
    } catch (error) {
      this.#judge(error);
      return undefined;
    } finally {
      if (this.#isKilled) this.kill();
    }
  }

  async await<T>(question: (engine: Engine) => Promise<T>): Promise<{ readonly value: T } | undefined> {
    if (this.engine === undefined) return undefined;
    const { life } = this;
    try {
      const value = await Promise.race([this.#inTurn(question, this.engine), this.#death.promise]);
      return value === DEAD || life !== this.life ? undefined : { value };
    } catch (error) {
      this.#judge(error);
      return undefined;
    } finally {
      if (this.#isKilled) this.kill();
    }
  }

  /** What the engine puts off to its next turn comes later in the same virtual millisecond, or never when it is killed before. */
  #inTurn<T>(question: (engine: Engine) => T, engine: Engine): T {
    const real = globalThis.setImmediate;
    const virtual = (next: () => void): void => {
      this.#options.timeline.after(0, this.#living(() => void this.ask(() => next())));
    };
    globalThis.setImmediate = virtual as unknown as typeof setImmediate;
    try {
      return question(engine);
    } finally {
      globalThis.setImmediate = real;
    }
  }

  /** Of this life alone, and not while it is stopped. */
  #living(act: () => unknown): () => void | Promise<unknown> {
    const { life } = this;
    return () => {
      if (life !== this.life) return undefined;
      if (this.#isPaused) {
        this.#late.push(act);
        return undefined;
      }
      const result = act();
      return result instanceof Promise ? result : undefined;
    };
  }

  #attend(): void {
    const { attention, hearing } = this.#options;
    attention.set(this.isUp && !this.#isPaused && !this.#isDiskFull);
    hearing.set(this.isUp && !this.#isPaused);
  }

  /** The real one. Its slices are cut by a clock that moves with each machine that is told. */
  #publisher(): Publisher {
    const { network, deliver, onAssignment } = this.#options;
    let told = 0;
    return new Publisher({
      nats: {
        publish: (_, payload) => {
          const assignment = Assignment.decode(Envelope.decode(payload).payload);
          onAssignment(assignment);
          network.tell(assignment.machine as MachineId, () => deliver(assignment));
        },
      },
      signer: plainSigner,
      assignmentFor: (machine) => {
        const assignment = this.engine?.assignmentFor(machine);
        this.#pass("tell");
        return assignment;
      },
      logger: this.#loggerOf(this.life),
      elapsedMs: () => (told += 1),
    });
  }

  #hook(journal: Journal): void {
    if (this.#hooked.has(journal)) return;
    this.#hooked.add(journal);
    const append = journal.append.bind(journal);
    const transaction = journal.transaction.bind(journal);
    journal.append = ((...args: Parameters<typeof append>) => {
      this.#pass("append");
      // Its statements were made before those of the store could be told to fail.
      if (this.isDiskFull) throw new JournalError("SQLITE_FULL", "cannot write the journal: database or disk is full", undefined);
      return append(...args);
    }) as typeof append;
    journal.transaction = (work) => {
      const before = journal.lastSeq;
      const result = transaction(work);
      if (journal.lastSeq > before) this.#pass("commit");
      return result;
    };
  }

  /** A webhook or a metric: it says yes or no, or nothing, after a while; in the end, yes. */
  #askOutside(question: Question): Promise<Verdict> {
    const { check } = question;
    const { random, timeline, onVerdict } = this.#options;
    const kind = this.outsideIsWell ? "go" : check.url === NOBODY_URL ? "silent" : random.weighted([[6, "go"], [1, "stop"], [1, "wait"], [2, "silent"]] as const);
    const { promise, resolve } = Promise.withResolvers<Verdict>();
    timeline.after(kind === "silent" ? check.timeoutMs : random.whole(1, check.timeoutMs), async () => {
      const verdict: Verdict = { kind, detail: `it said ${kind}` };
      onVerdict(question, verdict);
      resolve(verdict);
      await promise;
    });
    return promise;
  }

  /** One of the points at which it may be killed. */
  #pass(point: Point): void {
    if (this.#isKilled) throw new Killed();
    if (this.#armed?.point !== point) return;
    this.#armed.left -= 1;
    if (this.#armed.left > 0) return;
    this.#isKilled = true;
    this.#armed = undefined;
    // Where nobody waits for the answer, nobody sees it die.
    this.#options.timeline.after(0, () => {
      if (this.#isKilled) this.kill();
    });
    throw new Killed();
  }

  #judge(error: unknown): void {
    if (error instanceof Killed || this.#isKilled) return;
    if (error instanceof JournalError && error.retryable) return;
    // What a machine said just before it was removed.
    if (error instanceof MachineGone) return;
    this.#options.onBug(error);
  }

  /** What the engine would only log is judged like what it throws; nobody reads what comes from one that was killed. */
  #loggerOf(life: number): Logger {
    const error = ({ err }: { err?: unknown }): void => {
      if (life === this.life) this.#judge(err);
    };
    return { error, warn: () => {}, info: () => {}, debug: () => {} } as unknown as Logger;
  }
}
