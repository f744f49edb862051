/**
 * A controller without its adapters: the real engine on the real journal, with the agents' sessions kept by the rules of the real ones.
 *
 * It can be killed between any two things that it does: before a row is written (the transaction is gone), after a commit (nobody was told), between two machines
 * that are told. A killed engine is thrown away, and another begins on the same journal. Its disk can be full: then nothing is committed or acknowledged.
 */
import type { Logger } from "pino";
import type { Generation, Instant, MachineId } from "@muster/proto/ids.ts";
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { Engine } from "@muster/controller/src/engine/engine.ts";
import { MachineGone } from "@muster/controller/src/engine/refusal.ts";
import { Fleet } from "@muster/controller/src/fleet/fleet.ts";
import type { Question, Verdict } from "@muster/controller/src/gates/verdict.ts";
import type { JournalRow, MachineJoined, ReportAccepted } from "@muster/controller/src/journal/entry.ts";
import { type Journal, JournalError } from "@muster/controller/src/journal/journal.ts";
import type { Timeline } from "./clock.ts";
import type { AgentEnd, ControllerSide } from "./life.ts";
import { HEARTBEAT_MS } from "./link.ts";
import type { Network, Stream } from "./network.ts";
import type { Random } from "./random.ts";
import { simulatedSchedule } from "./schedule.ts";

/** Where a controller is killed. */
export type Point = "append" | "commit" | "tell";

const DEAD = Symbol("dead");

class Killed extends Error {}

interface Session {
  readonly stream: Stream;
  readonly link: AgentEnd;
  readonly instance: string;
  heardAt: number;
}

export interface ControllerOptions {
  readonly journal: Journal;
  readonly timeline: Timeline;
  readonly network: Network;
  readonly random: Random;
  /** Hands an assignment to whoever is at the other end. */
  readonly deliver: (assignment: Assignment) => void;
  /** An assignment was told, or asked for. */
  readonly onAssignment: (assignment: Assignment) => void;
  /** The engine threw what no fault explains. */
  readonly onBug: (error: unknown) => void;
  /** Whether its credentials are good: not those of a machine that was removed. */
  readonly isAdmitted: (machine: MachineId) => boolean;
  readonly onCommit: (rows: readonly JournalRow[]) => void;
}

const SILENT_AFTER_MS = 30_000;
/** So that a clock that is set back still shows a date. */
const EPOCH_MS = 1_700_000_000_000;

export class SimController implements ControllerSide {
  engine: Engine | undefined;
  fleet = new Fleet(SILENT_AFTER_MS);
  /** Whoever is asked by a gate says go. */
  outsideIsWell = false;
  isDiskFull = false;
  /** What the controller's wall clock is off by. */
  clockOffsetMs = 0;
  readonly #options: ControllerOptions;
  readonly #sessions = new Map<MachineId, Session>();
  /** Counts starts: what a dead one had asked for does not happen. */
  #life = 0;
  /** Whoever waits for a dead engine waits no more. */
  #death = Promise.withResolvers<typeof DEAD>();
  #armed: { readonly point: Point; left: number } | undefined;
  #isKilled = false;

  constructor(options: ControllerOptions) {
    this.#options = options;
    const { journal } = options;
    const append = journal.append.bind(journal);
    const transaction = journal.transaction.bind(journal);
    journal.append = (entry, at) => {
      this.#pass("append");
      if (this.isDiskFull) throw new JournalError("SQLITE_FULL", "cannot write the journal: database or disk is full", undefined);
      return append(entry, at);
    };
    journal.transaction = (work) => {
      const before = journal.lastSeq;
      const result = transaction(work);
      if (journal.lastSeq > before) this.#pass("commit");
      return result;
    };
  }

  get isUp(): boolean {
    return this.engine !== undefined;
  }

