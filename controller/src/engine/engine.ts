/**
 * The engine: what agents say comes in here, and machines that say nothing are noticed. Operators have their own door (operators.ts).
 *
 * Always holds: a report is acknowledged after the commit that holds it.
 */
import { isDeepStrictEqual } from "node:util";
import type { DeploymentId, Digest, Generation, Instant, MachineId } from "@muster/proto/ids.ts";
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { AgentRefusal } from "../fleet/fleet.ts";
import type { AgentChanged, JournalRow, MachineJoined, ReportAccepted } from "../journal/entry.ts";
import { targetStateOf } from "../rollout/decide.ts";
import type { RolloutState } from "../rollout/state.ts";
import { waitingOn } from "../rollout/words.ts";
import { Archiving } from "./archiving.ts";
import { FleetOrders } from "./fleet-orders.ts";
import { Loop, type LoopOptions } from "./loop.ts";
import { Operators } from "./operators.ts";
import { Outlook } from "./outlook.ts";
import { MachineGone } from "./refusal.ts";
import { ReportIntake } from "./report-intake.ts";
import { Retention } from "./retention.ts";
import type { Append } from "./rollouts.ts";
import { waitingToStart } from "./starts.ts";

export type EngineOptions = LoopOptions;

/** What one agent said, waiting for the transaction that it shares with all that came in the same turn of the loop. */
interface Saying {
  readonly take: (append: Append, now: Instant) => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** How finely silence is measured. */
const SILENCE_CHECK_MS = 500;

export class Engine {
  /** Deployments: submit and steer them. */
  readonly operators: Operators;
  /** The fleet: cordons, budgets, freezes. */
  readonly orders: FleetOrders;
  /** What a deployment would find. */
  readonly outlook: Outlook;
  /** How long the files of releases are kept. */
  readonly retention: Retention;
  /** How long the journal's steps stay in the database. */
  readonly archiving: Archiving;
  readonly #loop: Loop;
  readonly #intake: ReportIntake;
  #said: Saying[] = [];
  #cancelSilence: (() => void) | undefined;
  /** Of the last look at who is silent. */
  #watchedAt = 0 as Instant;
  /** Nobody is declared silent before. */
  #judgesFrom = 0 as Instant;

