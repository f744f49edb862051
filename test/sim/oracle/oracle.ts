/**
 * Judges a run by what happened on the hosts and by what people asked for. It reads the journal as an operator reads it, for what was ordered and what the controller says that
 * it did; whether that was right it works out from the hosts alone.
 */
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import type { Question, Verdict } from "@muster/controller/src/gates/verdict.ts";
import type { JournalRow } from "@muster/controller/src/journal/entry.ts";
import type { Attention } from "../attention.ts";
import type { Timeline } from "../clock.ts";
import { SILENT_AFTER_MS, type SimController } from "../controller.ts";
import type { Desk } from "../desk.ts";
import type { Machine } from "../machine.ts";
import { type ByKind, dispatch } from "../rows.ts";
import type { Releases } from "../releases.ts";
import type { Invariant } from "../violation.ts";
import { Answers } from "./answers.ts";
import { Availability } from "./availability.ts";
import { Causes } from "./causes.ts";
import type { Court } from "./court.ts";
import { Gates } from "./gates.ts";
import { GoingBack } from "./going-back.ts";
import { Hosts, LAG_MS } from "./hosts.ts";
import { Orders } from "./orders.ts";
import { Outside } from "./outside.ts";
import { Passing } from "./passing.ts";
import { type Decision, type Deployment, type Phase, Record } from "./record.ts";
import { Silence } from "./silence.ts";
import { Timing } from "./timing.ts";

/** Virtual time between two looks at what nobody says anything about. */
const LOOK_MS = 2_000;
const ORDERS: readonly JournalRow["entry"]["kind"][] = ["command_accepted", "deployment_submitted", "machine_cordoned", "machine_uncordoned", "machine_labelled", "machine_removed", "budget_set", "budget_removed", "freeze_added", "freeze_ended", "retention_set"];

export interface OracleOptions {
  readonly machines: ReadonlyMap<MachineId, Machine>;
  readonly timeline: Timeline;
  readonly attention: Attention;
  readonly hearing: Attention;
  readonly releases: Releases;
  readonly controller: SimController;
  readonly complain: (invariant: Invariant, what: string) => void;
}

