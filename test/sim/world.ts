/**
 * Everything together, for one seed: a controller, machines, operators, and whatever can go wrong between and inside them.
 *
 * Nothing here knows real time or real chance, so a seed is a run. The size of the world and how bad its luck is are drawn from the seed too.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import type { JournalRow } from "@muster/controller/src/journal/entry.ts";
import type { Journal } from "@muster/controller/src/journal/journal.ts";
import { Spinning, Timeline } from "./clock.ts";
import { type Point, SimController } from "./controller.ts";
import { Checks } from "./invariants.ts";
import { Violation } from "./violation.ts";
import type { Surroundings } from "./life.ts";
import { Machine } from "./machine.ts";
import { CALM, Network } from "./network.ts";
import { Operators, ZONES } from "./operators.ts";
import { Random } from "./random.ts";
import { Releases } from "./releases.ts";

export interface WorldOptions {
  readonly say?: ((line: string) => void) | undefined;
  /** For scenarios: so many machines, all alike, and nothing happens but what is asked for. */
  readonly quietMachines?: number;
}

export interface Luck {
  /** Mean time between two faults, and between two acts of an operator. */
  readonly faultEveryMs: number;
  readonly actEveryMs: number;
}

const MACHINES_MAX = 10;

export class World {
  readonly timeline = new Timeline();
  readonly journal: Journal;
  readonly checks: Checks;
  readonly network: Network;
  readonly releases: Releases;
  readonly controller: SimController;
  readonly operators: Operators;
  readonly machines = new Map<MachineId, Machine>();
  readonly luck: Luck;
  readonly say: WorldOptions["say"];
  readonly #random: Random;
  readonly #surroundings: Surroundings;
  #failure: Violation | undefined;
  #isCalm = false;

  constructor(seed: number, journal: Journal, { say, quietMachines }: WorldOptions) {
    const random = new Random(seed, "world");
    this.#random = random;
    this.journal = journal;
    this.say = say;
    this.checks = new Checks(journal, ({ seq, at, entry }) => {
      this.say?.(`${this.timeline.now} journal ${seq} ${at} ${JSON.stringify(entry)}`);
      if (entry.kind === "machine_removed") this.#revoke(entry.machine);
    });
    this.network = new Network(this.timeline, new Random(seed, "network"));
    this.releases = new Releases(new Random(seed, "releases"));
    this.controller = new SimController({
      journal,
      timeline: this.timeline,
      network: this.network,
      random: new Random(seed, "controller"),
      deliver: (assignment) => {
        this.say?.(`${this.timeline.now} ${assignment.machine} hears of ${assignment.generation}`);
        this.machines.get(assignment.machine as MachineId)?.agent?.offer(assignment);
      },
      onAssignment: (assignment) => this.checks.told(assignment),
      onBug: (error) => this.fail(error instanceof Violation ? error : new Violation("engine_throws", String(error), error)),
      isAdmitted: (machine) => this.machines.get(machine)?.isRemoved === false,
      onCommit: (rows) => this.#committed(rows),
    });
    const isQuiet = quietMachines !== undefined;
    const isLucky = isQuiet || random.chance(0.15);
    this.luck = { faultEveryMs: random.pick([4_000, 10_000, 30_000]), actEveryMs: random.pick([20_000, 60_000, 120_000]) };
    this.network.faults = isLucky ? CALM : { loss: random.pick([0, 0.02, 0.2]), twice: random.pick([0, 0.1]), slow: random.pick([0, 0.05, 0.3]) };
    this.#surroundings = {
      timeline: this.timeline,
      random: new Random(seed, "agents"),
      network: this.network,
      controller: this.controller,
      faults: { agentDies: isLucky ? 0 : random.pick([0, 0.01, 0.05]), stepFails: isLucky ? 0 : random.pick([0, 0.02]) },
    };
    const apps = random.chance(0.7) ? ["web"] : ["web", "db"];
    this.operators = new Operators(new Random(seed, "operators"), this.releases, apps);
    this.controller.start();
    const machines = quietMachines ?? random.whole(2, 7);
    for (let index = 0; index < machines; index += 1) this.#join(isQuiet ? { role: "web", zone: "a" } : this.#labels());
    if (!isQuiet) this.timeline.after(2_000, () => this.#act(true));
    if (!isLucky) this.timeline.after(random.whole(0, 2 * this.luck.faultEveryMs), () => this.#fault());
  }

  fail(violation: Violation): void {
    this.#failure ??= violation;
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
    if (this.#failure !== undefined) throw this.#failure;
    this.checks.step(this.controller.engine);
  }

  /** From here on nothing goes wrong any more, and what had gone wrong is put right, but for machines that have gone for ever. */
  calm(): void {
    this.#isCalm = true;
    this.say?.(`${this.timeline.now} faults end`);
    this.network.faults = CALM;
    this.network.mendAll();
    this.#surroundings.faults.agentDies = 0;
    this.#surroundings.faults.stepFails = 0;
    this.controller.disarm();
    this.controller.isDiskFull = false;
    this.controller.outsideIsWell = true;
    for (const machine of this.machines.values()) {
      machine.isDiskFull = false;
      machine.startAgent();
    }
  }

  #labels(): Readonly<Record<string, string>> {
    const labels = { role: this.#random.chance(0.85) ? "web" : "db", zone: this.#random.pick(ZONES) };
    return this.#random.chance(0.2) ? { ...labels, canary: "true" } : labels;
  }

  #join(labels: Readonly<Record<string, string>>): void {
    const index = this.machines.size + 1;
    const id = `m-${index}` as MachineId;
    const machine = new Machine(id, labels, this.#surroundings, this.releases, {
      ran: (name, app, artifact) => this.checks.ran(name, app, artifact),
      took: (name, before, assignment) => this.checks.took(name, before, assignment),
      acknowledged: (name, instance, seq, reports) => this.checks.acknowledged(name, instance, seq, reports),
    });
    this.machines.set(id, machine);
    machine.startAgent();
  }

