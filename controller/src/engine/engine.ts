/**
 * The loop: load → decide → commit → effects. Everything that changes anything goes through here, in one transaction each, with no await inside.
 *
 * Always holds: an effect (telling a machine, waking a watcher) runs after the commit of what caused it; a report is acknowledged after the commit that holds it;
 * when a transaction fails, memory is read again from the tables, so that it is never ahead of the disk.
 */
import { isDeepStrictEqual } from "node:util";
import { type AppName, type DeploymentId, type Generation, type Instant, type MachineId, releaseId } from "@muster/proto/ids.ts";
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { parseSelector, type Selector } from "@muster/proto/selector.ts";
import type { Logger } from "pino";
import type { Fleet } from "../fleet/fleet.ts";
import type { Entry, JournalRow, MachineJoined, ReportAccepted } from "../journal/entry.ts";
import type { Journal } from "../journal/journal.ts";
import { loadRollout } from "../journal/load.ts";
import { planRollout } from "../plan/plan.ts";
import { refusal, targetStateOf } from "../rollout/decide.ts";
import { newRollout, type RolloutState } from "../rollout/state.ts";
import { type Answer, conflict, granted, notFound } from "./refusal.ts";
import { Assignments } from "./assignments.ts";
import type { Clock } from "./clock.ts";
import { countMachines, selectMachines } from "./fleet-plan.ts";
import { Facts } from "./facts.ts";
import { type Append, Rollouts } from "./rollouts.ts";
import { differences, releaseExists, type Submission, type Submitted } from "./submission.ts";

export interface EngineOptions {
  readonly journal: Journal;
  readonly fleet: Fleet;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Tells a machine its assignment; may fail or be lost, since every heartbeat says the newest generation. */
  readonly tell: (assignment: Assignment) => void;
}

export type Command = "pause" | "resume" | "abort" | "rollback";

/** What one agent said, waiting for the transaction that it shares with all that came in the same turn of the loop. */
interface Saying {
  readonly take: (append: Append, now: Instant) => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** After a fault of the disk, the time until the engine tries by itself again. */
const RETRY_MS = 1000;
/** How finely silence is measured. */
const SILENCE_CHECK_MS = 500;

export class Engine {
  readonly #journal: Journal;
  readonly #fleet: Fleet;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #tell: (assignment: Assignment) => void;
  readonly #rollouts: Rollouts;
  readonly #assignments: Assignments;
  readonly #facts: Facts;
  readonly #listeners = new Set<(rows: readonly JournalRow[]) => void>();
  #said: Saying[] = [];
  #cancelWake: (() => void) | undefined;
  #cancelSilence: (() => void) | undefined;
  #stopped = false;

  constructor({ journal, fleet, clock, logger, tell }: EngineOptions) {
    this.#journal = journal;
    this.#fleet = fleet;
    this.#clock = clock;
    this.#logger = logger;
    this.#tell = tell;
    this.#rollouts = new Rollouts(journal, fleet);
    this.#assignments = new Assignments(journal);
    this.#facts = new Facts(journal.db);
    this.#reload();
  }

  /** Takes up what an earlier run left, and begins to watch the time. */
  start(): void {
    this.#watchSilence();
    this.#tick();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelWake?.();
    this.#cancelSilence?.();
  }

  // What agents say.

  /** A session began. Resolves to the newest report sequence of this instance that is stored. */
  async hello(said: MachineJoined, generation: number): Promise<number> {
    const { machine, instance } = said;
    const isNews = !isDeepStrictEqual(this.#facts.machine(machine), said);
    if (isNews || this.#fleet.isSilent(machine)) {
      await this.#share((append, now) => {
        if (isNews) append(said);
        const wasSilent = this.#fleet.isSilent(machine);
        this.#fleet.connected(machine, now, generation);
        if (!wasSilent) return;
        append({ kind: "machine_heard", machine });
        for (const state of [...this.#rollouts.active()]) this.#rollouts.drive(state, { kind: "heard_again", machine }, append, now);
      });
    }
    this.#fleet.connected(machine, this.#clock.now(), generation);
    return this.#facts.acknowledgedSeq(machine, instance);
  }

  /** Returns the newest generation for the machine. */
  heartbeat(machine: MachineId, generation: Generation): Generation {
    this.#fleet.heard(machine, this.#clock.now(), generation);
    return this.#assignments.generation(machine);
  }

  sessionEnded(machine: MachineId): void {
    this.#fleet.disconnected(machine, this.#clock.now());
  }

  /** Resolves when all are on disk. */
  report(reports: readonly ReportAccepted[]): Promise<void> {
    return this.#share((append, now) => {
      for (const report of reports) this.#takeReport(report, append, now);
    });
  }

  assignmentFor(machine: MachineId): Assignment | undefined {
    return this.#assignments.of(machine);
  }

  /** The way to the machines was cut and is back: tells those that have not said that they have their newest assignment. */
  tellAgain(): void {
    for (const { machine, generation } of this.#assignments.newest()) {
      const { presence, acknowledgedGeneration } = this.#fleet.presence(machine);
      if (presence === "connected" && acknowledgedGeneration < generation) this.#tellMachine(machine);
    }
  }