export class Oracle {
  readonly #court: Court;
  readonly #desk: Desk;
  readonly #answers: Answers;
  readonly #availability: Availability;
  readonly #causes: Causes;
  readonly #gates: Gates;
  readonly #goingBack: GoingBack;
  readonly #orders: Orders;
  readonly #passing: Passing;
  readonly #silence: Silence;
  readonly #timing: Timing;
  /** Judged when the moment is over. */
  #pending: (() => void)[] = [];
  readonly #decisions = new Map<number, Decision>();
  /** `deployment/wave/gate` to when it was reached. */
  readonly #reached = new Map<string, number>();
  #lookAt = 0;
  /** Before the row that is being read: of its deployment, and of its machine and app. */
  #was: { readonly phase: Phase; readonly since: number } = { phase: "pending", since: 0 };
  #before: Decision | undefined;
  readonly #handlers: ByKind = {
    machine_silent: ({ machine }) => {
      if (!this.#court.record.machines.has(machine)) return this.#court.complain("removed_is_left", `${machine} is called silent, and was removed from the fleet`);
      this.#silence.fellSilent(machine, this.#desk.hasAsked("machine_cordoned"));
    },
    machine_cordoned: ({ machine }) => this.#leaves(machine),
    machine_removed: ({ machine }) => {
      this.#leaves(machine);
      this.#goingBack.forget(machine);
      this.#pending.push(() => this.#orders.removed(machine));
    },
    // Another disk, which remembers nothing, or another agent on the same one.
    agent_changed: ({ machine }) => this.#goingBack.forget(machine),
    rollout_started: ({ deployment }) => {
      this.#orders.began(this.#of(deployment));
      if (this.#court.record.waysBack.has(deployment)) this.#goingBack.beginsBack(this.#of(deployment));
    },
    target_assigned: ({ deployment, machine }, seq) => this.#decided(this.#of(deployment), machine, seq),
    target_changed: ({ deployment, machine, state }) => {
      this.#answers.judged(this.#of(deployment), machine, state);
      if (state !== "removed" && !this.#court.record.machines.has(machine)) this.#court.complain("removed_is_left", `${machine} is ${state} in ${deployment}, and was removed from the fleet`);
    },
    gate_reached: ({ deployment, wave, gate, waitedSince, isAnew }) => {
      this.#gates.reached(this.#of(deployment), wave, gate, isAnew === true);
      const key = `${deployment}/${wave}/${gate}`;
      // What was waited for may be of another wave, whose hosts it does not ask about.
      if (waitedSince === undefined || !this.#reached.has(key)) this.#reached.set(key, this.#court.hosts.now);
    },
    gate_opened: ({ deployment, wave, gate }) => {
      const reachedAt = this.#reached.get(`${deployment}/${wave}/${gate}`) ?? this.#court.hosts.now;
      this.#gates.opened(this.#of(deployment), wave, gate);
      this.#pending.push(() => this.#passing.gateOpened(this.#of(deployment), wave, gate, reachedAt));
      this.#pending.push(() => this.#timing.goesOn(this.#of(deployment), wave, `opens gate ${gate + 1} of wave ${wave + 1}`));
    },
    gate_stopped: ({ deployment, wave, gate }) => this.#gates.stopped(this.#of(deployment), wave, gate),
    target_let_go: ({ deployment, machine, why }) => this.#answers.letGo(this.#of(deployment), machine, why),
    wave_started: ({ deployment, wave }) => this.#orders.waveBegan(this.#of(deployment), wave),
    wave_finished: ({ deployment: id, wave }) => {
      const deployment = this.#of(id);
      this.#pending.push(() => this.#passing.waveFinished(deployment, wave));
      this.#pending.push(() => this.#timing.goesOn(deployment, wave, `finishes wave ${wave + 1}`));
      this.#goingBack.confirmed(deployment, deployment.waves[wave]!.machines);
    },
    phase_changed: ({ deployment, phase }) => this.#phaseChanged(this.#of(deployment), phase),
  };

  constructor({ machines, timeline, attention, hearing, releases, controller, complain }: OracleOptions, desk: Desk) {
    const court: Court = { hosts: new Hosts(machines, timeline, attention, hearing), record: new Record(), outside: new Outside(), releases, controller, complain };
    this.#court = court;
    this.#desk = desk;
    this.#answers = new Answers(court);
    this.#availability = new Availability(court);
    this.#causes = new Causes(court);
    this.#gates = new Gates(court);
    this.#goingBack = new GoingBack(court);
    this.#orders = new Orders(court);
    this.#passing = new Passing(court);
    this.#silence = new Silence(court);
    this.#timing = new Timing(court, (generation) => this.#decisions.get(generation));
  }

  row(row: JournalRow): void {
    const { record, hosts, complain } = this.#court;
    const { entry } = row;
    if (ORDERS.includes(entry.kind) && !this.#desk.hasAsked(entry.kind)) complain("orders_were_given", `${entry.kind} is in the journal, and nobody ordered it`);
    const deployment = "deployment" in entry ? record.deployments.get(entry.deployment) : undefined;
    this.#was = { phase: deployment?.phase ?? "pending", since: deployment?.phaseSince ?? hosts.now };
    this.#before = "machine" in entry && "app" in entry ? record.newest.get(`${entry.machine}/${entry.app}`) : undefined;
    record.take(row, hosts.now);
    // Of one whose answer was lost with the controller nobody is there to say that it was asked for.
    if (entry.kind === "deployment_submitted" && (this.#desk.isGoingBack || entry.takesBack !== undefined)) record.waysBack.add(entry.deployment);
    dispatch(this.#handlers, row);
  }

  /** What a controller must take for lost, it had not heard for half of the time after which it says so, or not since it looks on, or its agent was not there. */
  #leaves(machine: MachineId): void {
    const { record, hosts } = this.#court;
    const host = hosts.machines.get(machine);
    const isUnheard = hosts.unheardMs(machine) >= SILENT_AFTER_MS / 2 - LAG_MS / 3 || hosts.lastHeardAt(machine) < hosts.attention.since;
    // Nor has it said all that it had to say.
    if (isUnheard || host?.agent === undefined || host.disk.reports.length > 0) record.goneUnheard.set(machine, record.joinedAt.get(machine) ?? -1);
  }

  #of(id: DeploymentId): Deployment {
    return this.#court.record.deployments.get(id)!;
  }

  #decided(deployment: Deployment, machine: MachineId, seq: number): void {
    const decision = deployment.lastDecisions.get(machine)!;
    this.#decisions.set(seq, decision);
    this.#orders.decided(decision, deployment, this.#was.phase);
    this.#availability.decided(decision, this.#before);
    this.#goingBack.decided(decision, deployment, this.#before);
  }

  #phaseChanged(deployment: Deployment, to: Phase): void {
    const { phase: from, since } = this.#was;
    const { reason } = deployment;
    const { now } = this.#court.hosts;
    this.#pending.push(() => this.#causes.phaseChanged(deployment, { from, since, to }, reason, now));
    if (reason?.code === "alarm_active") this.#orders.alarmStopped(deployment);
    this.#pending.push(() => this.#passing.ended(deployment));
    if (to === "succeeded") this.#pending.push(() => deployment.waves.forEach((_, wave) => this.#timing.goesOn(deployment, wave, "succeeds")));
    if (to === "rolling_back") this.#goingBack.goesBack(deployment);
    else if (to === "succeeded") this.#goingBack.confirmed(deployment, this.#court.record.machinesOf(deployment));
  }

  takesDown(machine: MachineId, app: string, generation: number): void {
    const decision = this.#decisions.get(generation);
    if (decision !== undefined) this.#availability.takesDown(machine, app, decision);
  }

  took(machine: MachineId, assignment: Assignment): void {
    this.#timing.took(machine, assignment);
  }

  said(machine: MachineId, app: string, generation: number, phase: string): void {
    this.#timing.said(machine, app, generation, phase);
  }

  heard(machine: MachineId): void {
    this.#court.hosts.heard(machine);
  }

  answered(question: Question, verdict: Verdict): void {
    this.#court.outside.answered(question, verdict, this.#court.hosts.now);
  }

  /** Whatever belongs to what has just happened is known. */
  settleMoment(): void {
    const pending = this.#pending;
    this.#pending = [];
    for (const judge of pending) judge();
    this.#goingBack.settleMoment();
  }

  step(): void {
    this.settleMoment();
    if (this.#court.hosts.now < this.#lookAt) return;
    this.#lookAt = this.#court.hosts.now + LOOK_MS;
    this.#causes.look();
    this.#goingBack.look();
    this.#silence.look();
    this.#timing.look();
    this.#orders.look();
    this.#gates.look();
    this.#answers.look();
  }

  // What operators read.

  phaseOf(id: DeploymentId): Phase | undefined {
    return this.#court.record.deployments.get(id)?.phase;
  }

  reasonOf(id: DeploymentId): string {
    return this.#court.record.deployments.get(id)?.reason?.message ?? "";
  }

  /** The deployment that gave the machine what it should run may do so in its window alone. */
  waitsForItsWindow(machine: MachineId): boolean {
    const { record } = this.#court;
    return [...record.newest.values()].some((decision) => decision.machine === machine && record.deployments.get(decision.deployment)!.strategy.window !== null);
  }

  /** It was given what stands since then, and that had been down on others that have it. */
  waitedForOthers(machine: MachineId, since: number): boolean {
    const { record, hosts } = this.#court;
    return [...record.newest.values()].some(({ machine: of, at, app, isUpdate, artifact, deployment: id }) => {
      const deployment = record.deployments.get(id)!;
      if (of !== machine || at < since || !isUpdate || deployment.phase !== "succeeded") return false;
      // Also those that ran it already, and were left out.
      return [...hosts.machines].some(([other, host]) => other !== machine && host.disk.links.get(app) === artifact && host.serving(app).lastOffAt(at) >= since - LAG_MS);
    });
  }

  /** What still runs somewhere though it was being taken back; undefined: nothing. */
  leftBehind(): string | undefined {
    return this.#goingBack.leftBehind();
  }

  newest(machine: MachineId, app: string): Decision | undefined {
    return this.#court.record.newest.get(`${machine}/${app}`);
  }
}
