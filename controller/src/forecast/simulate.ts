/**
 * One deployment in one world, from start to end: the rollout core itself, on a clock that jumps from one event to the next.
 *
 * A generator, so that whoever runs it can let others have their turn: it yields every few hundred changes and says nothing by it. O(log n) an event.
 * Gates that ask people or other systems are answered with go, at once, and alarms stay quiet: how those would judge a bad release nobody can know.
 */
import type { DeploymentId, Generation, Instant, MachineId } from "@muster/proto/ids.ts";
import { provenDeadlineMs } from "@muster/proto/proven.ts";
import type { Plan } from "../plan/plan.ts";
import { nextWake } from "../rollout/advance.ts";
import type { RolloutChange } from "../rollout/change.ts";
import type { RolloutEvent } from "../rollout/decide.ts";
import { Availabilities } from "../rollout/availability.ts";
import { noteAvailability } from "../rollout/derived.ts";
import { drive, type Recorder } from "../rollout/drive.ts";
import { Heap } from "../rollout/heap.ts";
import { type Attended, later, type Moment } from "../rollout/moment.ts";
import { newRollout, type RolloutPhase, type RolloutReason, type RolloutState } from "../rollout/state.ts";
import type { Surroundings } from "../rollout/surroundings.ts";
import { waitingOn } from "../rollout/words.ts";
import { type Agent, broken, type Happening, type Model, type Reported, take, tell } from "./agent.ts";
import { Budgets, type Membership } from "./budgets.ts";
import type { ForecastInputs, ForecastMachine } from "./inputs.ts";
import { Tally } from "./tally.ts";
import { CUT_OFF_AFTER_MS, type World } from "./world.ts";

/** What stays the same from world to world. */
export interface Setting {
  readonly inputs: ForecastInputs;
  readonly plan: Plan;
  /** Machines that would be changed. */
  readonly targets: readonly ForecastMachine[];
  readonly startAt: Instant;
  readonly model: Model;
  readonly membership: Membership;
}

/** What came of it. Times are counted from the start of the rollout. */
export interface Outcome {
  readonly phase: RolloutPhase;
  readonly reason: RolloutReason | null;
  /** Undefined: it did not end. */
  readonly endedAfterMs: number | undefined;
  /** When it left its way forward for anything but success. */
  readonly stoppedAfterMs: number | undefined;
  /** When the last machine that ran the release was back; undefined: some run it, or none ever did. */
  readonly restoredAfterMs: number | undefined;
  /** Most machines at once on which the release was activated though it is bad there. */
  readonly maxOnBadRelease: number;
  /** Most targets at once that were silent, not well or on the move. */
  readonly maxUnavailable: number;
  readonly waves: readonly { readonly startMs: number | undefined; readonly endMs: number | undefined }[];
  /** What it still waits for when nothing more happens; undefined: nothing. */
  readonly waitsFor: string | undefined;
}

/** Longer than a year nobody waits for a window. */
const HORIZON_MS = 400 * 86_400_000;
const STEPS_PER_YIELD = 128;
/** A wave that begins may be as large as the fleet: its machines are told in several steps. */
const CHANGES_PER_STEP = 256;

type Event =
  | Happening
  | { readonly at: Instant; readonly what: "cut_off" | "approved" }
  | { readonly at: Instant; readonly what: "fell_silent"; readonly machine: MachineId }
  | { readonly at: Instant; readonly what: "answered"; readonly wave: number; readonly gate: number; readonly attempt: number };

/** Of what ran before. */
const BEFORE = 0 as Generation;

const SAYS_GO: RolloutReason = { code: "operator", message: "in this forecast somebody approves at once" };
const SILENT: RolloutReason = { code: "silent", message: "cut off" };

export function* simulate(setting: Setting, world: World): Generator<void, Outcome> {
  const simulation = new Simulation(setting, world);
  simulation.start();
  for (let steps = 0; simulation.goOn(); steps += 1) if (simulation.hasMore || steps % STEPS_PER_YIELD === 0) yield;
  return simulation.outcome();
}

