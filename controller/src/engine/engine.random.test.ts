/**
 * The engine under whatever may happen in whatever order: machines that come, go silent, report well and badly, late and twice; operators who steer at
 * random; a controller that is killed between any two events. First everything goes wrong (safety), then nothing does any more (liveness). The seed is in the name of a
 * failing run, and the same seed gives the same run.
 */
import { describe, expect, test } from "vitest";
import type { DeploymentId, Generation, Instant, MachineId } from "@muster/proto/ids.ts";
import type { Labels } from "@muster/proto/selector.ts";
import { Journal } from "../journal/journal.ts";
import { loadActiveRollouts, loadRollout } from "../journal/load.ts";
import type { Gate, Size, Strategy } from "../plan/strategy.ts";
import { auditRollout } from "../rollout/invariants.ts";
import { type AgentPhase, isEnded } from "../rollout/state.ts";
import { ALL, APPROVAL, percent, prometheus, soak, webhook, wave } from "../rollout/rollout.fixture.ts";
import { lasting, World } from "./world.fixture.ts";

const SEEDS = 100;
const STEPS = 120;
const MACHINES = ["a", "b", "c", "d", "e", "f"];
const VERSIONS = ["1", "2", "3", "4"];

/** Mulberry32: small, and good enough to pick from a list. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Run {
  readonly world = new World();
  readonly #next: () => number;
  /** What each machine last said, to be said again now and then. */
  readonly #said = new Map<string, { phase: AgentPhase; generation: number }>();
  readonly #away = new Set<string>();

  constructor(seed: number) {
    this.#next = generator(seed);
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#next() * from.length)]!;
  }

  chance(probability: number): boolean {
    return this.#next() < probability;
  }

  async step(): Promise<void> {
    switch (this.pick(["report", "report", "report", "report", "report", "time", "time", "submit", "steer", "steer", "leave", "return", "restart", "answer", "order", "relabel", "remove"] as const)) {
      case "report":
        return this.report(this.pick(MACHINES));
      case "time":
        return this.pass(this.pick([100, 1000, 5000, 20_000, 100_000]));
      case "submit":
        this.world.submit(this.pick(VERSIONS), this.strategy());
        return;
      case "steer":
        return this.steer();
      case "leave":
        this.#away.add(this.pick(MACHINES));
        return;
      case "return":
        return this.comeBack(this.pick(MACHINES));
      case "answer":
        return this.answer();
      case "order":
        return this.order();
      case "relabel": {
        const machine = this.pick(MACHINES);
        if (this.isThere(machine)) this.world.label(this.labels(machine), machine);
        return;
      }
      case "remove": {
        const machine = this.pick(MACHINES);
        if (!this.isThere(machine) || this.chance(0.5)) return;
        this.world.remove(machine);
        // Until it joins anew.
        this.#away.add(machine);
        return;
      }
      case "restart":
        this.world.startEngine();
        return this.world.join(...MACHINES.filter((machine) => !this.#away.has(machine)));
    }
  }

  /** What the machine was told, or something older, in any phase; sometimes twice. */
  async report(machine: string): Promise<void> {
    if (this.#away.has(machine)) return;
    const generation = this.chance(0.9) ? this.world.generation(machine) : (this.#said.get(machine)?.generation ?? 0);
    if (generation === 0) return;
    const removes = this.world.wanted(machine) === "remove";
    const phase = this.pick<AgentPhase>(removes ? ["removing", "removed"] : ["pulling", "probing", "healthy", "healthy", "healthy", "reverted", "failed", "unhealthy"]);
    await this.world.say(machine, phase, generation);
    this.#said.set(machine, { phase, generation });
  }

  pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += 5000) {
      this.world.clock.advance(Math.min(5000, ms - passed));
      for (const machine of MACHINES) if (!this.#away.has(machine)) this.world.engine.heartbeat(machine as MachineId, 0 as Generation);
    }
  }

  async comeBack(machine: string): Promise<void> {
    this.#away.delete(machine);
    await this.world.joinAs(this.labels(machine), machine);
  }

  isThere(machine: string): boolean {
    return this.world.journal.db.prepare("SELECT 1 FROM machines WHERE id = ?").get(machine) !== undefined;
  }

  labels(machine: string): Labels {
    return { role: this.chance(0.9) ? "web" : "db", zone: MACHINES.indexOf(machine) % 2 === 0 ? "a" : "b" };
  }

  /** The world outside answers one of the questions that gates have asked, or another time an old one. */
  async answer(): Promise<void> {
    const { asked } = this.world;
    if (asked.length === 0) return;
    const kind = this.pick(["go", "go", "go", "stop", "wait", "silent"] as const);
    (this.chance(0.8) ? asked.at(-1)! : this.pick(asked)).answer({ kind, detail: kind });
    await new Promise((resolve) => setImmediate(resolve));
  }

  order(): void {
    const { orders } = this.world.engine;
    const by = { by: "anna", reason: "" };
    const machine = this.pick(MACHINES) as MachineId;
    switch (this.pick(["cordon", "drain", "uncordon", "uncordon", "budget", "unbudget", "freeze", "unfreeze"] as const)) {
      case "cordon":
        return void orders.cordon(machine, { drain: false, force: false }, by);
      case "drain":
        return void orders.cordon(machine, { drain: true, force: this.chance(0.5) }, by);
      case "uncordon":
        return void orders.uncordon(machine, by);
      case "budget":
        return void orders.setBudget(this.pick(["", "zone=a", "role=web"]), this.pick([0, 1, 2]), "anna");
      case "unbudget":
        return void orders.removeBudget(this.pick(["", "zone=a", "role=web"]), "anna");
      case "freeze":
        return void orders.addFreeze({ from: this.world.clock.now(), until: (this.world.clock.now() + this.pick([1000, 60_000])) as Instant }, by);
      case "unfreeze":
        for (const { id } of orders.freezes()) orders.endFreeze(id, "anna");
    }
  }

  steer(): void {
    const newest = this.deployments().length;
    if (newest === 0) return;
    const id = `d-${this.chance(0.7) ? newest : 1 + Math.floor(this.#next() * newest)}` as DeploymentId;
    const kind = this.pick(["pause", "resume", "resume", "abort", "rollback", "approve", "approve", "retry", "promote", "set_max_unavailable", "to"] as const);
    if (kind === "to") this.world.engine.operators.rollbackTo(id, this.pick(VERSIONS), { by: "anna", reason: "" });
    else this.world.command(id, kind);
  }

  strategy(): Partial<Strategy> {
    const size = (): Size => (this.chance(0.5) ? { kind: "count", count: 1 + Math.floor(this.#next() * 4) } : { kind: "percent", percent: this.pick([10, 34, 50, 100]) });
    return {
      waves: [
        this.chance(0.3) ? wave("zone=a", { gates: this.gates(), maxFailures: this.chance(0.3) ? size() : null }) : wave(size(), { gates: this.gates(), successThreshold: this.chance(0.3) ? size() : null }),
        this.chance(0.2) ? wave(percent(100), { gates: this.gates(), afterMs: 5000 }) : ALL,
      ],
      maxUnavailable: size(),
      maxUnreachable: this.chance(0.3) ? size() : null,
      ...this.pick([{}, {}, { spread: "zone" }, { maxUnavailablePer: [{ label: "zone", max: 1 }] }]),
      offline: this.pick([{ kind: "skip" }, { kind: "skip" }, { kind: "wait", forMs: null }, { kind: "wait", forMs: 20_000 }] as const),
      lateJoiners: this.pick(["deploy", "deploy", "ignore"]),
      window: this.chance(0.2) ? { cron: "* * * * *", durationMs: 1000, timeZone: "UTC" } : null,
      order: this.pick([[], [], [{ kind: "shuffle" }], [{ kind: "label", label: "zone", reversed: true }]] as const),
      start: this.chance(0.1) ? "manual" : "auto",
      startAt: this.chance(0.1) ? ((this.world.clock.now() + 30_000) as Instant) : null,
      priority: this.pick([0, 0, 1]),
      maxFailures: this.chance(0.5) ? { kind: "count", count: 0 } : size(),
      onFailure: this.pick(["rollback", "rollback", "pause", "abort"]),
      onConflict: this.pick(["queue", "supersede"]),
      progressDeadlineMs: 60_000,
    };
  }

  gates(): readonly Gate[] {
    const all: readonly Gate[] = [soak(5000), webhook({ retryIntervalMs: 1000, onSilence: this.pick(["stop", "go", "wait"]) }), prometheus({ intervalMs: 1000, count: 2 }), APPROVAL];
    return all.filter(() => this.chance(0.25));
  }

  deployments(): readonly DeploymentId[] {
    return this.world.journal.db.prepare("SELECT id FROM deployments ORDER BY number").pluck().all() as DeploymentId[];
  }

  /** What must hold between any two steps. */
  check(): void {
    const { engine, journal, bugs } = this.world;
    expect(bugs).toEqual([]);
    const active = loadActiveRollouts(journal);
    expect(active.filter((state) => state.phase !== "pending").length).toBeLessThanOrEqual(1);
    for (const stored of active) {
      auditRollout(stored);
      expect(lasting(engine.rollout(stored.id))).toEqual(lasting(stored));
      expect(engine.waitingOn(stored.id)).not.toBe("");
    }
  }

  /** Everybody is there, everybody does as told, and paused rollouts are resumed: all must come to an end. */
  async settle(): Promise<void> {
    for (const machine of MACHINES) await this.comeBack(machine);
    const { orders } = this.world.engine;
    for (const { id } of orders.freezes()) orders.endFreeze(id, "anna");
    for (const { selector } of orders.budgets()) orders.removeBudget(selector, "anna");
    for (const machine of MACHINES) orders.uncordon(machine as MachineId, { by: "anna", reason: "" });
    for (let round = 0; round < 200; round += 1) {
      const open = this.deployments().filter((id) => !isEnded(loadRollout(this.world.journal, id)!.phase));
      if (open.length === 0) return;
      for (const id of open) {
        if (loadRollout(this.world.journal, id)!.phase === "paused") this.world.command(id, "resume");
        this.world.command(id, "approve");
        if (this.world.waitingOn(id)?.includes("muster promote") === true) this.world.command(id, "promote");
      }
      for (const { answer } of this.world.asked) answer({ kind: "go", detail: "go" });
      await new Promise((resolve) => setImmediate(resolve));
      await this.work();
    }
    const stuck = this.deployments().map((id) => loadRollout(this.world.journal, id)!).filter((state) => !isEnded(state.phase));
    throw new Error(`did not end: ${stuck.map((state) => `${state.id} ${state.phase} wave ${state.wave} ${JSON.stringify(state.waves.map((wave) => wave.counts))}`).join("; ")}`);
  }

  /** Everybody does as told. */
  async work(): Promise<void> {
    for (const machine of MACHINES) {
      const generation = this.world.generation(machine);
      if (generation > 0) await this.world.say(machine, this.world.wanted(machine) === "remove" ? "removed" : "healthy", generation);
    }
    this.pass(1000);
  }

  /** Nobody is told anything more when all is done, and another controller finds nothing that this one has left. */
  async rest(): Promise<void> {
    const wanted = (): unknown => MACHINES.map((machine) => this.world.wanted(machine));
    for (let round = 0; round < 60; round += 1) await this.work();
    const before = wanted();
    this.world.startEngine();
    await this.world.join(...MACHINES);
    for (let round = 0; round < 30; round += 1) await this.work();
    expect(wanted()).toEqual(before);
  }

  /** The journal alone gives the same tables, and generations never went back. */
  finish(): void {
    const replayed = Journal.open(":memory:");
    const newest = new Map<string, number>();
    replayed.transaction(() => {
      for (const row of this.world.journal.read({ fromSeq: 1 })) {
        const { seq, entry } = row;
        replayed.append(entry, row);
        if (entry.kind !== "target_assigned") continue;
        expect(seq).toBeGreaterThan(newest.get(entry.machine) ?? 0);
        newest.set(entry.machine, seq);
      }
    });
    expect(this.world.tables(replayed)).toEqual(this.world.tables());
    replayed.close();
    this.world.engine.stop();
    this.world.journal.close();
  }
}

describe("whatever happens", () => {
  test.each(Array.from({ length: SEEDS }, (_, seed) => seed))("seed %i: the engine keeps its promises, and everything ends", async (seed) => {
    const run = new Run(seed);
    await run.world.join(...MACHINES);
    for (let step = 0; step < STEPS; step += 1) {
      await run.step();
      run.check();
    }
    await run.settle();
    await run.rest();
    run.finish();
  });
});
