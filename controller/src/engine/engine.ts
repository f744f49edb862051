/**
 * The engine: what agents say comes in here, and machines that say nothing are noticed. Operators have their own door (operators.ts).
 *
 * Always holds: a report is acknowledged after the commit that holds it.
 */
import { isDeepStrictEqual } from "node:util";
import type { AppName, DeploymentId, Digest, Generation, MachineId } from "@muster/proto/ids.ts";
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { AgentRefusal } from "../fleet/fleet.ts";
import type { AgentChanged, JournalRow, MachineJoined, ReportAccepted } from "../journal/entry.ts";
import { targetStateOf } from "../rollout/decide.ts";
import { type RolloutState, wentBack } from "../rollout/state.ts";
import type { Moment } from "../rollout/moment.ts";
import { timeText, waitingOn } from "../rollout/words.ts";
import type { Seen } from "./attendance.ts";
import type { Now } from "./deployments-now.ts";
import { Archiving } from "./archiving.ts";
import type { Remedies } from "./comebacks.ts";
import { auditMemory } from "./audit.ts";
import { FleetOrders } from "./fleet-orders.ts";
import { Loop, type LoopOptions } from "./loop.ts";
import { Operators } from "./operators.ts";
import { Outlook } from "./outlook.ts";
import { ofRollout, ofRolloutOr } from "./own-bug.ts";
import { HelloOverBudget } from "./refusal.ts";
import { ReportIntake } from "./report-intake.ts";
import { Retention } from "./retention.ts";
import type { Append } from "./rollouts.ts";
import { HELLO_WEIGHT, Said } from "./said.ts";
import { nextToStart } from "./starts.ts";
import { Voices } from "./voices.ts";
import { Watch } from "./watch.ts";

export type EngineOptions = LoopOptions;