  constructor(options: EngineOptions) {
    this.#loop = new Loop(options);
    this.#intake = new ReportIntake(this.#loop, options.logger, (report, append, now) => this.#followReport(report, append, now));
    this.operators = new Operators(this.#loop);
    this.orders = new FleetOrders(this.#loop);
    this.outlook = new Outlook(this.#loop, this.operators);
    this.retention = new Retention(this.#loop);
    this.archiving = new Archiving(this.#loop, options.logger, () => this.retention.rule().stepsForMs);
  }

  /** Takes up what an earlier run left, and begins to watch the time. */
  start(): void {
    this.#watchedAt = this.#loop.clock.now();
    this.#watchSilence();
    this.#loop.start();
    this.#intake.start();
    this.retention.start();
    this.archiving.start();
  }

  stop(): void {
    this.#loop.stop();
    this.#intake.stop();
    this.retention.stop();
    this.archiving.stop();
    this.#cancelSilence?.();
  }

  // What agents say.

  /**
   * A session began. Resolves to the newest report sequence of this instance that is stored. The labels are taken of a new machine alone; afterwards they change when an
   * operator says so.
   */
  async hello(said: MachineJoined, generation: number): Promise<number> {
    const { facts, world, clock } = this.#loop;
    const { machine, instance } = said;
    const known = facts.machine(machine);
    const take: Saying["take"] = (append, now) => this.#introduce(said, generation, append, now);
    if (known === undefined) await this.#share(take);
    else if (world.fleet.isSilent(machine) || isOther(known, said)) await this.#shareOf(machine, take);
    world.fleet.connected(machine, clock.now(), generation);
    return this.#intake.acknowledgedSeq(machine, instance);
  }

  /** `refusal`: what the agent does not believe now. Returns the newest generation for the machine. */
  heartbeat(machine: MachineId, generation: Generation, refusal?: AgentRefusal): Generation {
    const { fleet } = this.#loop.world;
    if (fleet.isSilent(machine)) {
      // When that can't be written down, the next heartbeat tries again.
      this.#share((append, now) => this.#noteVoice(machine, generation, append, now)).catch(() => {});
    }
    fleet.heard(machine, this.#loop.clock.now(), generation);
    fleet.refuses(machine, this.#loop.clock.now(), refusal);
    return this.#loop.assignments.generation(machine);
  }

  /** How many apps of a machine have a report that waits, since the machine is over its budget of reports. */
  heldReports(machine: MachineId): number {
    return this.#loop.journal.reports.heldOf(machine).length;
  }

  /** The same of every machine of which some wait. */
  allHeldReports(): ReadonlyMap<MachineId, number> {
    return this.#loop.journal.reports.held();
  }

  sessionEnded(machine: MachineId): void {
    this.#loop.world.fleet.disconnected(machine, this.#loop.clock.now());
  }

  /** All of one machine. Resolves when they are on disk; rejects with MachineGone when it has been removed. */
  report(reports: readonly ReportAccepted[]): Promise<void> {
    const [first] = reports;
    if (first === undefined) return Promise.resolve();
    return this.#shareOf(first.machine, (append, now) => {
      for (const report of reports) this.#takeReport(report, append, now);
    });
  }

  assignmentFor(machine: MachineId): Assignment | undefined {
    return this.#loop.assignments.of(machine);
  }

  /** Whether the machine should run a release of this artifact. */
  isAssigned(machine: MachineId, artifact: Digest): boolean {
    return this.#loop.assignments.names(machine, artifact);
  }

  /** The way to the machines was cut and is back: tells those that have not said that they have their newest assignment. */
  tellAgain(): void {
    for (const { machine, generation } of this.#loop.assignments.newest()) {
      const { presence, acknowledgedGeneration } = this.#loop.world.fleet.presence(machine);
      if (presence === "connected" && acknowledgedGeneration < generation) this.#loop.tellMachine(machine);
    }
  }

  // What watchers see.

  /** One that is in memory: it has not ended, or machines take their turn in its tail. */
  rollout(id: DeploymentId): RolloutState | undefined {
    return this.#loop.rollouts.get(id);
  }

  /** What a deployment waits for, in words; undefined when it has ended. */
  waitingOn(id: DeploymentId): string | undefined {
    const { rollouts, facts, clock } = this.#loop;
    const state = rollouts.get(id);
    if (state?.phase !== "pending") return state === undefined ? undefined : waitingOn(state);
    return waitingToStart(state, rollouts.ofApp(state.app), facts, clock.now())?.message ?? waitingOn(state);
  }

  /** Called with the rows of each commit, in order. Returns a function that ends it. */
  onCommit(listener: (rows: readonly JournalRow[]) => void): () => void {
    return this.#loop.onCommit(listener);
  }

  #introduce(said: MachineJoined, generation: number, append: Append, now: Instant): void {
    const { facts, world, standing } = this.#loop;
    const { machine } = said;
    const known = facts.machine(machine);
    const { labels } = known ?? said;
    if (known === undefined) {
      append(said);
      world.budgets.labelled(machine, labels);
    } else if (isOther(known, said)) append(changedAgent(said));
    const wasSilent = world.fleet.isSilent(machine);
    world.fleet.connected(machine, now, generation);
    if (wasSilent) this.#heardAgain(machine, append, now);
    standing.takeUp(machine, labels, append, now);
  }

  #heardAgain(machine: MachineId, append: Append, now: Instant): void {
    const { rollouts } = this.#loop;
    append({ kind: "machine_heard", machine });
    rollouts.noteWellness(machine);
    // Which tail it is for, the standing deployments know.
    for (const state of rollouts.active()) rollouts.drive(state, { kind: "heard_again", machine, wasRenewed: false }, append, now);
  }

  /** One whose session has outlived its silence was held up, and says no hello. */
  #noteVoice(machine: MachineId, generation: Generation, append: Append, now: Instant): void {
    const { world, facts, standing } = this.#loop;
    const labels = facts.machine(machine)?.labels;
    if (labels === undefined || !world.fleet.isSilent(machine)) return;
    world.fleet.connected(machine, now, generation);
    this.#heardAgain(machine, append, now);
    standing.takeUp(machine, labels, append, now);
  }

  #watchSilence(): void {
    const { world, clock, rollouts } = this.#loop;
    const now = clock.now();
    const { silentAfterMs } = world.fleet;
    // A controller that was held up itself, as with a suspended machine, knows nothing of anybody until all had time to speak again.
    if (now - this.#watchedAt > silentAfterMs / 2) this.#judgesFrom = (now + silentAfterMs) as Instant;
    this.#watchedAt = now;
    this.#loop.byItself("silence", () => {
      const overdue = now < this.#judgesFrom ? [] : world.fleet.overdue(now);
      if (overdue.length === 0) return;
      this.#loop.commit((append, now) => {
        const reason = { code: "silent", message: `nothing heard for ${Math.round(world.fleet.silentAfterMs / 1000)}s` } as const;
        for (const machine of overdue) {
          append({ kind: "machine_silent", machine });
          world.fleet.markSilent(machine, now);
          rollouts.noteWellness(machine);
          for (const state of rollouts.all()) rollouts.drive(state, { kind: "fell_silent", machine, reason }, append, now);
        }
      });
    });
    if (!this.#loop.isStopped) this.#cancelSilence = clock.wake((clock.now() + SILENCE_CHECK_MS) as Instant, () => this.#watchSilence());
  }

