/**
 * The part of history.bench.ts that is measured: the real engine on a real database with a long history, in a process of its own. Says each figure when it is first found, and
 * prints all as one line of JSON at the end.
 *
 * The clock stands still unless it is moved, so that nothing becomes silent because the bench is slow. What is measured is for how long the loop is blocked: the longest
 * time between two of its turns, from the call to the moment at which nothing follows from it any more. Beside it stands what of that the thread itself computed: on a
 * machine that does other things too, the rest is waiting for a core or for the disk.
 */
import { parseArgs } from "node:util";
import type { AppName, DeploymentId, Generation, Instant, MachineId } from "@muster/proto/ids.ts";
import { parseSelector } from "@muster/proto/selector.ts";
import type { Clock } from "@muster/controller/src/engine/clock.ts";
import { Engine } from "@muster/controller/src/engine/engine.ts";
import { Fleet } from "@muster/controller/src/fleet/fleet.ts";
import type { MachineJoined } from "@muster/controller/src/journal/entry.ts";
import { checkpointsBeside } from "@muster/controller/src/journal/checkpoints.ts";
import { Journal } from "@muster/controller/src/journal/journal.ts";
import type { Strategy } from "@muster/controller/src/plan/strategy.ts";
import type { AgentPhase } from "@muster/controller/src/rollout/state.ts";
import pino from "pino";
import { readsOf } from "./history-reads.ts";
import { appAt, digestOf, HISTORY_END, machineAt, RACKS, releaseOf, reportOf, strategyFor } from "./history-world.ts";

/** For how long the loop was blocked. */
export interface Block {
  readonly what: string;
  longestMs: number;
  /** Of the longest. */
  cpuMs: number;
}

/** What one run found. */
export interface HistoryRun {
  readonly blocks: readonly Block[];
  readonly rssBytes: number;
}

const SILENT_AFTER_MS = 15_000;
/** What a turn of the loop brings of reports when a whole fleet answers. */
const BATCH = 100;
const BATCHES = 20;
/** So many machines are heard in one turn: what 10,000 say in a tenth of a second, and more handshakes than a core serves in that time. */
const LOGGER = pino({ level: "error" });
const VOICES = 200;
/** Of the fleet: who is cut off by the smaller partition. */
const PARTITION_SHARE = 0.2;
const EVERYBODY = "role=web";
/** Of each app, so that there are releases to let go. */
const KEPT = 10;

/** Stands still, and calls back in turns of their own. */
class BenchClock implements Clock {
  #now = (HISTORY_END + 3_600_000) as Instant;
  readonly #sleepers = new Set<{ readonly at: number; readonly callback: () => void }>();
  /** Due, and not called yet. */
  due = 0;

  now(): Instant {
    return this.#now;
  }

  monotonicMs(): number {
    return this.#now;
  }

