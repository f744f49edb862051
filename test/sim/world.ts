/**
 * Everything together, for one seed: a controller, machines, operators, and whatever can go wrong between and inside them.
 *
 * Nothing here knows real time or real chance, so a seed is a run. The size of the world and how bad its luck is are drawn from the seed too.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import type { JournalRow } from "@muster/controller/src/journal/entry.ts";
import { Attention } from "./attention.ts";
import { Spinning, Timeline } from "./clock.ts";
import { SimController } from "./controller.ts";
import { Desk } from "./desk.ts";
import { Faults } from "./faults.ts";
import { Checks } from "./invariants.ts";
import type { Surroundings } from "./life.ts";
import { Machine } from "./machine.ts";
import { CALM, Network } from "./network.ts";
import { Operators, type Rare, ZONES } from "./operators.ts";
import { Oracle } from "./oracle/oracle.ts";
import { Random } from "./random.ts";
import { type Fate, RARE_SHARE } from "./rare-stories.ts";
import { Replacer } from "./replacer.ts";
import { Releases } from "./releases.ts";
import { quietShape, type Shape, shapeOf } from "./size.ts";
import { Store } from "./store.ts";
import { type Invariant, Violation } from "./violation.ts";

/** Where the journal is on a file, old steps go to the archive beside it. */
const ARCHIVE_EVERY_MS = 60_000;

export interface WorldOptions {
  readonly say?: ((line: string) => void) | undefined;
  /** For scenarios: so many machines, all alike, and nothing happens but what is asked for. */
  readonly quietMachines?: number;
  /** Not judged. */
  readonly except?: ReadonlySet<Invariant>;
}

/** Of all seeds, in so many a program drains or removes hosts that are dead. */
const REPLACED_SHARE = 0.15;

export class World {
  readonly shape: Shape;
  readonly timeline: Timeline;
  readonly store: Store;
  readonly checks: Checks;
  readonly network: Network;
  readonly releases: Releases;
  readonly controller: SimController;
  readonly desk: Desk;
  readonly oracle: Oracle;
  readonly operators: Operators;
  readonly machines = new Map<MachineId, Machine>();
  readonly say: WorldOptions["say"];
  readonly #random: Random;
  readonly #surroundings: Surroundings;
  readonly #faults: Faults;
  readonly #except: ReadonlySet<Invariant>;
  #failure: Violation | undefined;
  #isCalm = false;

