/**
 * A controller without its adapters: the real engine on a real journal, a clock that is moved by hand, and machines that say what the test tells them to.
 */
import pino from "pino";
import { type AppName, type DeploymentId, type Generation, type Instant, type MachineId, parseDeploymentId } from "@muster/proto/ids.ts";
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { type Labels, parseSelector } from "@muster/proto/selector.ts";
import { Fleet } from "../fleet/fleet.ts";
import type { Question, Verdict } from "../gates/verdict.ts";
import { Journal } from "../journal/journal.ts";
import { loadRollout } from "../journal/load.ts";
import { PROJECTION_TABLES } from "../journal/schema.ts";
import type { Strategy } from "../plan/strategy.ts";
import type { AgentPhase, RolloutState } from "../rollout/state.ts";
import { ALL, count, strategyOf, wave } from "../rollout/rollout.fixture.ts";
import type { Schedule } from "./calendar.ts";
import type { Clock } from "./clock.ts";
import { Engine } from "./engine.ts";
import { NO_SECRETS, type SecretKeeper } from "./secrets.ts";
import type { Command, Order } from "./operators.ts";
import type { Submission } from "./submission.ts";

/** At one moment, more than any test needs: reaching it, something asks to be woken again and again and does nothing. */
const WAKES_MAX = 10_000;

/** A clock that stands still until it is moved, and then wakes whoever asked, in order. */
class FakeClock implements Clock {
  /** Passes. */
  elapsed = 0;
  /** What the wall clock says besides; may be set to anything. */
  wall = 1_000_000;
  readonly #sleepers = new Set<{ at: number; callback: () => void }>();

  now(): Instant {
    return (this.wall + this.elapsed) as Instant;
  }

  monotonicMs(): number {
    return this.elapsed;
  }

  wakeAfter(delayMs: number, callback: () => void): () => void {
    const sleeper = { at: this.elapsed + Math.max(0, delayMs), callback };
    this.#sleepers.add(sleeper);
    return () => this.#sleepers.delete(sleeper);
  }

  advance(ms: number): void {
    const end = this.elapsed + ms;
    for (let woken = 0; ; woken += 1) {
      if (woken > WAKES_MAX) throw new Error(`the engine wakes itself without end at ${this.elapsed}`);
      const due = [...this.#sleepers].filter((sleeper) => sleeper.at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#sleepers.delete(due);
      if (due.at > this.elapsed) woken = 0;
      this.elapsed = Math.max(this.elapsed, due.at);
      due.callback();
    }
    this.elapsed = end;
  }
}

/** Those that say nothing more than their name, and the others with what is meant most often. */
function shortCommand(kind: Command["kind"]): Command {
  switch (kind) {
    case "approve":
      return { kind, wave: 0 };
    case "promote":
      return { kind, all: true };
    case "set_max_unavailable":
      return { kind, size: count(1) };
    case "pause":
    case "resume":
    case "abort":
    case "rollback":
    case "retry":
      return { kind };
  }
}

/** A window, for rollouts that ask the calendar. */
export const NIGHTLY = { cron: "0 2 * * *", durationMs: 60_000, timeZone: "UTC" };

const ARTIFACT = "a".repeat(64);

/** A rollout without what is worked out from the rest, and from its machines, when it is loaded. */
export function lasting(state: RolloutState | undefined): unknown {
  if (state === undefined) return undefined;
  return { ...state, turns: null, turnsBack: null, laneKeys: null, availability: null, startFirst: null, backFirst: null, startFirstBehind: null };
}

export class World {
  readonly clock = new FakeClock();
  readonly told: Assignment[] = [];
  /** Questions of gates, to be answered by the test. */
  readonly asked: { readonly question: Question; readonly answer: (verdict: Verdict) => void }[] = [];
  /** Rollouts that were paused, and ended deployments that were put into quarantine, since they contradict themselves. */
  readonly bugs: string[] = [];
  /** Whoever asks about a window meets a bug. */
  calendarFails = false;
  /** Every window is open, until the test closes them. */
  schedule: Schedule = {
    openingOf: (_window, now) => {
      if (this.calendarFails) throw new Error("there is no such day");
      return { open: true, until: (now + 1_000_000) as Instant };
    },
  };
  /** In the transaction that removes a machine. */
  onMachineRemoved: (machine: MachineId) => void = () => {};
  /** Why machines would not run a release; none is distrusted until the test says so. */
  distrusts: (release: Release) => string | undefined = () => undefined;
  /** Warnings of the log, by their fields. */
  warn: (fields: Record<string, unknown>) => void = () => {};
  readonly #seqs = new Map<string, number>();
  /** How often a machine has lost its disk. */
  readonly #disks = new Map<string, number>();
  journal: Journal;
  engine!: Engine;
  fleet!: Fleet;