  /** Its agent runs on, and is refused from now on. */
  #revoke(id: MachineId): void {
    this.machines.get(id)!.isRemoved = true;
    this.controller.cutOff(id);
  }

  /** Under the same name, as it is or reinstalled; its agent was told its labels anew. */
  #readmit(machine: Machine): void {
    if (this.#random.chance(0.5)) machine.replaceDisk();
    if (this.#random.chance(0.5)) machine.labels = this.#labels();
    machine.isRemoved = false;
  }

  #committed(rows: readonly JournalRow[]): void {
    try {
      this.checks.rows(rows);
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.fail(error);
    }
  }

  #act(isFirst: boolean): void {
    if (this.#isCalm) return;
    const said = this.controller.ask((engine) => (isFirst ? this.operators.deploy(engine, this.controller.now) : this.operators.act(engine, [...this.machines.keys()], this.controller.now)));
    this.say?.(`${this.timeline.now} operator: ${said ?? "no answer"}`);
    this.timeline.after(this.#random.whole(0, 2 * this.luck.actEveryMs), () => this.#act(said === undefined && isFirst));
  }

  #fault(): void {
    if (this.#isCalm) return;
    const what = this.#goWrong();
    this.say?.(`${this.timeline.now} fault: ${what}`);
    this.timeline.after(this.#random.whole(0, 2 * this.luck.faultEveryMs), () => this.#fault());
  }

  #goWrong(): string {
    const random = this.#random;
    const machine = random.pick([...this.machines.values()]);
    const kind = random.weighted([
      [4, "agent dies"],
      [2, "machine reboots"],
      [4, "partition"],
      [3, "controller dies"],
      [4, "controller dies within"],
      [1, "controller's disk is full"],
      [2, "machine's disk is full"],
      [1, "controller's clock jumps"],
      [1, "machine's clock jumps"],
      [1, "disk is replaced"],
      [2, "machine joins"],
      [6, "machine joins again"],
      [0.5, "machine goes for ever"],
    ] as const);
    const lastMs = random.chance(0.7) ? random.whole(100, 20_000) : random.whole(20_000, 180_000);
    switch (kind) {
      case "agent dies":
        machine.agent?.die();
        break;
      case "machine reboots":
        machine.reboot();
        break;
      case "partition": {
        const toMachine = random.chance(0.7);
        this.network.cut(machine.id, { toMachine, toController: !toMachine || random.chance(0.7) });
        this.timeline.after(lastMs, () => this.network.mend(machine.id));
        break;
      }
      case "controller dies":
        this.controller.kill();
        break;
      case "controller dies within":
        this.controller.arm(random.pick<Point>(["append", "commit", "tell"]), random.whole(1, 12));
        break;
      case "controller's disk is full":
        this.controller.isDiskFull = true;
        this.timeline.after(lastMs / 4, () => {
          this.controller.isDiskFull = false;
        });
        break;
      case "machine's disk is full":
        machine.isDiskFull = true;
        this.timeline.after(lastMs, () => {
          machine.isDiskFull = false;
        });
        break;
      case "controller's clock jumps":
        this.controller.clockOffsetMs += random.pick([-300_000, -40_000, -1_000, 1_000, 10_000, 40_000, 300_000]);
        break;
      case "machine's clock jumps":
        // It is seen by the next life of the agent.
        machine.clockOffsetMs += random.pick([-300_000, -40_000, 40_000, 300_000]);
        break;
      case "disk is replaced":
        machine.replaceDisk();
        break;
      case "machine joins":
        if (this.machines.size < MACHINES_MAX) this.#join(this.#labels());
        break;
      case "machine joins again":
        for (const removed of this.machines.values()) if (removed.isRemoved && random.chance(0.5)) this.#readmit(removed);
        break;
      case "machine goes for ever":
        if ([...this.machines.values()].filter(({ isGone }) => !isGone).length > 2) {
          machine.isGone = true;
          machine.agent?.die();
        }
        break;
    }
    return `${kind} (${machine.id}, ${lastMs} ms)`;
  }
}