  constructor(seed: number, { say, quietMachines, except = new Set() }: WorldOptions) {
    const random = new Random(seed, "world");
    const isQuiet = quietMachines !== undefined;
    const shape = isQuiet ? quietShape(quietMachines) : shapeOf(seed, random);
    this.#random = random;
    this.#except = except;
    this.shape = shape;
    this.say = say;
    this.timeline = new Timeline(shape.machinesMax);
    this.store = new Store(shape.isJournalOnFile);
    this.checks = new Checks(this.store, shape.machinesMax, (row) => this.#read(row));
    this.network = new Network(this.timeline, new Random(seed, "network"));
    this.network.faults = shape.network;
    this.releases = new Releases(new Random(seed, "releases"));
    const [attention, hearing] = [new Attention(this.timeline), new Attention(this.timeline)];
    this.controller = this.#controller(seed, attention, hearing);
    this.desk = new Desk(this.controller, this.timeline, () => this.oracle.settleMoment());
    this.oracle = new Oracle({ machines: this.machines, timeline: this.timeline, attention, hearing, releases: this.releases, controller: this.controller, complain: (invariant, what) => this.complain(invariant, what) }, this.desk);
    this.#surroundings = {
      timeline: this.timeline,
      random: new Random(seed, "agents"),
      network: this.network,
      controller: this.controller.sessions,
      faults: { agentDies: shape.agentDies, stepFails: shape.stepFails, stepSlow: isQuiet ? 0 : 0.1 },
    };
    const { timeline, network, controller, machines } = this;
    const joinOne = (): void => {
      if (machines.size < shape.machinesMax) this.join(this.#labels());
    };
    this.#faults = new Faults({ timeline, network, controller, machines, joinOne, readmit: (machine) => this.#readmit(machine) }, random);
    this.operators = new Operators(new Random(seed, "operators"), this.releases, shape.apps, this.desk, this.#rare(new Random(seed, "rarely")));
    this.controller.start();
    for (let index = 0; index < shape.machines; index += 1) this.join(isQuiet ? { role: "web", zone: "a" } : this.#labels());
    const replacer = new Random(seed, "replacer");
    if (!isQuiet && replacer.chance(REPLACED_SHARE)) new Replacer(this, replacer).begin();
    if (shape.actEveryMs !== undefined) this.timeline.after(2_000, () => this.#act(shape.actEveryMs!));
    if (shape.isJournalOnFile) this.timeline.after(ARCHIVE_EVERY_MS, () => this.#archive());
    if (shape.faultEveryMs !== undefined) this.timeline.after(random.whole(0, 2 * shape.faultEveryMs), () => this.#fault(shape.faultEveryMs!));
  }

  /** Nothing goes wrong any more. */
  get isCalm(): boolean {
    return this.#isCalm;
  }

  fail(violation: Violation): void {
    if (!this.#except.has(violation.invariant)) this.#failure ??= violation;
  }

  complain(invariant: Invariant, what: string): void {
    this.fail(new Violation(invariant, what));
  }

  /** All that happens next; throws the first violation. */
  async step(): Promise<void> {
    try {
      await this.timeline.step();
    } catch (error) {
      // What was broken first; the rest follows from it.
      if (this.#failure !== undefined) throw this.#failure;
      if (error instanceof Violation) throw error;
      throw new Violation(error instanceof Spinning ? "spins" : "agent_throws", String(error), error);
    }
    await this.controller.archived();
    if (this.#failure !== undefined) throw this.#failure;
    this.checks.step(this.controller);
    this.oracle.step();
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** From here on nothing goes wrong any more, and what had gone wrong is put right, but for machines that have gone for ever. */
  calm(): void {
    this.#isCalm = true;
    this.say?.(`${this.timeline.now} faults end`);
    this.network.faults = CALM;
    this.network.mendAll();
    this.#surroundings.faults.agentDies = 0;
    this.#surroundings.faults.stepFails = 0;
    this.releases.isTame = true;
    this.controller.disarm();
    this.controller.isDiskFull = false;
    this.controller.resume();
    this.controller.outsideIsWell = true;
    for (const machine of this.machines.values()) {
      if (machine.isDiskFull) machine.lastFaultAt = this.timeline.now;
      machine.isDiskFull = false;
      if (!machine.isGone) machine.repair();
    }
  }

  join(labels: Readonly<Record<string, string>>): Machine {
    const id = `m-${this.machines.size + 1}` as MachineId;
    const machine = new Machine(id, labels, this.#surroundings, this.releases, {
      ran: (name, app, artifact) => this.checks.ran(name, app, artifact),
      took: (name, before, assignment) => {
        this.checks.took(name, before, assignment);
        this.oracle.took(name, assignment);
      },
      acknowledged: (name, instance, seq, reports) => this.checks.acknowledged(name, instance, seq, reports),
      takesDown: (name, app, generation) => this.oracle.takesDown(name, app, generation),
      said: (name, app, generation, phase) => this.oracle.said(name, app, generation, phase),
    });
    this.machines.set(id, machine);
    machine.startAgent();
    return machine;
  }

  #controller(seed: number, attention: Attention, hearing: Attention): SimController {
    return new SimController({
      store: this.store,
      timeline: this.timeline,
      network: this.network,
      random: new Random(seed, "controller"),
      attention,
      hearing,
      deliver: (assignment) => {
        this.say?.(`${this.timeline.now} ${assignment.machine} hears of ${assignment.generation}`);
        this.machines.get(assignment.machine as MachineId)?.agent?.offer(assignment);
      },
      onAssignment: (assignment) => this.checks.sent(assignment),
      onBug: (error) => this.fail(error instanceof Violation ? error : new Violation("engine_throws", String(error), error)),
      isAdmitted: (machine) => this.machines.get(machine)?.isRemoved === false,
      labelsOf: (machine) => this.machines.get(machine)!.labels,
      onHeard: (machine) => this.oracle.heard(machine),
      onCommit: (rows) => this.#committed(rows),
      onVerdict: (question, verdict) => this.oracle.answered(question, verdict),
    });
  }

  #labels(): Readonly<Record<string, string>> {
    const labels = { role: this.#random.chance(0.85) ? "web" : "db", zone: this.#random.pick(ZONES) };
    return this.#random.chance(0.2) ? { ...labels, canary: "true" } : labels;
  }

  #read(row: JournalRow): void {
    const { seq, at, entry } = row;
    this.say?.(`${this.timeline.now} journal ${seq} ${at} ${JSON.stringify(entry)}`);
    if (entry.kind === "machine_removed") this.#revoke(entry.machine);
    this.oracle.row(row);
  }

  /** Its agent runs on, and is refused from now on. */
  #revoke(id: MachineId): void {
    this.machines.get(id)!.isRemoved = true;
    this.controller.sessions.cutOff(id);
  }

  /** Its agent was told its labels anew. */
  #readmit(machine: Machine): void {
    if (this.#random.chance(0.5)) machine.replaceDisk();
    if (this.#random.chance(0.5)) machine.labels = this.#labels();
    machine.isRemoved = false;
  }

  #committed(rows: readonly JournalRow[]): void {
    try {
      this.checks.commit(rows);
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.fail(error);
    }
  }

  #act(everyMs: number): void {
    if (this.#isCalm) return;
    const { controller, operators } = this;
    const said = operators.isBusy ? operators.act([...this.machines.keys()], controller.now) : operators.deploy(controller.now);
    this.say?.(`${this.timeline.now} operator: ${said}`);
    this.timeline.after(operators.nextMs ?? this.#random.whole(0, 2 * everyMs), () => this.#act(everyMs));
  }

  #rare(random: Random): Rare | undefined {
    return random.chance(RARE_SHARE) ? { random, fate: this.#fate() } : undefined;
  }

  #fate(): Fate {
    const { timeline, network, machines } = this;
    return {
      fillDisk: (id, forMs) => {
        const machine = machines.get(id)!;
        machine.isDiskFull = true;
        timeline.after(forMs, () => {
          if (machine.isDiskFull) machine.lastFaultAt = timeline.now;
          machine.isDiskFull = false;
        });
      },
      cutOff: (id, forMs) => {
        network.cut(id, { toMachine: true, toController: true });
        timeline.after(forMs, () => network.mend(id));
      },
      reboot: (id) => {
        const machine = machines.get(id)!;
        if (!machine.isDown) machine.reboot();
      },
    };
  }

  #archive(): void {
    const stepsForMs = this.#random.whole(0, 5 * ARCHIVE_EVERY_MS);
    const answer = this.desk.keepSteps(stepsForMs);
    this.say?.(`${this.timeline.now} steps are kept for ${stepsForMs} ms: ${answer?.ok ?? "no answer"}`);
    if (!this.#isCalm) this.timeline.after(ARCHIVE_EVERY_MS, () => this.#archive());
  }

  #fault(everyMs: number): void {
    if (this.#isCalm) return;
    const struck = this.#faults.strike();
    this.say?.(`${this.timeline.now} fault: ${struck}`);
    this.timeline.after(this.#random.whole(0, 2 * everyMs), () => this.#fault(everyMs));
  }
}