  /** One transaction, and so one flush of the disk, for all that agents said in one turn of the loop. */
  #share(take: Saying["take"]): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#said.length === 0) setImmediate(() => this.#takeSaid());
      this.#said.push({ take, resolve, reject });
    });
  }

  /** Of a machine that is known now, and may be no more when its turn comes. */
  async #shareOf(machine: MachineId, take: Saying["take"]): Promise<void> {
    let isGone = false;
    await this.#share((append, now) => {
      isGone = !this.#loop.facts.hasMachine(machine);
      if (!isGone) take(append, now);
    });
    if (isGone) throw new MachineGone(machine);
  }

  #takeSaid(): void {
    const batch = this.#said;
    this.#said = [];
    try {
      this.#loop.commit((append, now) => {
        for (const { take } of batch) take(append, now);
      });
      for (const { resolve } of batch) resolve();
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  #takeReport(report: ReportAccepted, append: Append, now: Instant): void {
    const { machine } = report;
    const taken = this.#intake.take(report, append, now);
    if (taken === "known") return;
    const generation = report.generation as Generation;
    this.#noteVoice(machine, generation, append, now);
    this.#loop.world.fleet.heard(machine, now, generation);
    if (taken === "taken") this.#followReport(report, append, now);
  }

  #followReport(report: ReportAccepted, append: Append, now: Instant): void {
    const { world, rollouts } = this.#loop;
    const { machine, app, phase, reason, runningVersion: runs } = report;
    const generation = report.generation as Generation;
    world.wellness.reported(machine, app, phase);
    rollouts.noteWellness(machine, app);
    const state = rollouts.told(app, machine, generation);
    if (state !== undefined) rollouts.drive(state, { kind: "reported", machine, generation, phase, reason, runs }, append, now);
    else this.#settleLate(report, append);
  }

  /** A machine that was under way or silent when its rollout ended says how it went: the record of that rollout is completed, nothing is decided. */
  #settleLate(report: ReportAccepted, append: Append): void {
    const { machine, app, phase, runningVersion: runs } = report;
    const target = this.#loop.facts.openTarget(report);
    if (target === undefined || this.#loop.rollouts.get(target.deployment) !== undefined) return;
    const to = targetStateOf(target, phase);
    if (to === undefined || to === "updating" || to === "reverting") return;
    append({ kind: "target_changed", deployment: target.deployment, app, machine, state: to, reason: to === "failed" ? report.reason : null, runs });
  }
}

/** Besides its labels. */
function isOther(known: MachineJoined, said: MachineJoined): boolean {
  return !isDeepStrictEqual(changedAgent(known), changedAgent(said));
}

function changedAgent({ machine, instance, agentVersion, hostname, os, arch }: MachineJoined): AgentChanged {
  return { kind: "agent_changed", machine, instance, agentVersion, hostname, os, arch };
}