  readonly #secrets: SecretKeeper;

  constructor(path = ":memory:", secrets = NO_SECRETS) {
    this.#secrets = secrets;
    this.journal = Journal.open(path);
    this.startEngine();
    this.engine.operators.recordArtifact({ kind: "artifact_stored", artifact: ARTIFACT as never, fileCount: 1, sizeBytes: 1, packBytes: 1 });
  }

  /** Another controller takes up what the one before left. `isHeard`: all machines that are not silent speak to it at once. */
  startEngine({ isHeard = true } = {}): void {
    this.engine?.stop();
    this.fleet = new Fleet(15_000);
    this.engine = new Engine({
      journal: this.journal,
      fleet: this.fleet,
      clock: this.clock,
      logger: pino({ level: "warn", base: null, timestamp: false }, { write: (line: string) => this.#note(line) }),
      schedule: this.schedule,
      secrets: this.#secrets,
      tell: (machine) => this.told.push(this.engine.assignmentFor(machine)!),
      onMachineRemoved: (machine) => this.onMachineRemoved(machine),
      distrusts: (release) => this.distrusts(release),
      ask: (question) => new Promise((resolve) => this.asked.push({ question, answer: resolve })),
    });
    this.engine.start();
    const machines = this.journal.db.prepare("SELECT id FROM machines WHERE silent_since IS NULL").pluck().all() as MachineId[];
    if (isHeard) for (const machine of machines) this.engine.heartbeat(machine, 0 as Generation);
  }

  #note(line: string): void {
    const { level, msg, err, ...fields } = JSON.parse(line) as { level: number; msg: string; err?: { stack?: string } };
    if (level === 40) this.warn(fields);
    if (msg.includes("contradicts itself")) this.bugs.push(err?.stack ?? msg);
  }

  join(...machines: string[]): Promise<void> {
    return this.joinAs({ role: "web" }, ...machines);
  }

  async joinAs(labels: Labels, ...machines: string[]): Promise<void> {
    await Promise.all(machines.map((machine) => this.#hello(machine, labels, 0)));
  }

  /** It owes the report that is said of it next. */
  joinOwing(machine: string): Promise<void> {
    return this.#hello(machine, { role: "web" }, (this.#seqs.get(machine) ?? 0) + 1);
  }

  async #hello(machine: string, labels: Labels, newestPendingSeq: number): Promise<void> {
    await this.engine.hello({ kind: "machine_joined", labels, agentVersion: "0", hostname: "h", os: "linux", arch: "x64", machine: machine as MachineId, instance: this.#instance(machine) }, 0, newestPendingSeq);
  }

  /** Its disk is another one, and nothing is on it. */
  async loseDisk(machine: string): Promise<void> {
    this.#disks.set(machine, (this.#disks.get(machine) ?? 0) + 1);
    this.#seqs.delete(machine);
    await this.join(machine);
  }

  #instance(machine: string): string {
    const disks = this.#disks.get(machine) ?? 0;
    return `i-${machine}${disks === 0 ? "" : `-${disks}`}`;
  }

  /** All of its labels. */
  label(labels: Labels, machine: string): void {
    const before = this.journal.db.prepare("SELECT labels FROM machines WHERE id = ?").pluck().get(machine) as string;
    const remove = Object.keys(JSON.parse(before) as Labels).filter((key) => !Object.hasOwn(labels, key));
    const answer = this.engine.orders.labelMachine(machine as MachineId, { set: labels, remove }, "anna");
    if (!answer.ok) throw new Error(answer.refusal.message);
  }

  remove(machine: string, reason = "scrapped"): void {
    const answer = this.engine.orders.removeMachine(machine as MachineId, { by: "anna", reason });
    if (!answer.ok) throw new Error(answer.refusal.message);
  }

  submit(version: string, changes: Partial<Strategy> = {}, release: Partial<Release> = {}) {
    return this.engine.operators.submit(this.submission(version, changes, release));
  }

  submission(version: string, changes: Partial<Strategy> = {}, release: Partial<Release> = {}): Submission {
    const targets = changes.targets ?? "role=web";
    const parsed = parseSelector(targets);
    if (!parsed.ok) throw new Error(parsed.message);
    const app = release.app ?? "app";
    return {
      app: app as AppName,
      release: Release.fromPartial({ app, version, artifact: ARTIFACT, ...release }),
      selector: parsed.selector,
      strategy: {
        ...strategyOf({ waves: [wave(count(1)), ALL], maxUnavailable: count(1), minHealthyTimeMs: 1000, healthyDeadlineMs: 60_000, progressDeadlineMs: 600_000 }),
        ...changes,
        targets,
      },
    };
  }

  command(id: DeploymentId, command: Command["kind"], order: Partial<Order> = {}) {
    return this.steer(id, shortCommand(command), order);
  }

  steer(id: DeploymentId, command: Command, order: Partial<Order> = {}) {
    return this.engine.operators.command(id, command, { by: "anna", reason: "", ...order });
  }

  deploy(version: string, changes: Partial<Strategy> = {}, release: Partial<Release> = {}): DeploymentId {
    const answer = this.submit(version, changes, release);
    if (!answer.ok) throw new Error(answer.refusal.message);
    return parseDeploymentId(answer.value.deployment)!;
  }

  /** About the app of the machine's newest assignment, unless another is named. */
  async say(machine: string, phase: AgentPhase, generation = this.generation(machine), app = this.appOf(machine, generation), runs = ""): Promise<void> {
    const seq = (this.#seqs.get(machine) ?? 0) + 1;
    this.#seqs.set(machine, seq);
    await this.saySeq(machine, phase, generation, seq, app, runs);
  }

  saySeq(machine: string, phase: AgentPhase, generation: number, reportSeq: number, app = "app", runs = ""): Promise<void> {
    return this.engine.report([
      {
        kind: "report_accepted",
        machine: machine as MachineId,
        app: app as AppName,
        instance: this.#instance(machine),
        reportSeq,
        observedAt: this.clock.now(),
        generation,
        phase,
        reason: phase === "reverted" ? { code: "exited", message: "exited with code 1" } : null,
        runningVersion: runs,
        runningArtifact: runs === "" ? "" : ARTIFACT,
        starts: 1,
        pid: 1,
        ports: {},
      },
    ]);
  }

  /** Of the app that was assigned last; the machine's own may be higher, when it was confirmed since. */
  generation(machine: string): number {
    return Math.max(0, ...(this.engine.assignmentFor(machine as MachineId)?.apps ?? []).map(({ generation }) => generation));
  }

  appOf(machine: string, generation: number): string {
    return this.engine.assignmentFor(machine as MachineId)?.apps.find((each) => each.generation === generation)?.app ?? "app";
  }

  wanted(machine: string, app = "app"): string | undefined {
    const goal = this.engine.assignmentFor(machine as MachineId)?.apps.find((each) => each.app === app)?.goal;
    return goal?.$case === "run" ? goal.value.version : goal?.$case;
  }

  /** Time passes while these machines are heard. */
  pass(ms: number, ...machines: string[]): void {
    for (let passed = 0; passed < ms; passed += 1000) {
      this.clock.advance(Math.min(1000, ms - passed));
      for (const machine of machines) this.engine.heartbeat(machine as MachineId, 0 as Generation);
    }
  }

  waitingOn(id: DeploymentId): string | undefined {
    return this.engine.waitingOn(id);
  }

  state(id: DeploymentId, machine: string): string | undefined {
    return loadRollout(this.journal, id)?.targets.get(machine as MachineId)?.state;
  }

  phase(id: DeploymentId): string {
    return loadRollout(this.journal, id)!.phase;
  }

  /** Every healthy machine answers at once until nothing is asked any more. */
  async settle(...machines: string[]): Promise<void> {
    const answered = new Map<string, number>();
    for (let round = 0; round < 20; round += 1) {
      const open = machines.filter((machine) => this.generation(machine) > (answered.get(machine) ?? 0));
      if (open.length === 0) return;
      for (const machine of open) {
        answered.set(machine, this.generation(machine));
        await this.say(machine, this.wanted(machine) === "remove" ? "removed" : "healthy");
      }
    }
    throw new Error("the fleet did not settle");
  }

  tables(journal = this.journal): unknown {
    return PROJECTION_TABLES.map((table) => [table, journal.db.prepare(`SELECT * FROM ${table}`).all()]);
  }
}