class Simulation {
  readonly #setting: Setting;
  readonly #world: World;
  readonly #state: RolloutState;
  readonly #surroundings: Surroundings;
  readonly #agents = new Map<MachineId, Agent>();
  /** Until when each that was told has time to answer. */
  readonly #answersDue = new Map<MachineId, Attended>();
  readonly #budgets: Budgets;
  readonly #availabilities = new Availabilities();
  /** Taken by the release, and since when. */
  readonly #dead = new Map<MachineId, Attended>();
  readonly #events = new Heap<{ readonly event: Event; readonly order: number }>((a, b) => a.event.at < b.event.at || (a.event.at === b.event.at && a.order < b.order));
  #order = 0;
  #seq = 0;
  #now: Instant;
  #isCutOff = false;
  #wakeAt: Instant | undefined;
  /** What the last step left over; time stands still until it is done. */
  #hasMore = false;

  readonly #tally = new Tally();

  constructor(setting: Setting, world: World) {
    const { inputs, startAt, targets, membership } = setting;
    this.#setting = setting;
    this.#world = world;
    this.#now = startAt;
    this.#state = newRollout({ id: "d-0" as DeploymentId, app: inputs.app, release: inputs.releaseId, strategy: { ...inputs.strategy, alarms: [] } }, this.#moment());
    this.#budgets = new Budgets(inputs.budgets, membership);
    const cordoned = new Set<MachineId>();
    for (const { id, silent, cordoned: isCordoned } of targets) {
      this.#availabilities.lost(id, silent);
      if (isCordoned) cordoned.add(id);
    }
    const lastGood = new Map(targets.map((target) => [target.id, target.lastGood]));
    this.#surroundings = {
      isSilent: (machine) => this.#availabilities.isLost(machine),
      heardAt: (machine) => this.#dead.get(machine) ?? ((this.#isLost(machine) ? 0 : Number.MAX_SAFE_INTEGER) as Attended),
      owing: () => [],
      isCordoned: (machine) => cordoned.has(machine),
      isSelected: () => true,
      isDrained: () => false,
      wayBack: (_state, machine) => ({ release: lastGood.get(machine) ?? null, asLate: false }),
      answerDueAt: (machine) => notOver(this.#answersDue.get(machine), this.#moment()),
      said: () => null,
      successor: () => undefined,
      overruledBy: () => undefined,
      unsound: () => undefined,
      frozen: (now) => inputs.frozen(now),
      opening: (window, now) => inputs.opening(window, now),
      fullBudget: (machine, purpose) => this.#budgets.full(machine, purpose),
    };
  }