  get now(): Instant {
    return (EPOCH_MS + this.#options.timeline.now + this.clockOffsetMs) as Instant;
  }

  start(): void {
    if (this.engine !== undefined) return;
    const { journal, timeline, network, deliver, onCommit } = this.#options;
    this.#life += 1;
    const life = this.#life;
    this.#isKilled = false;
    this.fleet = new Fleet(SILENT_AFTER_MS);
    try {
      this.engine = new Engine({
        journal,
        fleet: this.fleet,
        clock: {
          now: () => this.now,
          wake: (at, callback) => timeline.after(at - this.now, () => (life === this.#life ? void this.ask(() => callback()) : undefined)),
        },
        logger: this.#logger,
        schedule: simulatedSchedule,
        ask: (question) => this.#askOutside(question),
        distrusts: () => undefined,
        tell: (machine) => {
          const assignment = this.engine!.assignmentFor(machine);
          this.#pass("tell");
          // As the publisher: a machine that has been removed meanwhile is told nothing.
          if (assignment === undefined) return;
          this.#options.onAssignment(assignment);
          network.tell(machine, () => deliver(assignment));
        },
      });
      this.engine.onCommit(onCommit);
    } catch (error) {
      this.#judge(error);
    }
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

  kill(): void {
    if (this.engine === undefined) return;
    this.#life += 1;
    this.#armed = undefined;
    this.#death.resolve(DEAD);
    this.#death = Promise.withResolvers();
    this.engine.stop();
    this.engine = undefined;
    for (const { stream, link } of this.#sessions.values()) this.#hangUp(stream, link);
    this.#sessions.clear();
    const { timeline, random } = this.#options;
    timeline.after(random.chance(0.7) ? random.whole(10, 3_000) : random.whole(3_000, 60_000), () => this.start());
  }

  /** Undefined when it could not be asked, or could not answer. */
  ask<T>(question: (engine: Engine) => T): T | undefined {
    if (this.engine === undefined) return undefined;
    try {
      return this.#inTurn(question, this.engine);
    } catch (error) {
      this.#judge(error);
      return undefined;
    } finally {
      if (this.#isKilled) this.kill();
    }
  }

  /** What the engine puts off to its next turn comes later in the same virtual millisecond, or never when it is killed before. */
  #inTurn<T>(question: (engine: Engine) => T, engine: Engine): T {
    const life = this.#life;
    const real = globalThis.setImmediate;
    const virtual = (next: () => void): void => {
      this.#options.timeline.after(0, () => (life === this.#life ? void this.ask(() => next()) : undefined));
    };
    globalThis.setImmediate = virtual as unknown as typeof setImmediate;
    try {
      return question(engine);
    } finally {
      globalThis.setImmediate = real;
    }
  }

  async #await<T>(question: (engine: Engine) => Promise<T>): Promise<{ readonly value: T } | undefined> {
    if (this.engine === undefined) return undefined;
    const life = this.#life;
    try {
      const value = await Promise.race([this.#inTurn(question, this.engine), this.#death.promise]);
      return value === DEAD || life !== this.#life ? undefined : { value };
    } catch (error) {
      this.#judge(error);
      return undefined;
    } finally {
      if (this.#isKilled) this.kill();
    }
  }

  // What agents say.

  async hello(stream: Stream, link: AgentEnd, said: MachineJoined, generation: number): Promise<void> {
    const { network, timeline } = this.#options;
    const { machine, instance } = said;
    if (!this.#options.isAdmitted(machine)) {
      network.send(stream, "toMachine", () => link.end(stream));
      return;
    }
    const other = this.#sessions.get(machine);
    if (other !== undefined) {
      if (timeline.now - other.heardAt < 3 * HEARTBEAT_MS && other.instance !== instance) {
        network.send(stream, "toMachine", () => link.end(stream, true));
        return;
      }
      this.#hangUp(other.stream, other.link);
    }
    const session: Session = { stream, link, instance, heardAt: timeline.now };
    this.#sessions.set(machine, session);
    const life = this.#life;
    const answer = await this.#await((engine) => engine.hello(said, generation));
    if (life !== this.#life) return;
    if (answer === undefined) return this.#refuse(session);
    if (this.#sessions.get(machine) !== session) {
      if (!this.#sessions.has(machine)) this.ask((engine) => engine.sessionEnded(machine));
      return;
    }
    const newest = this.ask((engine) => engine.heartbeat(machine, generation as Generation));
    if (newest !== undefined) network.send(stream, "toMachine", () => link.welcome(stream, newest, answer.value));
  }

  heartbeat(stream: Stream, generation: number): void {
    const session = this.#sessionOf(stream);
    if (session === undefined) return;
    const newest = this.ask((engine) => engine.heartbeat(stream.machine, generation as Generation));
    if (newest !== undefined) this.#options.network.send(stream, "toMachine", () => session.link.heartbeatAck(stream, newest));
  }

  async report(stream: Stream, reports: readonly ReportAccepted[]): Promise<void> {
    const session = this.#sessionOf(stream);
    const last = reports.at(-1);
    if (session === undefined || last === undefined) return;
    const life = this.#life;
    const answer = await this.#await((engine) => engine.report(reports));
    if (life !== this.#life) return;
    if (answer === undefined) return this.#refuse(session);
    this.#options.network.send(stream, "toMachine", () => session.link.acknowledge(stream, last.reportSeq));
  }

  /** Its credentials have been revoked. */
  cutOff(machine: MachineId): void {
    const session = this.#sessions.get(machine);
    if (session !== undefined) this.#refuse(session);
  }

  assignmentFor(machine: string): Assignment | undefined {
    const assignment = this.ask((engine) => engine.assignmentFor(machine as MachineId));
    if (assignment !== undefined) this.#options.onAssignment(assignment);
    return assignment;
  }

  ended(stream: Stream): void {
    if (this.#sessions.get(stream.machine)?.stream !== stream) return;
    this.#sessions.delete(stream.machine);
    this.ask((engine) => engine.sessionEnded(stream.machine));
  }

  /** A webhook or a metric: it says yes or no, or nothing, after a while; in the end, yes. */
  #askOutside({ check }: Question): Promise<Verdict> {
    const { random, timeline } = this.#options;
    const kind = this.outsideIsWell ? "go" : random.weighted([[6, "go"], [1, "stop"], [1, "wait"], [2, "silent"]] as const);
    const { promise, resolve } = Promise.withResolvers<Verdict>();
    timeline.after(kind === "silent" ? check.timeoutMs : random.whole(1, check.timeoutMs), async () => {
      resolve({ kind, detail: `it said ${kind}` });
      await promise;
    });
    return promise;
  }

  #sessionOf(stream: Stream): Session | undefined {
    const session = this.#sessions.get(stream.machine);
    if (session?.stream !== stream) return undefined;
    session.heardAt = this.#options.timeline.now;
    return session;
  }

  #refuse({ stream, link }: Session): void {
    this.ended(stream);
    this.#hangUp(stream, link);
  }

  #hangUp(stream: Stream, link: AgentEnd): void {
    stream.isBroken.toController = true;
    this.#options.network.send(stream, "toMachine", () => link.end(stream));
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

  /** What the engine would only log is judged like what it throws. */
  readonly #logger = {
    error: ({ err }: { err?: unknown }) => this.#judge(err),
    warn: () => {},
    info: () => {},
    debug: () => {},
  } as unknown as Logger;
}
