/**
 * The engine under whatever may happen in whatever order: machines that come, go silent, report well and badly, late and twice; operators who steer at
 * random; a controller that is killed between any two events. First everything goes wrong (safety), then nothing does any more (liveness). The seed is in the name of a
 * failing run, and the same seed gives the same run.
 */
import { describe, expect, test } from "vitest";
import type { DeploymentId, Generation, MachineId } from "@muster/proto/ids.ts";
import { Journal } from "../journal/journal.ts";
import { loadActiveRollouts, loadRollout } from "../journal/load.ts";
import type { Size, Strategy } from "../plan/strategy.ts";
import { auditRollout } from "../rollout/invariants.ts";
import { type AgentPhase, isEnded } from "../rollout/state.ts";
import { ALL, wave } from "../rollout/rollout.fixture.ts";
import { World } from "./world.fixture.ts";

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
    switch (this.pick(["report", "report", "report", "report", "report", "time", "time", "submit", "steer", "leave", "return", "restart"] as const)) {
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
    await this.world.join(machine);
  }

  steer(): void {
    const newest = this.deployments().length;
    if (newest === 0) return;
    const id = `d-${this.chance(0.7) ? newest : 1 + Math.floor(this.#next() * newest)}` as DeploymentId;
    this.world.command(id, this.pick(["pause", "resume", "resume", "abort", "rollback"] as const));
  }

  strategy(): Partial<Strategy> {
    const size = (): Size => (this.chance(0.5) ? { kind: "count", count: 1 + Math.floor(this.#next() * 4) } : { kind: "percent", percent: this.pick([10, 34, 50, 100]) });
    return {
      waves: [wave(size()), ALL],
      maxUnavailable: size(),
      maxFailures: this.chance(0.5) ? { kind: "count", count: 0 } : size(),
      onFailure: this.pick(["rollback", "rollback", "pause", "abort"]),
      onConflict: this.pick(["queue", "supersede"]),
      progressDeadlineMs: 60_000,
    };
  }

  deployments(): readonly DeploymentId[] {
    return this.world.journal.db.prepare("SELECT id FROM deployments ORDER BY number").pluck().all() as DeploymentId[];
  }

  /** What must hold between any two steps. */
  check(): void {
    const { engine, journal } = this.world;
    const active = loadActiveRollouts(journal);
    expect(active.filter((state) => state.phase !== "pending").length).toBeLessThanOrEqual(1);
    for (const stored of active) {
      auditRollout(stored);
      expect(engine.rollout(stored.id)).toEqual(stored);
    }
  }

  /** Everybody is there, everybody does as told, and paused rollouts are resumed: all must come to an end. */
  async settle(): Promise<void> {
    for (const machine of MACHINES) await this.comeBack(machine);
    for (let round = 0; round < 200; round += 1) {
      const open = this.deployments().filter((id) => !isEnded(loadRollout(this.world.journal, id)!.phase));
      if (open.length === 0) return;
      for (const id of open) if (loadRollout(this.world.journal, id)!.phase === "paused") this.world.command(id, "resume");
      for (const machine of MACHINES) {
        const generation = this.world.generation(machine);
        if (generation > 0) await this.world.say(machine, this.world.wanted(machine) === "remove" ? "removed" : "healthy", generation);
      }
      this.pass(1000);
    }
    const stuck = this.deployments().map((id) => loadRollout(this.world.journal, id)!).filter((state) => !isEnded(state.phase));
    throw new Error(`did not end: ${stuck.map((state) => `${state.id} ${state.phase} wave ${state.wave} ${JSON.stringify(state.waves.map((wave) => wave.counts))}`).join("; ")}`);
  }

  /** The journal alone gives the same tables, and generations never went back. */
  finish(): void {
    const replayed = Journal.open(":memory:");
    const newest = new Map<string, number>();
    replayed.transaction(() => {
      for (const { seq, at, entry } of this.world.journal.read({ fromSeq: 1 })) {
        replayed.append(entry, at);
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
    run.finish();
  });
});
