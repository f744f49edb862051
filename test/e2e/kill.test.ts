/**
 * kill -9 of the controller, of nats-server, of one agent, and of all of them together, each at random moments of rollouts.
 *
 * Each kind keeps one fleet for all its rounds; each round rolls out a new version, some of them broken. The moments come from a seed, which is printed; MUSTER_SEED repeats a run.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, describe, expect, it, vi } from "vitest";

import { DevFleet, type FleetEvent, isAlive, type Status } from "./fleet.ts";
import { ask, type Answer, type Start, TestApp } from "./test-app.ts";

const ROUNDS = 20;
/** From its first step, until a broken release has failed; long enough for the good one to be healthy again on a busy machine. */
const BROKEN_DEADLINE_MS = 3_000;
const MACHINES = ["dev-0", "dev-1", "dev-2"];
/** Every so manieth round is of a release that is never healthy. */
const BROKEN_EVERY = 4;

const seed = Number(process.env["MUSTER_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

interface Kind {
  readonly name: string;
  readonly strike: (fleet: DevFleet, fraction: () => number) => Promise<void>;
}

const KINDS: readonly Kind[] = [
  { name: "the controller", strike: (fleet) => fleet.end(fleet.file().controller.pid) },
  { name: "nats-server", strike: (fleet) => fleet.end(fleet.file().nats.pid) },
  { name: "one agent", strike: (fleet, fraction) => fleet.end(fleet.file().agents[Math.floor(fraction() * MACHINES.length)]!.pid) },
  {
    name: "all of them together",
    strike: async (fleet) => {
      await fleet.killAll();
      await fleet.up();
    },
  },
];

const slowest = new Map<string, number>();

afterAll(() => {
  console.log([`kill -9, seed ${seed} (MUSTER_SEED=${seed} repeats it)`, ...[...slowest].map(([name, ms]) => `  ${name.padEnd(22)} ${ROUNDS} rounds, slowest ${(ms / 1000).toFixed(1)} s`)].join("\n"));
});

describe.concurrent("a rollout ends right, nothing is done twice and nobody is restarted, when kill -9 hits", () => {
  it.each(KINDS)("$name at 20 random moments", async ({ name, strike }) => {
    const fraction = mulberry32(seed + KINDS.findIndex((kind) => kind.name === name));
    const fleet = await DevFleet.start({ agents: MACHINES.length });
    try {
      const trial = new Trial(fleet);
      await trial.begin();
      for (let round = 1; round <= ROUNDS; round += 1) {
        const isBroken = round % BROKEN_EVERY === 0;
        const delayMs = Math.round(fraction() * (trial.rolloutMs + (isBroken ? BROKEN_DEADLINE_MS : 0)));
        const startedAt = performance.now();
        await trial.round(`${round}`, isBroken, async () => {
          await sleep(delayMs);
          await strike(fleet, fraction);
        }).catch((error: unknown) => {
          throw new Error(`round ${round} (seed ${seed}, ${isBroken ? "broken" : "good"} release, killed after ${delayMs} ms)`, { cause: error });
        });
        slowest.set(name, Math.max(slowest.get(name) ?? 0, performance.now() - startedAt));
      }
      await trial.finish();
    } finally {
      await fleet.stop();
    }
  });
});

class Trial {
  readonly #fleet: DevFleet;
  readonly #shop: TestApp;
  readonly #bystander: TestApp;
  #ports: Readonly<Record<string, number>> = {};
  #bystanders: Readonly<Record<string, Answer>> = {};
  #good = "0";
  /** How long a rollout takes here when nothing is killed; the kill comes at any moment of it. */
  rolloutMs = 0;

  constructor(fleet: DevFleet) {
    this.#fleet = fleet;
    this.#shop = new TestApp(fleet, "shop");
    this.#bystander = new TestApp(fleet, "bystander");
  }

  async begin(): Promise<void> {
    for (const file of [this.#bystander.release("1", { interval: "1s" }), this.#shop.release("0")]) {
      const status = await this.#fleet.ended(await this.#fleet.deploy(file));
      expect(status).toMatchObject({ phase: "succeeded" });
      this.rolloutMs = Date.parse(status.ended_at!) - Date.parse(status.started_at!);
    }
    this.#bystanders = await this.#bystander.answers(MACHINES);
    this.#ports = Object.fromEntries(MACHINES.map((machine) => [machine, this.#shop.port(machine)]));
  }

  async round(version: string, isBroken: boolean, strike: () => Promise<void>): Promise<void> {
    await this.#fleet.whole();
    const before = this.#shop.starts().length;
    const running = await this.#answers();
    const file = isBroken
      ? this.#shop.release(version, { behaviour: "never_healthy", rollout: { healthy_deadline: `${BROKEN_DEADLINE_MS}ms` } })
      : this.#shop.release(version);
    const id = await this.#fleet.deploy(file);
    const [status] = await Promise.all([this.#fleet.ended(id), strike()]);
    const starts = this.#shop.starts().slice(before);
    if (isBroken) await this.#expectTakenBack(status, version, starts, running);
    else await this.#expectSucceeded(status, version, starts);
    await this.#expectBystandersUntouched();
  }

  async finish(): Promise<void> {
    // The last reports of the last round may still be on their way, or not even be written: an agent killed late comes back after the rollout's end.
    await vi.waitFor(async () => {
      const written = this.#fleet.file().agents.map(({ id, dir }) => newsWritten(id, dir));
      expect(reportsAccepted(await this.#fleet.events())).toEqual(Object.fromEntries(written));
    }, 30_000);
    expect(this.#bystander.starts().map(({ machine }) => machine).sort()).toEqual(MACHINES);
  }

  async #expectSucceeded(status: Status, version: string, starts: readonly Start[]): Promise<void> {
    expect(status).toMatchObject({ phase: "succeeded" });
    for (const target of status.targets!) expect(target).toMatchObject({ state: "healthy", attempts: 1 });
    expect(starts.map((start) => `${start.machine} ${start.version}`).sort()).toEqual(MACHINES.map((machine) => `${machine} ${version}`));
    this.#good = version;
    expectEach(await this.#answers(), (machine) => ({ machine, version, pid: starts.find((start) => start.machine === machine)!.pid }));
  }

  async #expectTakenBack(status: Status, version: string, starts: readonly Start[], running: Readonly<Record<string, Answer>>): Promise<void> {
    expect(status).toMatchObject({ phase: "rolled_back", reason: { code: "never_healthy" } });
    const [hit, ...others] = status.targets!;
    expect(hit).toMatchObject({ state: "reverted", attempts: 2, previous_version: this.#good });
    for (const target of others) expect(target).toMatchObject({ state: "pending", attempts: 0 });
    // The broken one may be started again; what it is taken back to is started once.
    expect(starts.map((start) => start.machine)).toEqual(starts.map(() => hit!.machine));
    expect(starts.filter((start) => start.version !== version).map((start) => start.version)).toEqual([this.#good]);
    const back = starts.at(-1)!;
    expectEach(await this.#answers(), (machine) => (machine === hit!.machine ? { machine, version: this.#good, pid: back.pid } : running[machine]!));
  }

  async #expectBystandersUntouched(): Promise<void> {
    expect(this.#bystander.starts()).toHaveLength(MACHINES.length);
    for (const { pid } of Object.values(this.#bystanders)) expect(isAlive(pid)).toBe(true);
  }

  async #answers(): Promise<Readonly<Record<string, Answer>>> {
    const answers = Object.entries(this.#ports).map(async ([machine, port]) => [machine, await ask(port)] as const);
    return Object.fromEntries(await Promise.all(answers));
  }
}

function expectEach(answers: Readonly<Record<string, Answer>>, wanted: (machine: string) => Answer): void {
  expect(answers).toEqual(Object.fromEntries(MACHINES.map((machine) => [machine, wanted(machine)])));
}

/** By machine and agent instance: the sequences of all reports that were accepted, in the order in which the journal has them. */
function reportsAccepted(events: readonly FleetEvent[]): Readonly<Record<string, readonly number[]>> {
  const accepted: Record<string, number[]> = {};
  for (const { kind, machine, data } of events) {
    if (kind === "report_accepted") (accepted[`${machine} ${String(data["instance"])}`] ??= []).push(data["reportSeq"] as number);
  }
  return accepted;
}

/** All that an agent ever reported and that says something new, from its spool: too little for the spool to have forgotten any of it. What it says again after a kill is acknowledged, and leaves no row. */
function newsWritten(machine: string, dir: string): readonly [instance: string, sequences: readonly number[]] {
  const lines = readFileSync(join(dir, "spool.jsonl"), "utf8").trimEnd().split("\n").map((line) => JSON.parse(line.slice(line.indexOf(" "))) as Record<string, unknown>);
  const [header, ...reports] = lines;
  const sequences = reports.map((report) => report["seq"] as number);
  expect(sequences).toEqual(sequences.map((_, index) => index + 1));
  const last = new Map<unknown, string>();
  const news = reports.filter(({ seq: _seq, observedAt: _observedAt, ...says }) => {
    const text = JSON.stringify(says);
    const isNew = last.get(says["app"]) !== text;
    last.set(says["app"], text);
    return isNew;
  });
  return [`${machine} ${String(header!["instanceId"])}`, news.map(({ seq }) => seq as number)];
}

/** From 0 to below 1, the same row for the same seed. */
function mulberry32(from: number): () => number {
  let state = from >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
