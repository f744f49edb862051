/**
 * One life of an agent, from its start to its death. What it knows beyond the disk dies with it: whatever it was about to do is dropped.
 */
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Picture } from "@muster/agent/machine/picture.ts";
import { type AppState, emptyState } from "@muster/agent/machine/state.ts";
import { SimApp } from "./app.ts";
import type { Cancel } from "./clock.ts";
import type { Host } from "./host.ts";
import type { ControllerSide, Life, Surroundings } from "./life.ts";
import { Link } from "./link.ts";
import type { Network } from "./network.ts";
import type { Random } from "./random.ts";
import { Turn } from "./slot.ts";

export class Agent implements Life {
  readonly machine: Host;
  readonly random: Random;
  readonly network: Network;
  readonly controller: ControllerSide;
  readonly turn = new Turn();
  readonly link: Link;
  readonly apps = new Map<string, SimApp>();
  isAlive = true;
  readonly #surroundings: Surroundings;
  readonly #onDeath: () => void;
  /** What the wall clock said at its start, against true time: later corrections do not reach it. */
  readonly #offsetMs: number;
  #knowsUrl = false;

  constructor(machine: Host, surroundings: Surroundings, onDeath: () => void) {
    this.machine = machine;
    this.#onDeath = onDeath;
    this.#surroundings = surroundings;
    this.random = surroundings.random;
    this.network = surroundings.network;
    this.controller = surroundings.controller;
    this.#offsetMs = machine.clockOffsetMs;
    this.link = new Link(this);
  }

  /** Looks at what is written down, then at the world, and goes on. */
  start(): void {
    this.machine.unwritten.clear();
    // Through JSON, as from a disk.
    for (const [app, state] of this.machine.disk.apps) this.apps.set(app, new SimApp(this, JSON.parse(JSON.stringify(state)) as AppState));
    for (const app of this.apps.values()) app.wake();
    this.#hand();
    this.link.open();
  }

  die(): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    this.link.drop();
    this.#onDeath();
  }

  /** With its host: nobody learns of it. */
  vanish(): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    this.link.forget();
    this.#onDeath();
  }

  get generation(): number {
    return this.machine.disk.assignment?.generation ?? 0;
  }

  get now(): number {
    return this.#surroundings.timeline.now + this.#offsetMs;
  }

  after(delayMs: number, act: () => unknown): Cancel {
    return this.#surroundings.timeline.after(delayMs, () => {
      if (this.isAlive) act();
    });
  }

  /** Once in a while the agent is killed exactly here. */
  diesNow(): boolean {
    if (!this.isAlive) return true;
    if (!this.random.chance(this.#surroundings.faults.agentDies)) return false;
    this.die();
    return true;
  }

  stumbles(): boolean {
    return this.random.chance(this.#surroundings.faults.stepFails);
  }

  isSlow(): boolean {
    return this.random.chance(this.#surroundings.faults.stepSlow);
  }

  hasUrl(): void {
    this.#knowsUrl = true;
  }

  /** Artifacts come from the controller, by HTTP. */
  canFetch(): boolean {
    return this.#knowsUrl && this.controller.isUp && this.network.reaches(this.machine.id);
  }

  offer(assignment: Assignment): void {
    if (!this.isAlive || assignment.generation <= this.generation || this.machine.isDiskFull) return;
    this.machine.take(assignment);
    if (this.diesNow()) return;
    this.#hand();
  }

  heard(paceMs: number): void {
    for (const app of this.apps.values()) if (this.isAlive) app.heard(paceMs);
  }

  sayAgain(): void {
    for (const app of this.apps.values()) if (this.isAlive) app.post({ kind: "forgotten" });
  }

  spool(picture: Picture): void {
    this.machine.spool(picture, this.now);
    this.link.sendReports();
  }

  #hand(): void {
    for (const goal of this.machine.disk.assignment?.apps ?? []) {
      let app = this.apps.get(goal.app);
      if (app === undefined) {
        app = new SimApp(this, emptyState(goal.app, this.now));
        this.apps.set(goal.app, app);
      }
      app.post({ kind: "goal", goal });
      if (!this.isAlive) return;
    }
  }
}
