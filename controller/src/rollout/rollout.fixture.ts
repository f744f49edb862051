/**
 * Drives one rollout as the engine does, with a fleet that the test speaks for and a world that it changes. After every change everything is counted again,
 * and a rollout that has not ended must say what it waits for.
 */
import type { AppName, DeploymentId, Generation, Instant, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import type { Labels } from "@muster/proto/selector.ts";
import { type PlanMachine, planRollout } from "../plan/plan.ts";
import type { Alarm, Gate, PrometheusGate, Size, Strategy, WaveSpec, WebhookGate } from "../plan/strategy.ts";
import { nextWake } from "./advance.ts";
import type { RolloutChange, Stamp } from "./change.ts";
import { type CommandEvent, refusal } from "./command.ts";
import type { RolloutEvent } from "./decide.ts";
import { Availabilities } from "./availability.ts";
import { noteAvailability, rebuild } from "./derived.ts";
import { drive } from "./drive.ts";
import type { Verdict } from "./asking.ts";
import { auditRollout } from "./invariants.ts";
import type { Attended, Moment } from "./moment.ts";
import { type AgentPhase, type Hold, isEnded, newRollout, type Purpose, type RolloutState, type Target } from "./state.ts";
import type { Opening, Surroundings, WayBack } from "./surroundings.ts";
import { waitingOn } from "./words.ts";

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;

/** When every rollout of the tests begins: a Monday, 10:00 UTC. */
export const START = Date.UTC(2030, 0, 7, 10) as Instant;

export const count = (value: number): Size => ({ kind: "count", count: value });
export const percent = (value: number): Size => ({ kind: "percent", percent: value });

export const APPROVAL: Gate = { kind: "approval" };
export const soak = (forMs: number): Gate => ({ kind: "soak", forMs });

export function webhook(changes: Partial<WebhookGate> = {}): WebhookGate {
  return { kind: "webhook", url: "https://gate.example/", timeoutMs: 5 * SECOND, retries: 2, retryIntervalMs: 10 * SECOND, onSilence: "stop", ...changes };
}

export function prometheus(changes: Partial<PrometheusGate> = {}): PrometheusGate {
  return {
    kind: "prometheus",
    url: "https://metrics.example/",
    query: "errors",
    max: 0.01,
    min: null,
    intervalMs: 30 * SECOND,
    timeoutMs: 5 * SECOND,
    count: 3,
    failureLimit: 0,
    retries: 1,
    onSilence: "stop",
    ...changes,
  };
}

export function alarm(changes: Partial<Alarm> = {}): Alarm {
  const check = { kind: "prometheus", url: "https://metrics.example/", query: "errors", max: 0.01, min: null, timeoutMs: 5 * SECOND } as const;
  return { check, intervalMs: 30 * SECOND, failureLimit: 0, retries: 1, onSilence: "stop", ...changes };
}

/** A wave of a size, or of a selector when a text is given. */
export function wave(members: Size | string, changes: Partial<WaveSpec> = {}): WaveSpec {
  return {
    members: typeof members === "string" ? { kind: "selector", selector: members } : { kind: "size", size: members },
    gates: [],
    at: null,
    afterMs: 0,
    maxFailures: null,
    maxUnreachable: null,
    successThreshold: null,
    ...changes,
  };
}

export const ALL = wave(percent(100));

/** One wave, two targets at once, no failure allowed, and nothing else asked for. */
export function strategyOf(changes: Partial<Strategy> = {}): Strategy {
  return {
    targets: "role=web",
    waves: [ALL],
    alarms: [],
    maxUnavailable: count(2),
    maxUnavailablePer: [],
    spread: null,
    order: [],
    minHealthyTimeMs: 5 * SECOND,
    healthyDeadlineMs: MINUTE,
    progressDeadlineMs: 10 * MINUTE,
    maxFailures: count(0),
    maxUnreachable: null,
    offline: { kind: "skip" },
    lateJoiners: "deploy",
    window: null,
    start: "auto",
    startAt: null,
    after: null,
    priority: 0,
    onFailure: "rollback",
    onConflict: "queue",
    ...changes,
  };
}

export function machineId(index: number): MachineId {
  return `m-${index}` as MachineId;
}

/** Machines m-0, m-1, … in this order of turns as long as there are at most ten. */
/** And what a rollback would take it back to; null: nothing. */
export interface FleetMachine extends PlanMachine {
  readonly lastGood: ReleaseId | null;
}

export function fleetOf(size: number, changes: (index: number) => Partial<FleetMachine> = () => ({})): FleetMachine[] {
  return Array.from({ length: size }, (_, index) => ({
    id: machineId(index),
    labels: {} as Labels,
    silent: false,
    cordoned: false,
    unhealthy: false,
    runsRelease: false,
    runsUnconfirmed: false,
    lastGood: "app@1" as ReleaseId,
    ...changes(index),
  }));
}

/** What a rollout sees of the world, for the test to change. */
export class FakeWorld implements Surroundings {
  readonly silent = new Set<MachineId>();
  readonly cordoned = new Set<MachineId>();
  /** Their labels match the selector no longer. */
  readonly unselected = new Set<MachineId>();
  /** A newer deployment has decided about them. */
  readonly overtaken = new Set<MachineId>();
  /** Until when: a freeze; until null: one that nobody can foresee the end of. */
  freeze: { readonly until: Instant | null } | undefined;
  /** When the rollout's own window opens, while it is closed. */
  closedUntil: Instant | undefined;
  readonly drained = new Set<MachineId>();
  /** Reports of theirs have not come in. */
  readonly owed = new Set<MachineId>();
  /** Those that were not heard since. */
  readonly heard = new Map<MachineId, Attended>();
  /** What machines go back to; everybody: app@1. */
  lastGood: (machine: MachineId) => ReleaseId | null = () => "app@1" as ReleaseId;
  /** Until when machines that go back have time to answer. */
  readonly answersDue = new Map<MachineId, Attended>();
  /** Why late machines do not get a release that has succeeded. */
  unsoundness: string | undefined;
  /** Text of the budget that has no room for the machine. */
  budget: (machine: MachineId, purpose: Purpose) => string | undefined = () => undefined;

  isSilent(machine: MachineId): boolean {
    return this.silent.has(machine);
  }

  isCordoned(machine: MachineId): boolean {
    return this.cordoned.has(machine);
  }

  isSelected(machine: MachineId): boolean {
    return !this.unselected.has(machine);
  }

  isDrained(machine: MachineId): boolean {
    return this.drained.has(machine);
  }

  heardAt(machine: MachineId): Attended {
    return this.heard.get(machine) ?? (Number.MAX_SAFE_INTEGER as Attended);
  }

  owing(): Iterable<MachineId> {
    return this.owed;
  }

  wayBack(_state: unknown, machine: MachineId): WayBack {
    return { release: this.lastGood(machine), asLate: false };
  }

  answerDueAt(machine: MachineId): Attended | undefined {
    return this.answersDue.get(machine);
  }

  said(): null {
    return null;
  }

  overruledBy(): undefined {
    return undefined;
  }

  successor(_: unknown, machine: MachineId): DeploymentId | undefined {
    return this.overtaken.has(machine) ? ("d-9" as DeploymentId) : undefined;
  }

  unsound(): Hold | undefined {
    return this.unsoundness === undefined ? undefined : { kind: "unsound", message: this.unsoundness };
  }

  frozen(now: Instant): Opening {
    const { freeze } = this;
    if (freeze === undefined || (freeze.until !== null && now >= freeze.until)) return { open: true, until: null };
    return { open: false, opensAt: freeze.until, message: "the end of the freeze" };
  }

  opening(_window: unknown, now: Instant): Opening {
    const { closedUntil } = this;
    return closedUntil === undefined || now >= closedUntil ? { open: true, until: null } : { open: false, opensAt: closedUntil, message: "the window to open" };
  }

  fullBudget(machine: MachineId, purpose: Purpose): string | undefined {
    return this.budget(machine, purpose);
  }
}

interface CommandOptions {
  readonly wave?: number | null;
  readonly all?: boolean;
  readonly maxUnavailable?: number;
  readonly refused?: "throw" | "ignore";
}

export type Command = CommandEvent["kind"];

export class Harness {
  readonly state: RolloutState;
  readonly world = new FakeWorld();
  readonly log: RolloutChange[] = [];
  readonly availabilities = new Availabilities();
  now: Instant = START;
  /** The controller was away for so long. */
  unattendedMs = 0;
  #seq = 0;

  constructor(machines: number | readonly FleetMachine[], changes: Partial<Strategy> = {}) {
    const fleet = typeof machines === "number" ? fleetOf(machines) : machines;
    const strategy = strategyOf(changes);
    this.state = newRollout({ id: "d-1" as DeploymentId, app: "app" as AppName, release: "app@2" as ReleaseId, strategy }, this.moment);
    const before = new Map(fleet.map((machine) => [machine.id, machine.lastGood]));
    this.world.lastGood = (machine) => before.get(machine) ?? null;
    for (const { id, silent, cordoned, unhealthy, lastGood } of fleet) {
      if (lastGood !== null || unhealthy) this.#ran(id, unhealthy ? "unhealthy" : "healthy");
      this.availabilities.lost(id, silent);
      if (silent) this.world.silent.add(id);
      if (cordoned) this.world.cordoned.add(id);
    }
    this.event({ kind: "start", plan: planRollout(strategy, fleet, this.state.release) });
  }

  get phase(): RolloutState["phase"] {
    return this.state.phase;
  }

  get moment(): Moment {
    return { at: this.now, attended: (this.now - START - this.unattendedMs) as Attended };
  }

  event(event?: RolloutEvent): void {
    const record = (change: RolloutChange): Stamp => {
      this.#seq += 1;
      this.log.push(change);
      return { seq: this.#seq, ...this.moment };
    };
    const applied = (change: RolloutChange, { seq }: Stamp): void => {
      if (change.kind === "rollout_started") for (const machine of this.state.targets.keys()) this.note(machine);
      if (change.kind === "target_joined") this.note(change.target.machine);
      if (change.kind === "target_assigned") {
        this.availabilities.assigned(change.machine, this.state.app, { generation: seq as Generation, deployment: this.state.id, release: change.release });
        this.note(change.machine);
      }
      auditRollout(this.state);
    };
    drive(this.state, event, this.world, this.moment, { record, applied });
    auditRollout(this.state);
    if (!isEnded(this.phase) && waitingOn(this.state) === "") throw new Error("it moves nobody and waits for nothing");
  }

  /** Time passes, and the engine wakes whenever the rollout had asked for it. */
  pass(ms: number): void {
    const end = (this.now + ms) as Instant;
    for (;;) {
      const wake = this.wake();
      if (wake === undefined || wake > end) break;
      if (wake > this.now) this.now = wake;
      const before = this.log.length;
      this.event();
      if (this.log.length === before && this.wake() === wake) throw new Error(`it woke at ${wake}, did nothing, and asks for the same again`);
    }
    this.now = end;
  }

  wake(): Instant | undefined {
    return nextWake(this.state, this.world, this.moment);
  }

  target(index: number): Target {
    const target = this.state.targets.get(machineId(index));
    if (target === undefined) throw new Error(`m-${index} is no target`);
    return target;
  }

  report(index: number, phase: AgentPhase, { message = "it broke", runs = "2", generation = this.target(index).generation as number } = {}): void {
    const isBad = phase === "failed" || phase === "reverted" || phase === "unhealthy" || phase === "reverting";
    this.availabilities.reported(machineId(index), this.state.app, generation as Generation, phase);
    this.note(machineId(index));
    this.event({ kind: "reported", machine: machineId(index), generation: generation as Generation, phase, reason: isBad ? { code: "exited", message } : null, runs });
  }

  healthy(...indexes: readonly number[]): void {
    for (const index of indexes) this.report(index, "healthy");
  }

  silence(index: number): void {
    this.world.silent.add(machineId(index));
    this.availabilities.lost(machineId(index), true);
    this.note(machineId(index));
    this.event({ kind: "fell_silent", machine: machineId(index), reason: { code: "silent", message: "nothing heard for 15s" } });
  }

  /** `hasAnswered`: all that it has to say has come with its first word. */
  hear(index: number, hasAnswered = true): void {
    const machine = machineId(index);
    this.world.silent.delete(machine);
    this.availabilities.lost(machine, false);
    this.note(machine);
    this.event({ kind: "heard_again", machine, answer: hasAnswered ? this.availabilities.answerOf(machine, this.state.app) : undefined, wasRenewed: false });
  }

  drain(index: number): void {
    const machine = machineId(index);
    this.world.cordoned.add(machine);
    this.world.drained.add(machine);
    this.availabilities.drained(machine, true);
    this.note(machine);
    this.event({ kind: "drained", machine });
  }

  uncordon(index: number): void {
    const machine = machineId(index);
    this.world.cordoned.delete(machine);
    this.world.drained.delete(machine);
    this.availabilities.drained(machine, false);
    this.note(machine);
    this.event({ kind: "uncordoned", machine });
  }

  /** What runs there turns unhealthy, or is well again, without anybody having been told of it by an event. */
  unwell(index: number, isUnwell = true): void {
    const machine = machineId(index);
    const assigned = this.availabilities.assignedTo(machine, this.state.app);
    if (assigned === undefined) this.#ran(machine, isUnwell ? "unhealthy" : "healthy");
    else this.availabilities.reported(machine, this.state.app, assigned.generation, isUnwell ? "unhealthy" : "healthy");
    this.note(machine);
    this.event();
  }

  /** Restarts the controller: everything derived is built anew. */
  restart(): void {
    const { state } = this;
    const { leftOut, ...ofTargets } = state.availability;
    for (const derived of [state.moving, state.laneKeys, state.startFirst, state.backFirst, state.startFirstBehind, state.lostTakers, state.wordless, ...Object.values(ofTargets), ...Object.values(leftOut)]) derived.clear();
    for (const wave of state.waves) {
      wave.awaited.clear();
      Object.assign(wave, { counted: 0, lost: 0, leftFailed: 0 });
    }
    rebuild(state);
    for (const machine of state.targets.keys()) this.note(machine);
    this.event();
  }

  /** What is known of the machine, to the rollout. */
  note(machine: MachineId): void {
    noteAvailability(this.state, machine, this.availabilities.noted(machine, this.state.app));
  }

  #ran(machine: MachineId, phase: AgentPhase): void {
    this.availabilities.assigned(machine, this.state.app, { generation: 0 as Generation, deployment: "d-0" as DeploymentId, release: "app@1" as ReleaseId });
    this.availabilities.reported(machine, this.state.app, 0 as Generation, phase);
  }

  answer(verdict: Verdict, said: string = verdict, attempt?: number): void {
    const { waves, wave: index } = this.state;
    // One that is not asked stands before it, when a soak runs again.
    const asked = waves[index]!.gates.findIndex(({ state, isAsked }) => state === "reached" && isAsked);
    const gate = asked < 0 ? waves[index]!.gates.findIndex(({ state }) => state === "reached") : asked;
    this.event({ kind: "gate_answered", wave: index, gate, attempt: attempt ?? waves[index]!.gates[gate]!.attempts, verdict, said });
  }

  /** Throws with the refusal when the command can't be carried out, unless that may be. */
  command(kind: Command, { wave: index = null, all = false, maxUnavailable = 1, refused: onRefused = "throw" }: CommandOptions = {}): void {
    const command = commandOf(kind, index, all, maxUnavailable);
    const refused = refusal(this.state, command);
    if (refused === undefined) this.event(command);
    else if (onRefused === "throw") throw new Error(refused);
  }

  /** Whose state is what, in the order of the plan. */
  states(): string {
    return [...this.state.targets.values()].map((target) => target.state).join(" ");
  }

  /** The indexes of the targets on the move. */
  moving(): number[] {
    return [...this.state.moving].map((machine) => Number(machine.slice(2))).sort((a, b) => a - b);
  }

  /** How often something has happened. */
  times(kind: RolloutChange["kind"]): number {
    return this.log.filter((change) => change.kind === kind).length;
  }

  waitsFor(): string {
    return waitingOn(this.state) ?? "nothing";
  }
}

function commandOf(kind: Command, index: number | null, all: boolean, maxUnavailable: number): CommandEvent {
  const reason = { code: "operator", message: "alice: known" } as const;
  switch (kind) {
    case "pause":
    case "resume":
    case "abort":
    case "rollback":
    case "retry":
      return { kind, reason };
    case "approve":
      return { kind, reason, wave: index };
    case "promote":
      return { kind, reason, all };
    case "set_max_unavailable":
      return { kind, reason, maxUnavailable };
  }
}