  wakeAfter(delayMs: number, callback: () => void): () => void {
    const sleeper = { at: this.#now + delayMs, callback };
    this.#sleepers.add(sleeper);
    if (delayMs <= 0) this.#callSoon(sleeper);
    return () => this.#sleepers.delete(sleeper);
  }

  advance(ms: number): void {
    this.#now = (this.#now + ms) as Instant;
    for (const sleeper of [...this.#sleepers].sort((a, b) => a.at - b.at)) if (sleeper.at <= this.#now) this.#callSoon(sleeper);
  }

  #callSoon(sleeper: { readonly at: number; readonly callback: () => void }): void {
    this.due += 1;
    setImmediate(() => {
      this.due -= 1;
      if (this.#sleepers.delete(sleeper)) sleeper.callback();
    });
  }
}

/** Watches for how long nothing else gets its turn. */
class Blocks {
  readonly found: Block[] = [];
  readonly #isQuiet: () => boolean;

  constructor(isQuiet: () => boolean) {
    this.#isQuiet = isQuiet;
  }

  /** Until all that followed from it is done, too. */
  async measure(what: string, work: () => unknown): Promise<void> {
    const isFirst = this.found.every((each) => each.what !== what);
    const block = this.#of(what);
    let last = performance.now();
    let lastCpu = cpuMs();
    let goesOn = true;
    const look = (): void => {
      const [now, cpu] = [performance.now(), cpuMs()];
      if (now - last > block.longestMs) Object.assign(block, { longestMs: now - last, cpuMs: cpu - lastCpu });
      [last, lastCpu] = [now, cpu];
      if (goesOn) setImmediate(look);
    };
    setImmediate(look);
    await turn();
    await work();
    // What ends in one turn may have begun something in it.
    for (let quiet = 0; quiet < 3; quiet = this.#isQuiet() ? quiet + 1 : 0) await turn();
    goesOn = false;
    await turn();
    // For whoever does not want to wait for the rest.
    if (isFirst) process.stderr.write(`  … ${what}: ${block.longestMs.toFixed(1)} ms (${block.cpuMs.toFixed(1)} ms of CPU)\n`);
  }

  /** What is measured several times counts with its longest. */
  #of(what: string): Block {
    const block = this.found.find((each) => each.what === what) ?? { what, longestMs: 0, cpuMs: 0 };
    if (!this.found.includes(block)) this.found.push(block);
    return block;
  }
}

/** Of this thread. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Told {
  readonly app: AppName;
  readonly machine: MachineId;
  readonly generation: number;
  readonly version: string;
}

class Controller {
  readonly clock = new BenchClock();
  readonly blocks = new Blocks(() => this.#isQuiet);
  readonly machines: readonly MachineId[];
  readonly #joined: readonly MachineJoined[];
  readonly #reportSeqs = new Map<MachineId, number>();
  #told: Told[] = [];
  readonly fleet = new Fleet(SILENT_AFTER_MS);
  journal!: Journal;
  engine!: Engine;

  constructor(machines: number) {
    this.machines = Array.from({ length: machines }, (_, index) => machineAt(index));
    this.#joined = this.machines.map((machine) => ({ kind: "machine_joined", machine, instance: `i-${machine}`, labels: {}, agentVersion: "1.0.0", hostname: machine, os: "linux", arch: "x64" }));
  }

  async start(path: string): Promise<void> {
    await this.blocks.measure("start: open the database, load the engine", () => {
      const journal = Journal.open(path);
      checkpointsBeside(journal, path, LOGGER);
      this.journal = journal;
      this.engine = new Engine({
        journal,
        fleet: this.fleet,
        clock: this.clock,
        logger: LOGGER,
        schedule: { openingOf: (_window, now) => ({ open: true, until: (now + 3_600_000) as Instant }) },
        tell: () => {},
        distrusts: () => undefined,
        ask: () => new Promise(() => {}),
      });
      this.engine.onCommit((rows) => {
        for (const { seq, entry } of rows) {
          if (entry.kind !== "target_assigned") continue;
          this.#told.push({ app: entry.app, machine: entry.machine, generation: seq, version: entry.release?.slice(entry.release.indexOf("@") + 1) ?? "" });
        }
      });
      this.engine.start();
      this.engine.tellAgain();
    });
  }

  async hello(machines: readonly MachineId[]): Promise<void> {
    for (const some of chunks(machines, VOICES)) {
      await Promise.all(some.map(async (machine) => this.#reportSeqs.set(machine, await this.engine.hello(this.#joined[Number(machine.slice(2))]!, 0))));
      await turn();
    }
  }

  /** In one turn of the loop. */
  async say(told: readonly Told[], phase: AgentPhase): Promise<void> {
    await Promise.all(
      told.map(({ machine, app, generation, version }) => {
        const seq = (this.#reportSeqs.get(machine) ?? 0) + 1;
        this.#reportSeqs.set(machine, seq);
        return this.engine.report([reportOf(machine, app, generation, phase, version, seq, this.clock.now())]);
      }),
    );
  }

  /** As many in one turn as usual. */
  async sayInBatches(told: readonly Told[], phase: AgentPhase): Promise<void> {
    for (const some of chunks(told, BATCH)) await this.say(some, phase);
  }

  /** One of the apps that each of them is to run. */
  assignedTo(machines: readonly MachineId[], index: number): readonly Told[] {
    return machines.flatMap((machine) => {
      const assigned = this.engine.assignmentFor(machine)?.apps[index];
      if (assigned?.goal?.$case !== "run") return [];
      return [{ machine, app: assigned.app as AppName, generation: assigned.generation, version: assigned.goal.value.version }];
    });
  }

  /** Who was told something since this was asked last. */
  takeTold(): readonly Told[] {
    const told = this.#told;
    this.#told = [];
    return told;
  }

  submit(app: AppName, version: string, targets: string, waves: readonly number[], changes: Partial<Strategy> = {}): DeploymentId {
    const selector = parseSelector(targets);
    if (!selector.ok) throw new Error(selector.message);
    const answer = this.engine.operators.submit({ app, release: releaseOf(app, version), selector: selector.selector, strategy: strategyFor(targets, waves, changes) });
    return granted(answer).deployment as DeploymentId;
  }

  push(app: AppName, version: string): void {
    this.engine.operators.recordArtifact({ kind: "artifact_stored", artifact: digestOf(`${app}@${version}`), fileCount: 20, sizeBytes: 1_000_000, packBytes: 300_000 });
  }

  /** Time passes in which these are heard. */
  async pass(ms: number, heard: readonly MachineId[]): Promise<void> {
    for (let passed = 0; passed < ms; passed += 1000) {
      this.clock.advance(1000);
      for (const some of chunks(heard, VOICES)) {
        for (const machine of some) this.engine.heartbeat(machine, 0 as Generation);
        await turn();
      }
      await this.rest();
    }
  }

  /** While the write-ahead log is emptied, what is to follow waits. */
  get #isQuiet(): boolean {
    return this.clock.due === 0 && !this.journal.log.isLong;
  }

  /** Until nothing follows any more: what waited goes on a turn after the log was emptied. */
  async rest(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet = this.#isQuiet ? quiet + 1 : 0) await turn();
  }

  expect(id: DeploymentId, phase: string): void {
    const found = this.engine.rollout(id)?.phase ?? "over";
    if (found !== phase) throw new Error(`${id} is ${found}, and should be ${phase}`);
  }
}

function granted<T>(answer: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: { readonly message: string } }): T {
  if (!answer.ok) throw new Error(answer.refusal.message);
  return answer.value;
}

async function work(controller: Controller): Promise<void> {
  const { blocks } = controller;
  await blocks.measure(`all machines say hello, ${VOICES.toLocaleString("en")} in a turn`, () => controller.hello(controller.machines));
  await ordinaryReports(controller);
  await fleetOrders(controller);
  await partition(controller, Math.floor(controller.machines.length * PARTITION_SHARE));
  await largeDeployment(controller);
  await rollback(controller);
  await smallDeployment(controller);
  await partition(controller, controller.machines.length);
  await reads(controller);
}

/** With the fleet as it is after all that: some machines are unwell, and some deployments did not end well. */
async function reads({ blocks, clock, engine, fleet, journal, machines }: Controller): Promise<void> {
  const readable = { journal, engine, fleet, now: () => clock.now(), logger: LOGGER, machine: machines[7]!, app: appAt(0), few: `rack=r-${7 % RACKS}` };
  for (const [name, read] of readsOf(readable)) await blocks.measure(name, read);
}

async function ordinaryReports(controller: Controller): Promise<void> {
  const { machines, blocks } = controller;
  for (let batch = 0; batch < BATCHES; batch += 1) {
    const some = controller.assignedTo(machines.slice(batch * BATCH, (batch + 1) * BATCH), batch % 3);
    await blocks.measure(`${BATCH} reports in one turn that are no news`, () => controller.say(some, "healthy"));
    await blocks.measure(`${BATCH} reports in one turn: apps turn unhealthy`, () => controller.say(some, "unhealthy"));
    await blocks.measure(`${BATCH} reports in one turn: they are healthy again`, () => controller.say(some, "healthy"));
  }
}

async function smallDeployment(controller: Controller): Promise<void> {
  const { blocks } = controller;
  const app = appAt(1);
  const targets = `rack=r-${7 % RACKS}`;
  controller.push(app, "small");
  let id!: DeploymentId;
  await blocks.measure("a rack: submit and start", () => (id = controller.submit(app, "small", targets, [100])));
  const told = controller.takeTold();
  await controller.sayInBatches(told.slice(1), "healthy");
  controller.expect(id, "rolling");
  await blocks.measure("a rack: the end of the deployment", () => controller.say(told.slice(0, 1), "healthy"));
  controller.expect(id, "over");
}

async function largeDeployment(controller: Controller): Promise<void> {
  const { blocks, engine } = controller;
  const app = appAt(0);
  controller.push(app, "large");
  let id!: DeploymentId;
  await blocks.measure("all machines: submit, to begin later", () => (id = controller.submit(app, "large", EVERYBODY, [1, 100], { start: "manual" })));
  await blocks.measure("all machines: the rollout starts", () => granted(engine.operators.command(id, { kind: "approve", wave: 0 }, { by: "ann", reason: "" })));
  await blocks.measure("all machines: wave 1 ends, wave 2 starts", () => controller.say(controller.takeTold(), "healthy"));
  const told = controller.takeTold();
  await blocks.measure(`all machines: ${BATCH} of them report healthy`, () => controller.sayInBatches(told.slice(1), "healthy"));
  controller.expect(id, "rolling");
  await blocks.measure("all machines: the end of the deployment", () => controller.say(told.slice(0, 1), "healthy"));
  controller.expect(id, "over");
}

async function rollback(controller: Controller): Promise<void> {
  const { blocks, engine } = controller;
  const app = appAt(2);
  controller.push(app, "bad");
  const id = controller.submit(app, "bad", EVERYBODY, [100]);
  await controller.rest();
  const told = controller.takeTold();
  await controller.sayInBatches(told.slice(0, Math.floor(told.length / 2)), "healthy");
  controller.expect(id, "rolling");
  await blocks.measure("all machines: rollback of the rollout", () => granted(engine.operators.command(id, { kind: "rollback" }, { by: "ann", reason: "" })));
  const back = controller.takeTold();
  await blocks.measure(`all machines: ${BATCH} of them are back`, () => controller.sayInBatches(back.slice(1), "healthy"));
  controller.expect(id, "rolling_back");
  await blocks.measure("all machines: the end of the rollback", () => controller.say(back.slice(0, 1), "healthy"));
  controller.expect(id, "over");
}

async function fleetOrders(controller: Controller): Promise<void> {
  const { blocks, engine, machines } = controller;
  const order = { by: "ann", reason: "" };
  const [first, second, third] = machines.slice(-3) as [MachineId, MachineId, MachineId];
  await blocks.measure("a machine is removed", () => granted(engine.orders.removeMachine(first, order)));
  await blocks.measure("a machine gets another label", () => granted(engine.orders.labelMachine(second, { set: { rack: "r-0" }, remove: [] }, "ann")));
  await blocks.measure("a machine is cordoned", () => granted(engine.orders.cordon(second, { drain: false, force: false }, order)));
  await blocks.measure("a machine is uncordoned", () => granted(engine.orders.uncordon(second, order)));
  await blocks.measure("a machine is drained", () => granted(engine.orders.cordon(third, { drain: true, force: false }, order)));
  await blocks.measure("a drained machine is uncordoned", () => granted(engine.orders.uncordon(third, order)));
  await controller.hello([first]);
  await blocks.measure("retention lets releases go", () => engine.retention.set({ keep: KEPT, keepForMs: 24 * 3_600_000, stepsForMs: 30 * 86_400_000 }, "ann"));
}

/** They are not heard, and then all of them in one turn. */
async function partition(controller: Controller, size: number): Promise<void> {
  const { blocks, machines } = controller;
  const cut = machines.slice(0, size);
  const of = size === machines.length ? "all machines" : `${size.toLocaleString("en")} machines`;
  await blocks.measure(`${of} fall silent`, () => controller.pass(SILENT_AFTER_MS + 2000, machines.slice(size)));
  await blocks.measure(`${of} are connected again, ${VOICES.toLocaleString("en")} in a turn`, () => controller.hello(cut));
  await controller.say(controller.takeTold(), "healthy");
  const said = controller.assignedTo(cut, 3);
  await blocks.measure(`${of} report, ${VOICES.toLocaleString("en")} in a turn`, async () => {
    for (const some of chunks(said, VOICES)) await controller.say(some, "healthy");
  });
}

function chunks<T>(all: readonly T[], size: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, index) => all.slice(index * size, (index + 1) * size));
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { what: { type: "string" }, world: { type: "string" }, machines: { type: "string" } } });
  const path = values.world!;
  const controller = new Controller(Number(values.machines));
  if (values.what === "rebuild") {
    await controller.blocks.measure("start: the tables are rebuilt from the journal", () => {
      const journal = Journal.open(path);
      journal.db.prepare("UPDATE meta SET value = '0' WHERE key = 'projection_version'").run();
      journal.close();
      Journal.open(path).close();
    });
  } else {
    await controller.start(path);
    if (values.what === "work") await work(controller);
    controller.engine.stop();
  }
  const run: HistoryRun = { blocks: controller.blocks.found, rssBytes: process.memoryUsage.rss() };
  process.stdout.write(`${JSON.stringify(run)}\n`, () => process.exit(0));
}