  // What operators ask.

  recordArtifact(stored: Extract<Entry, { kind: "artifact_stored" }>): void {
    if (this.hasArtifact(stored.artifact)) return;
    this.#commit((append) => append(stored));
  }

  hasArtifact(digest: string): boolean {
    return this.#facts.hasArtifact(digest);
  }

  /** Refuses what can't be carried out. A release without an artifact is judged by all the rest: so it can be asked before that is sent. */
  check({ app, release, strategy, selector }: Submission): Answer<void> {
    const id = releaseId(app, release.version);
    const stored = this.#facts.release(id);
    const differing = stored === undefined ? undefined : differences(stored, release.artifact === "" ? { ...release, artifact: stored.artifact } : release);
    if (differing !== undefined) return conflict(releaseExists(id, differing));
    const selected = selectMachines(this.#journal, app, selector, id).length;
    if (selected === 0) return conflict(`rollout.targets "${strategy.targets}" selects none of the ${countMachines(this.#journal)} machines; muster machines lists them with their labels`);
    return granted(undefined);
  }

  /** Creates the release, if it is new, and the deployment; begins it unless another of the app is under way. */
  submit(submission: Submission): Answer<Submitted> {
    const { app, release, strategy } = submission;
    const checked = this.check(submission);
    if (!checked.ok) return checked;
    if (!this.hasArtifact(release.artifact)) return notFound(`the artifact ${release.artifact.slice(0, 12)} is not stored; push it first`);
    const id = releaseId(app, release.version);

    const notes: string[] = [];
    const deployment = this.#commit((append, now) => {
      if (this.#facts.release(id) === undefined) append({ kind: "release_created", id, app, release });
      const deployment = this.#facts.nextDeploymentId();
      append({ kind: "deployment_submitted", deployment, app, release: id, strategy });
      const rivals = this.#rollouts.ofApp(app);
      this.#rollouts.add(newRollout({ id: deployment, app, release: id, strategy }, now));
      if (strategy.onConflict === "supersede") {
        const reason = { code: "superseded", message: `${deployment} (${id}) took its place` } as const;
        for (const rival of rivals) this.#rollouts.drive(rival, { kind: "supersede", reason }, append, now);
      } else if (rivals.length > 0) {
        notes.push(`waits for ${rivals.map((rival) => `${rival.id} (${rival.release}, ${rival.phase})`).join(", ")} to end`);
      }
      return deployment;
    });
    return granted({ deployment, notes });
  }