/** Machines whose newest generation is looked up in one turn when the way to them is back. */
const TOLD_AGAIN_PER_TURN = 100;

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
  readonly #said: Said;
  readonly #watch: Watch;
  #cancelTelling: (() => void) | undefined;
  readonly #voices: Voices;

  constructor(options: EngineOptions) {
    this.#loop = new Loop(options);
    this.#watch = new Watch(this.#loop);
    this.#voices = new Voices(this.#loop, (machine, generation) => this.#shareVoice(machine, generation));
    this.#intake = new ReportIntake(this.#loop, options.logger, (report, append, now) => this.#followReport(report, append, now));
    this.#said = new Said(this.#loop, this.#intake);
    this.operators = new Operators(this.#loop);
    this.orders = new FleetOrders(this.#loop);
    this.outlook = new Outlook(this.#loop, this.operators);
    this.retention = new Retention(this.#loop);
    this.archiving = new Archiving(this.#loop, options.logger, () => this.retention.rule().stepsForMs);
  }

  /** Takes up what an earlier run left, and begins to watch the time. */
  start(): void {
    this.#loop.start();
    this.#watch.start();
    this.#intake.start();
    this.retention.start();
    this.archiving.start();
  }

  stop(): void {
    this.#loop.stop();
    this.#cancelTelling?.();
    this.#voices.stop();
    this.#intake.stop();
    this.retention.stop();
    this.#watch.stop();
    this.archiving.stop();
  }

  // What agents say.

  /**
   * A session began. Resolves to the newest report sequence of this instance that is stored. The labels are taken of a new machine alone; afterwards they change when an
   * operator says so. `newestPending`: the newest report that the agent has kept; 0: it has none to send. Rejects with HelloOverBudget when the agent was another too often.
   */
  async hello(said: MachineJoined, generation: number, newestPending = 0): Promise<number> {
    const { facts, world, attendance } = this.#loop;
    const { machine, instance } = said;
    const known = facts.machine(machine);
    // Heard counts even if the commit fails.
    world.heard(machine, attendance.hearing());
    const isNews = known !== undefined && isOther(known, said);
    if (isNews && !this.#intake.spend(machine, this.#loop.clock.now())) throw new HelloOverBudget(machine);
    const didOwe = world.owes(machine);
    world.owed.just(machine, newestPending > this.#storedOf(machine, instance) ? newestPending : 0);
    const isSettled = didOwe && !world.owes(machine);
    if (known === undefined) await this.#said.take((append, now) => this.#introduce(said, generation, append, now), HELLO_WEIGHT);
    else if (world.isSilent(machine) || isNews || isSettled) await this.#takeHello(said, generation);
    world.connected(machine, attendance.hearing(), generation);
    attendance.heard(machine);
    this.#endCatchingUp();
    return this.#intake.acknowledgedSeq(machine, instance);
  }

  /** `refusal`: what the agent does not believe now. `owed`: the newest report that it has kept, when that is not stored yet. Returns the newest generation for the machine. */
  heartbeat(machine: MachineId, generation: Generation, { refusal, owed = 0 }: { readonly refusal?: AgentRefusal | undefined; readonly owed?: number } = {}): Generation {
    const { world, attendance, assignments } = this.#loop;
    if (owed > 0) world.owed.note(machine, owed);
    if (world.isSilent(machine)) this.#shareVoice(machine, generation);
    const now = attendance.now();
    world.heard(machine, attendance.hearing(), generation);
    world.refuses(machine, now.at, refusal);
    attendance.heard(machine);
    this.#endCatchingUp();
    return assignments.generation(machine);
  }

  /** How many apps of a machine have a report that waits, since the app is over its budget of reports there. */
  heldReports(machine: MachineId): number {
    return this.#loop.journal.reports.heldCount(machine);
  }

  sessionEnded(machine: MachineId): void {
    this.#loop.world.disconnected(machine, this.#loop.clock.now());
  }

  /** All of one machine. Resolves when they are on disk; rejects with MachineGone when it has been removed. */
  async report(reports: readonly ReportAccepted[]): Promise<void> {
    const last = reports.at(-1);
    if (last === undefined) return;
    const { world, attendance } = this.#loop;
    const { machine } = last;
    // Heard counts even if the commit fails; until it succeeds, the machine owes these reports.
    world.heard(machine, attendance.hearing());
    const didOwe = world.owes(machine);
    world.owed.note(machine, last.reportSeq);
    try {
      await this.#said.takeOf(machine, (append, now) => this.#takeReports(reports, last, didOwe, append, now), reports.length);
    } catch (error) {
      if (world.has(machine)) world.owed.note(machine, last.reportSeq);
      throw error;
    }
    attendance.heard(machine);
    this.#endCatchingUp();
  }

  assignmentFor(machine: MachineId): Assignment | undefined {
    return this.#loop.assignments.of(machine);
  }

  /** Of all that the machine was assigned, and of what was confirmed there; 0: nothing yet. */
  newestGeneration(machine: MachineId): Generation {
    return this.#loop.assignments.generation(machine);
  }

  /** Whether the machine should run a release of this artifact. */
  isAssigned(machine: MachineId, artifact: Digest): boolean {
    return this.#loop.assignments.names(machine, artifact);
  }

  /** After the connection to the machines was cut: tells each connected machine that has not acknowledged its newest assignment. */
  tellAgain(): void {
    const { world, assignments, clock } = this.#loop;
    const machines = [...world.fleet.present()];
    const tell = (from: number): void => {
      const to = from + TOLD_AGAIN_PER_TURN;
      for (const machine of machines.slice(from, to)) {
        const { presence, acknowledgedGeneration } = world.fleet.presence(machine);
        if (presence === "connected" && acknowledgedGeneration < assignments.generation(machine)) this.#loop.tellMachine(machine);
      }
      this.#cancelTelling = to < machines.length && !this.#loop.isStopped ? clock.wakeAfter(0, () => tell(to)) : undefined;
    };
    this.#cancelTelling?.();
    tell(0);
  }

  // What watchers see.

  /** A rollout in memory: it has not ended, or machines still start in its tail. */
  rollout(id: DeploymentId): RolloutState | undefined {
    return this.#loop.rollouts.get(id);
  }

  /** What a deployment waits for, in words; undefined when it has ended. */
  waitingOn(id: DeploymentId): string | undefined {
    const state = this.#loop.rollouts.get(id);
    if (state === undefined) return undefined;
    const waiting = this.#waitingOn(state);
    const stopped = this.#stopped();
    if (waiting === undefined || stopped === undefined || state.phase === "paused") return waiting;
    // While no time counts, nobody can say when the hold ends.
    const until = state.hold?.until ?? null;
    const then = until === null ? waiting : waiting.replace(` at ${timeText(until)}`, "");
    return `${stopped}; then ${then}`;
  }

  /** What every rollout waits for while no time counts; undefined: it does. */
  #stopped(): string | undefined {
    const { catchingUp } = this;
    if (this.#loop.attendance.isUnwritten) return "the disk of the controller to take writes again: free some space on it, if it is full";
    return catchingUp === undefined ? undefined : `all machines to be heard since the controller was away (${catchingUp.heard} of ${catchingUp.total} so far)`;
  }

  /** How many machines have been heard since the controller was away, while the others are to be heard first and no time counts; undefined: it attends. No row tells it. */
  get catchingUp(): { readonly heard: number; readonly total: number } | undefined {
    const { attendance } = this.#loop;
    return attendance.isCatchingUp ? attendance.progress : undefined;
  }

  #waitingOn(state: RolloutState): string | undefined {
    const wait = (): string | undefined => (state.phase === "pending" ? this.#waitsToBegin(state) : undefined) ?? waitingOn(state, this.#loop.attendance.now());
    return ofRolloutOr(state.id, wait, ({ message }) => `a fault of the controller itself to be mended (${message})`);
  }

  #waitsToBegin(state: RolloutState): string | undefined {
    const waiting = this.#loop.waiting(state)?.message;
    if (waiting !== undefined) return waiting;
    // Of several that nothing keeps, one is the first.
    const first = nextToStart(this.#loop.rollouts.ofApp(state.app), (other) => ofRollout(other.id, () => this.#loop.waiting(other)));
    return first === undefined || first === state ? undefined : `${first.id} (${first.release}) to begin first`;
  }

  /** How the machines are now that a deployment decided about. */
  nowOf(id: DeploymentId): Now {
    return this.#loop.world.nowOf(id);
  }

  /** The machine is heard, and its time to answer for what it was assigned of the app is over. */
  isOverdue(machine: MachineId, app: AppName): boolean {
    return this.#loop.world.availabilities.isOverdue(machine, app);
  }

  /** Why machines that come late do not get the release of a deployment that has succeeded; undefined: they do. */
  unsound(id: DeploymentId): string | undefined {
    return this.#loop.lateWait(id);
  }

  /** Which commands would mend a deployment that went wrong. */
  remedies(id: DeploymentId): Promise<Remedies> {
    return this.operators.comebacks.remedies(id);
  }

  /** For tests: what memory holds of machines that a reload would not, in words; undefined: nothing. */
  audit(): string | undefined {
    const { world, rollouts, facts, attendance } = this.#loop;
    return auditMemory(world, rollouts.all(), facts, attendance.now());
  }

  /** Called with the rows of each commit, in order. Returns a function that ends it. */
  onCommit(listener: (rows: readonly JournalRow[]) => void): () => void {
    return this.#loop.onCommit(listener);
  }

  /** Attends again once every awaited machine has caught up. */
  #endCatchingUp(): void {
    const { attendance } = this.#loop;
    if (attendance.isCatchingUp && attendance.hasHeardAll) this.#loop.attend();
  }

  /** What a known machine said before may have been another disk's: until its hello is written it vouches for nothing. */
  async #takeHello(said: MachineJoined, generation: number): Promise<void> {
    const { world } = this.#loop;
    const { machine, instance } = said;
    const isTaken = world.owed.awaitHello(machine);
    const take = (append: Append, now: Seen): void => {
      isTaken();
      // What was on its way when the hello came may have been stored since.
      if (!world.owed.has(machine, this.#storedOf(machine, instance))) world.owed.settle(machine);
      this.#introduce(said, generation, append, now);
    };
    try {
      await this.#said.takeOf(machine, take, HELLO_WEIGHT);
    } catch (error) {
      this.#failHello(machine, generation, error);
    } finally {
      isTaken();
    }
  }

  /** The newest report of this instance of the agent that is stored. */
  #storedOf(machine: MachineId, instance: string): number {
    const known = this.#loop.facts.machine(machine);
    return known !== undefined && known.instance !== instance ? 0 : this.#intake.acknowledgedSeq(machine, instance);
  }

  #introduce(said: MachineJoined, generation: number, append: Append, now: Seen): void {
    const { facts, world, rollouts, catchUp } = this.#loop;
    const { machine } = said;
    const known = facts.machine(machine);
    if (known === undefined) {
      append(said);
      world.labelled(machine, said.labels);
    } else if (isOther(known, said)) append(changedAgent(said));
    if (known !== undefined && known.instance !== said.instance) this.#beganAnew(machine, append, now);
    if (world.isSilent(machine)) this.#heardAgain(machine, generation, append, now);
    else world.connected(machine, this.#loop.attendance.hearing(), generation);
    if (!world.owes(machine)) rollouts.answerAgain(machine, append, now);
    catchUp.look(machine);
  }

  /**
   * A new instance of the agent remembers none of its answers, and reports each app again. What the one before has said is forgotten, and so is that it was acknowledged: the hello may be one that was long on its way, or
   * the two may take turns, and an agent that hears that less is acknowledged than it knows says everything again. Else its answers would be missing for good, and its targets fail though they run well.
   */
  #beganAnew(machine: MachineId, append: Append, now: Seen): void {
    const { rollouts, world, journal } = this.#loop;
    journal.reports.forget(machine);
    world.beganAnew(machine, now.attended);
    // A drained machine reports again when its drain ends.
    if (world.isDrained(machine)) return;
    for (const state of rollouts.active()) if (state.targets.has(machine)) rollouts.drive(state, { kind: "began_anew", machine }, append, now);
  }

  /** While the machine owes reports, its last answer may be out of date, and is not used. */
  #heardAgain(machine: MachineId, generation: number, append: Append, now: Seen): void {
    const { rollouts, world, catchUp } = this.#loop;
    const isComplete = !world.owes(machine);
    append({ kind: "machine_heard", machine });
    world.heardAgain(machine, now, generation);
    for (const state of rollouts.active()) {
      if (!state.targets.has(machine)) continue;
      rollouts.drive(state, { kind: "heard_again", machine, answer: isComplete ? world.availabilities.answerOf(machine, state.app) : undefined, wasRenewed: false }, append, now);
      // An uncordon while the machine was lost had no effect then.
      if (isKeptByCordon(state, machine) && !world.isCordoned(machine)) rollouts.drive(state, { kind: "uncordoned", machine }, append, now);
    }
    // Catching up sees to the rollouts that have ended.
    catchUp.look(machine);
  }

  #shareVoice(machine: MachineId, generation: Generation): void {
    this.#said.take((append, now) => this.#noteVoice(machine, generation, append, now), HELLO_WEIGHT).catch(() => this.#voices.keep(machine, generation));
  }

  /** The hello was not written, and the agent may be slow to repeat it: that the machine was heard is kept, and tried again. */
  #failHello(machine: MachineId, generation: number, error: unknown): never {
    if (this.#loop.facts.hasMachine(machine)) {
      this.#voices.keep(machine, generation as Generation);
      this.#loop.world.owed.note(machine, Infinity);
    }
    throw error;
  }

  /** A silent machine whose session is still there says no hello: any other sign of life ends its silence. */
  #noteVoice(machine: MachineId, generation: Generation, append: Append, now: Seen): void {
    const { world, facts } = this.#loop;
    if (facts.hasMachine(machine) && world.isSilent(machine)) this.#heardAgain(machine, generation, append, now);
  }

  /** `didOwe`: the machine owed reports before these came. */
  #takeReports(reports: readonly ReportAccepted[], last: ReportAccepted, didOwe: boolean, append: Append, now: Seen): void {
    const { world, rollouts, catchUp, attendance } = this.#loop;
    const { machine } = last;
    const wasSilent = world.isSilent(machine);
    this.#noteVoice(machine, last.generation as Generation, append, now);
    for (const report of reports) {
      const taken = this.#intake.take(report, append, now.at);
      if (taken !== "known") world.heard(machine, attendance.hearing(), report.generation as Generation);
      if (taken === "taken") this.#followReport(report, append, now);
    }
    if (world.owed.has(machine, last.reportSeq)) return;
    world.owed.settle(machine);
    if (!didOwe && !wasSilent) return;
    rollouts.answerAgain(machine, append, now);
    catchUp.look(machine);
  }

  #followReport(report: ReportAccepted, append: Append, now: Moment): void {
    const { world, rollouts } = this.#loop;
    const { machine, app, phase, reason, runningVersion: runs } = report;
    const generation = report.generation as Generation;
    world.reported(machine, app, generation, phase, now.attended);
    const told = rollouts.told(app, machine, generation);
    if (told !== undefined && this.#isOthersByNow(told.state, machine)) return;
    if (told !== undefined) rollouts.drive(told.state, { kind: "reported", machine, generation: told.generation, phase, reason, runs }, append, now);
    else this.#settleLate(report, append, now);
  }

  /** The target was lost when its rollout went back, and the newest decision about its machine is another deployment's. */
  #isOthersByNow(state: RolloutState, machine: MachineId): boolean {
    if (!wentBack(state) || state.targets.get(machine)?.state !== "unreachable") return false;
    return this.#loop.catchUp.newestDecision(machine, state.app)?.deployment !== state.id;
  }

  /**
   * A machine that was under way or silent when its rollout ended says how it went: the record of that rollout is completed, and nothing is decided. But a rollout that went back takes its
   * machines back whenever they are heard.
   */
  #settleLate(report: ReportAccepted, append: Append, now: Moment): void {
    const { machine, app, phase, reason, runningVersion: runs } = report;
    const { facts, rollouts, catchUp, quarantine } = this.#loop;
    const target = facts.openTarget(report);
    if (target === undefined || rollouts.get(target.deployment) !== undefined) return;
    // The newest decision about the machine is another deployment's.
    if (target.goesBack === 1 && catchUp.newestDecision(machine, app)?.deployment !== target.deployment) return;
    const state = target.goesBack === 1 && !quarantine.has(target.deployment) ? rollouts.takeUp(target.deployment) : undefined;
    if (state !== undefined) return rollouts.drive(state, { kind: "reported", machine, generation: target.generation, phase, reason, runs }, append, now);
    const to = targetStateOf(target, phase);
    // That it has gone back by itself comes after its failure.
    const isMore = phase === "reverted" && reason !== null && reason.message !== target.message;
    const isKnown = to === target.state && target.reason !== "no_answer" && !isMore;
    if (to === undefined || isKnown || to === "updating" || to === "reverting") return;
    append({ kind: "target_changed", deployment: target.deployment, app, machine, state: to, reason: to === "failed" ? reason : null, runs });
  }
}

function isKeptByCordon({ targets }: RolloutState, machine: MachineId): boolean {
  const target = targets.get(machine);
  return target?.state === "skipped" && target.reason?.code === "cordoned";
}

/** The agent differs from what is known, in more than its labels. */
function isOther(known: MachineJoined, said: MachineJoined): boolean {
  return !isDeepStrictEqual(changedAgent(known), changedAgent(said));
}

function changedAgent({ machine, instance, agentVersion, hostname, os, arch }: MachineJoined): AgentChanged {
  return { kind: "agent_changed", machine, instance, agentVersion, hostname, os, arch };
}