  start(): void {
    const { plan, targets, inputs } = this.#setting;
    const { cutOff } = this.#world;
    const isFirst = new Set(targets.flatMap(({ id, lastGood }) => (lastGood === null ? [id] : [])));
    for (const { targets: planned } of plan.waves) {
      for (const { machine } of planned) {
        const agent: Agent = {
          machine,
          turn: this.#agents.size,
          fate: this.#world.fateOf(machine),
          hasPrevious: !isFirst.has(machine),
          generation: 0 as Generation,
          purpose: "update",
          runsRelease: false,
          backAt: 0 as Instant,
          wasHealthy: false,
          isConfirmed: false,
          diesAt: 0 as Instant,
        };
        this.#agents.set(machine, agent);
      }
    }
    if (cutOff.size > 0) {
      const at = (this.#now + CUT_OFF_AFTER_MS) as Instant;
      this.#push({ at, what: "cut_off" });
      for (const machine of cutOff) this.#push({ at: (at + inputs.silentAfterMs) as Instant, what: "fell_silent", machine });
    }
    // The plan first, then what is known of its machines, and then the first decision.
    drive(this.#state, { kind: "start", plan }, this.#surroundings, this.#moment(), this.#recorder, 0);
    for (const target of targets) this.#noteBefore(target);
    this.#drive(undefined);
  }

  /** False: nothing more happens. */
  goOn(): boolean {
    if (this.#hasMore) {
      this.#drive(undefined);
      return true;
    }
    const next = this.#events.peek()?.event.at;
    const at = next === undefined || (this.#wakeAt !== undefined && this.#wakeAt < next) ? this.#wakeAt : next;
    if (at === undefined || at > this.#setting.startAt + HORIZON_MS) return false;
    this.#now = at;
    if (next === at) this.#happen(this.#events.pop()!.event);
    else this.#drive(undefined);
    return true;
  }

  get hasMore(): boolean {
    return this.#hasMore;
  }

  outcome(): Outcome {
    const { phase, reason, waves } = this.#state;
    const since = (at: Instant | null | undefined) => (at === null || at === undefined ? undefined : at - this.#setting.startAt);
    return {
      phase,
      reason,
      endedAfterMs: since(this.#tally.endedAt),
      stoppedAfterMs: since(this.#tally.stoppedAt),
      restoredAfterMs: since(this.#tally.restoredAt),
      maxOnBadRelease: this.#tally.maxOnBadRelease,
      maxUnavailable: this.#tally.maxUnavailable,
      waves: waves.map(({ startedAt, finishedAt }) => ({ startMs: since(startedAt), endMs: since(finishedAt?.at) })),
      waitsFor: waitingOn(this.#state),
    };
  }

  #happen(event: Event): void {
    switch (event.what) {
      case "cut_off":
        this.#isCutOff = true;
        return;
      case "fell_silent":
        return this.#fallSilent(event.machine);
      case "approved":
        return this.#drive({ kind: "approve", reason: SAYS_GO, wave: null });
      case "answered": {
        const { wave, gate, attempt } = event;
        return this.#drive({ kind: "gate_answered", wave, gate, attempt, verdict: "go", said: "" });
      }
      case "died":
        return this.#die(event);
      case "activated":
      case "broke":
      case "healthy":
      case "unhealthy":
      case "reverting":
      case "reverted":
      case "failed":
      case "removed":
        return this.#onMachine(event);
    }
  }

  #onMachine(happening: Happening): void {
    const { agent, generation, what } = happening;
    if (generation !== agent.generation) return;
    const ran = agent.runsRelease;
    take(happening);
    if (ran !== agent.runsRelease) this.#tally.switched(agent, this.#now);
    if (what === "broke") {
      const { phase, next } = broken(happening, this.#setting.model);
      for (const each of next) this.#push(each);
      return this.#report(agent, phase);
    }
    if (what !== "activated" && what !== "died") this.#report(agent, what);
  }

  #report(agent: Agent, phase: Reported): void {
    const { machine, generation } = agent;
    if (this.#isLost(machine)) return;
    this.#availabilities.reported(machine, this.#state.app, generation, phase);
    this.#note(machine);
    this.#drive({ kind: "reported", machine, generation, phase, reason: reasonOf(phase, agent), runs: "" });
  }

  /** What it was told meanwhile does not save it, unless that came in time. */
  #die({ agent: { machine, generation }, generation: of, at }: Happening): void {
    if (of !== generation || this.#dead.has(machine)) return;
    this.#dead.set(machine, this.#moment().attended);
    this.#push({ at: (at + this.#setting.inputs.silentAfterMs) as Instant, what: "fell_silent", machine });
  }

  #fallSilent(machine: MachineId): void {
    if (this.#availabilities.isLost(machine)) return;
    this.#availabilities.lost(machine, true);
    this.#note(machine);
    this.#drive({ kind: "fell_silent", machine, reason: SILENT });
  }

  #isLost(machine: MachineId): boolean {
    return this.#dead.has(machine) || (this.#isCutOff && this.#world.cutOff.has(machine));
  }

  /** What the machine ran before, and how that was. */
  #noteBefore({ id, unhealthy, lastGood }: ForecastMachine): void {
    const { app } = this.#state;
    if (lastGood !== null || unhealthy) {
      this.#availabilities.assigned(id, app, { generation: BEFORE, deployment: this.#state.id, release: lastGood });
      this.#availabilities.reported(id, app, BEFORE, unhealthy ? "unhealthy" : "healthy");
    }
    this.#note(id);
  }

  #note(machine: MachineId): void {
    const noted = this.#availabilities.noted(machine, this.#state.app);
    noteAvailability(this.#state, machine, noted);
    this.#budgets.note(machine, noted.is);
    this.#tally.unavailable(this.#state);
  }

  /** In a forecast the controller attends all the time. */
  #moment(): Moment {
    return { at: this.#now, attended: (this.#now - this.#setting.startAt) as Attended };
  }

  #drive(event: RolloutEvent | undefined): void {
    this.#hasMore = drive(this.#state, event, this.#surroundings, this.#moment(), this.#recorder, CHANGES_PER_STEP) === "more";
    this.#tally.unavailable(this.#state);
    if (this.#hasMore) return;
    this.#wakeAt = nextWake(this.#state, this.#surroundings, this.#moment());
    if (this.#wakeAt !== undefined && this.#wakeAt <= this.#now) throw new Error(`the rollout has more to do at ${this.#now} and does not do it`);
  }

  readonly #recorder: Recorder = {
    record: (change) => {
      this.#seq += 1;
      this.#follow(change, this.#seq as Generation);
      return { seq: this.#seq, ...this.#moment() };
    },
    applied: (change, { seq }) => {
      if (change.kind !== "target_assigned") return;
      const { machine, release } = change;
      this.#availabilities.assigned(machine, this.#state.app, { generation: seq as Generation, deployment: this.#state.id, release });
      this.#note(machine);
    },
  };

  /** What a change sets off outside of the rollout. It has not been applied yet. */
  #follow(change: RolloutChange, generation: Generation): void {
    const at = this.#now;
    if (change.kind === "target_assigned") {
      this.#tell(change, generation);
    } else if (change.kind === "wave_finished") {
      for (const { machine, state } of this.#state.waves[change.wave]!.targets) if (state === "healthy") this.#agents.get(machine)!.isConfirmed = true;
    } else if (change.kind === "target_changed") {
      const { wave } = this.#state.targets.get(change.machine)!;
      if (change.state === "healthy" && this.#state.waves[wave]!.finishedAt !== null) this.#agents.get(change.machine)!.isConfirmed = true;
    } else if (change.kind === "gate_reached") {
      if (this.#state.waves[change.wave]?.gates[change.gate]?.gate.kind === "approval") this.#push({ at, what: "approved" });
    } else if (change.kind === "gate_asked") {
      this.#push({ at, what: "answered", wave: change.wave, gate: change.gate, attempt: change.attempt });
    } else if (change.kind === "phase_changed") {
      this.#tally.phase(this.#state.phase, change.phase, at);
    }
  }

  /** Who is cut off goes on with what it was told before. */
  #tell({ machine, purpose }: Extract<RolloutChange, { readonly kind: "target_assigned" }>, generation: Generation): void {
    const agent = this.#agents.get(machine)!;
    this.#answersDue.set(machine, later(this.#moment(), provenDeadlineMs(this.#setting.inputs.strategy.healthyDeadlineMs)).attended);
    if (this.#availabilities.isLost(machine) || this.#isLost(machine)) return;
    for (const happening of tell(agent, purpose, generation, this.#now, this.#setting.model)) this.#push(happening);
  }

  #push(event: Event): void {
    this.#order += 1;
    this.#events.push({ event, order: this.#order });
  }
}

function reasonOf(phase: Reported, { wasHealthy }: Agent): RolloutReason | null {
  switch (phase) {
    case "reverting":
    case "reverted":
    case "failed":
    case "unhealthy":
      return wasHealthy ? { code: "turned_unhealthy", message: "well at first, and then not" } : { code: "never_healthy", message: "not well within healthy_deadline" };
    case "healthy":
    case "removed":
      return null;
  }
}

function notOver(due: Attended | undefined, { attended }: Moment): Attended | undefined {
  return due !== undefined && due > attended ? due : undefined;
}
