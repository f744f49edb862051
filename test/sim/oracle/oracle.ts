/**
 * Judges a run by what happened on the hosts and by what people asked for. It reads the journal as an operator reads it, for what was ordered and what the controller says that
 * it did; whether that was right it works out from the hosts alone.
 */
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import type { Question, Verdict } from "@muster/controller/src/gates/verdict.ts";
import { isRolloutEntry, type JournalRow } from "@muster/controller/src/journal/entry.ts";
import type { Attention } from "../attention.ts";
import type { Timeline } from "../clock.ts";
import type { SimController } from "../controller.ts";
import type { Desk } from "../desk.ts";
import type { Machine } from "../machine.ts";
import type { Releases } from "../releases.ts";
import type { Invariant } from "../violation.ts";
import { Availability } from "./availability.ts";
import { Causes } from "./causes.ts";
import type { Court } from "./court.ts";
import { GoingBack } from "./going-back.ts";
import { Hosts } from "./hosts.ts";
import { Orders } from "./orders.ts";
import { Outside } from "./outside.ts";
import { Passing } from "./passing.ts";
import { type Decision, type Phase, Record } from "./record.ts";
import { Silence } from "./silence.ts";

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
  readonly #availability: Availability;
  readonly #causes: Causes;
  readonly #goingBack: GoingBack;
  readonly #orders: Orders;
  readonly #passing: Passing;
  readonly #silence: Silence;
  /** Judged when the moment is over. */
  #pending: (() => void)[] = [];
  readonly #decisions = new Map<number, Decision>();
  /** `deployment/wave/gate` to when it was reached. */
  readonly #reached = new Map<string, number>();
  #lookAt = 0;

  constructor({ machines, timeline, attention, hearing, releases, controller, complain }: OracleOptions, desk: Desk) {
    const court: Court = { hosts: new Hosts(machines, timeline, attention, hearing), record: new Record(), outside: new Outside(), releases, controller, complain };
    this.#court = court;
    this.#desk = desk;
    this.#availability = new Availability(court);
    this.#causes = new Causes(court);
    this.#goingBack = new GoingBack(court);
    this.#orders = new Orders(court);
    this.#passing = new Passing(court);
    this.#silence = new Silence(court);
  }

  row(row: JournalRow): void {
    const { record, hosts, complain } = this.#court;
    const { entry, seq } = row;
    const { now } = hosts;
    if (ORDERS.includes(entry.kind) && !this.#desk.hasAsked(entry.kind)) complain("orders_were_given", `${entry.kind} is in the journal, and nobody ordered it`);
    const deployment = isRolloutEntry(entry) ? record.deployments.get(entry.deployment) : undefined;
    const phase = deployment?.phase ?? "pending";
    const phaseSince = deployment?.phaseSince ?? now;
    const before = "machine" in entry && "app" in entry ? record.newest.get(`${entry.machine}/${entry.app}`) : undefined;
    record.take(row, now);
    switch (entry.kind) {
      case "machine_silent":
        return this.#silence.fellSilent(entry.machine);
      case "machine_removed":
        return this.#goingBack.forget(entry.machine);
      case "rollout_started":
        return this.#orders.began(deployment!);
      case "target_assigned": {
        const decision = deployment!.lastDecisions.get(entry.machine)!;
        this.#decisions.set(seq, decision);
        this.#orders.decided(decision, deployment!, phase);
        this.#availability.decided(decision, before);
        return this.#goingBack.decided(decision, deployment!, before);
      }
      case "gate_reached":
        this.#reached.set(`${entry.deployment}/${entry.wave}/${entry.gate}`, now);
        return;
      case "gate_opened": {
        const reachedAt = this.#reached.get(`${entry.deployment}/${entry.wave}/${entry.gate}`) ?? now;
        this.#pending.push(() => this.#passing.gateOpened(deployment!, entry.wave, entry.gate, reachedAt));
        return;
      }
      case "wave_finished":
        this.#pending.push(() => this.#passing.waveFinished(deployment!, entry.wave));
        return this.#goingBack.confirmed(deployment!, deployment!.waves[entry.wave]!.machines);
      case "phase_changed": {
        const { reason } = deployment!;
        const change = { from: phase, since: phaseSince, to: entry.phase };
        this.#pending.push(() => this.#causes.phaseChanged(deployment!, change, reason, now));
        this.#pending.push(() => this.#passing.ended(deployment!));
        if (entry.phase === "rolling_back") return this.#goingBack.goesBack(deployment!);
        if (["succeeded", "aborted", "superseded", "failed"].includes(entry.phase) && phase !== "rolling_back") this.#goingBack.confirmed(deployment!, record.machinesOf(deployment!));
        return;
      }
      default:
        return;
    }
  }

  takesDown(machine: MachineId, app: string, generation: number): void {
    const decision = this.#decisions.get(generation);
    if (decision !== undefined) this.#availability.takesDown(machine, app, decision);
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
    this.#orders.look();
  }

  // What operators read.

  phaseOf(id: DeploymentId): Phase | undefined {
    return this.#court.record.deployments.get(id)?.phase;
  }

  reasonOf(id: DeploymentId): string {
    return this.#court.record.deployments.get(id)?.reason?.message ?? "";
  }

  newest(machine: MachineId, app: string): Decision | undefined {
    return this.#court.record.newest.get(`${machine}/${app}`);
  }
}