  command(id: DeploymentId, command: Command, why: string): Answer<void> {
    const state = this.#rollouts.get(id) ?? loadRollout(this.#journal, id);
    if (state === undefined) return notFound(`there is no deployment ${id}`);
    const refused = refusal(state, command) ?? (command === "rollback" ? this.#overtaken(state) : undefined);
    if (refused !== undefined) return conflict(`${id} can't be ${DONE[command]}: ${refused}`);
    this.#commit((append, now) => {
      this.#rollouts.add(state);
      append({ kind: "command_accepted", deployment: id, command, reason: why });
      const reason = { code: "operator", message: `an operator ${DID[command]}${why === "" ? "" : `: ${why}`}` } as const;
      this.#rollouts.drive(state, { kind: command, reason }, append, now);
    });
    return granted(undefined);
  }

  // What watchers see.

  rollout(id: DeploymentId): RolloutState | undefined {
    return this.#rollouts.get(id);
  }

  /** What a pending deployment waits for; undefined when none of its app is before it. */
  aheadOf(state: RolloutState): RolloutState | undefined {
    const ofApp = this.#rollouts.ofApp(state.app);
    return ofApp.find((other) => other.phase !== "pending") ?? ofApp[ofApp.indexOf(state) - 1];
  }

  /** Called with the rows of each commit, in order. Returns a function that ends it. */
  onCommit(listener: (rows: readonly JournalRow[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  // The loop.

  #commit<T>(work: (append: Append, now: Instant) => T): T {
    const now = this.#clock.now();
    const rows: JournalRow[] = [];
    const append = (entry: Entry): JournalRow => {
      const row = this.#journal.append(entry, now);
      rows.push(row);
      return row;
    };
    let result: T;
    try {
      result = this.#journal.transaction(() => {
        const done = work(append, now);
        this.#startPending(append, now);
        return done;
      });
    } catch (error) {
      this.#reload();
      throw error;
    }
    this.#afterCommit(rows);
    return result;
  }

  #afterCommit(rows: readonly JournalRow[]): void {
    const told = new Set<MachineId>();
    for (const { entry } of rows) if (entry.kind === "target_assigned") told.add(entry.machine);
    for (const machine of told) this.#tellMachine(machine);
    if (rows.length > 0) for (const listener of this.#listeners) listener(rows);
    this.#arm();
  }

  #tellMachine(machine: MachineId): void {
    const assignment = this.#assignments.of(machine);
    if (assignment !== undefined) this.#tell(assignment);
  }

  #arm(): void {
    this.#cancelWake?.();
    this.#cancelWake = undefined;
    if (this.#stopped) return;
    const next = this.#rollouts.hasUnfinished ? this.#clock.now() : this.#rollouts.nextDeadline();
    if (next !== undefined) this.#cancelWake = this.#clock.wake(next, () => this.#tick());
  }

  #tick(): void {
    this.#byItself("time", () => this.#commit((append, now) => this.#rollouts.goOn(append, now)));
  }

  #watchSilence(): void {
    this.#byItself("silence", () => {
      const overdue = this.#fleet.overdue(this.#clock.now());
      if (overdue.length === 0) return;
      this.#commit((append, now) => {
        const reason = { code: "silent", message: `nothing heard for ${Math.round(this.#fleet.silentAfterMs / 1000)}s` } as const;
        for (const machine of overdue) {
          append({ kind: "machine_silent", machine });
          this.#fleet.markSilent(machine, now);
          for (const state of [...this.#rollouts.active()]) this.#rollouts.drive(state, { kind: "fell_silent", machine, reason }, append, now);
        }
      });
    });
    if (!this.#stopped) this.#cancelSilence = this.#clock.wake((this.#clock.now() + SILENCE_CHECK_MS) as Instant, () => this.#watchSilence());
  }

  /** One transaction, and so one flush of the disk, for all that agents said in one turn of the loop. */
  #share(take: Saying["take"]): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#said.length === 0) setImmediate(() => this.#takeSaid());
      this.#said.push({ take, resolve, reject });
    });
  }

  #takeSaid(): void {
    const batch = this.#said;
    this.#said = [];
    try {
      this.#commit((append, now) => {
        for (const { take } of batch) take(append, now);
      });
      for (const { resolve } of batch) resolve();
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  #takeReport(report: ReportAccepted, append: Append, now: Instant): void {
    if (report.reportSeq <= this.#facts.acknowledgedSeq(report.machine, report.instance)) return;
    append(report);
    const { machine, phase, reason } = report;
    const generation = report.generation as Generation;
    this.#fleet.heard(machine, now, generation);
    const state = this.#rollouts.ofApp(report.app).find((rollout) => rollout.targets.get(machine)?.generation === generation);
    if (state !== undefined) this.#rollouts.drive(state, { kind: "reported", machine, generation, phase, reason }, append, now);
    else this.#settleLate(report, append);
  }

  /** A machine that was under way or silent when its rollout ended says how it went: the record of that rollout is completed, nothing is decided. */
  #settleLate(report: ReportAccepted, append: Append): void {
    const { machine, app, phase } = report;
    const target = this.#facts.openTarget(report);
    if (target === undefined || this.#rollouts.get(target.deployment) !== undefined) return;
    const to = targetStateOf(target, phase);
    if (to === undefined || to === "updating" || to === "reverting") return;
    append({ kind: "target_changed", deployment: target.deployment, app, machine, state: to, reason: to === "failed" ? report.reason : null });
  }

  /** Begins the oldest pending deployment of an app when none of it is under way. */
  #startNext(app: AppName, append: Append, now: Instant): void {
    for (;;) {
      const ofApp = this.#rollouts.ofApp(app);
      const next = ofApp[0];
      if (next === undefined || ofApp.some((state) => state.phase !== "pending")) return;
      const machines = selectMachines(this.#journal, app, parsedSelector(next.strategy.targets), next.release);
      this.#rollouts.drive(next, { kind: "start", plan: planRollout(next.strategy, machines) }, append, now);
    }
  }

  /** Whatever a transaction did may have ended a rollout that others wait for. */
  #startPending(append: Append, now: Instant): void {
    for (const state of [...this.#rollouts.active()]) if (state.phase === "pending") this.#startNext(state.app, append, now);
  }

  /** Taking back what a later deployment has changed again would take that back too. */
  #overtaken({ id, app }: RolloutState): string | undefined {
    const later = this.#facts.laterDeployment(app, id);
    return later === undefined ? undefined : `${later} of ${app} has been carried out since; roll that back instead`;
  }

  /** Work that nobody waits for: a fault is logged, and it is tried again. */
  #byItself(what: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#logger.error({ err: error, what }, "engine could not commit");
      if (!this.#stopped) this.#cancelWake = this.#clock.wake((this.#clock.now() + RETRY_MS) as Instant, () => this.#tick());
    }
  }

  #reload(): void {
    const now = this.#clock.now();
    for (const { id, silent_since } of this.#facts.machines()) this.#fleet.restore(id, now, silent_since);
    this.#rollouts.reload();
    this.#arm();
  }
}

const DID: Readonly<Record<Command, string>> = { pause: "paused it", resume: "resumed it", abort: "aborted it", rollback: "rolled it back" };
const DONE: Readonly<Record<Command, string>> = { pause: "paused", resume: "resumed", abort: "aborted", rollback: "rolled back" };

function parsedSelector(text: string): Selector {
  const parsed = parseSelector(text);
  if (!parsed.ok) throw new Error(`the journal holds the selector "${text}", which can't be read: ${parsed.message}`);
  return parsed.selector;
}
