/**
 * Somebody who looks after what waits for somebody, once the faults have ended: resumes, approves, starts, lets machines be used again. Does no more than is needed, so that
 * whatever should go on by itself has to.
 */
import type { Engine } from "@muster/controller/src/engine/engine.ts";
import { Violation } from "./violation.ts";
import type { ModelRollout } from "./model.ts";
import type { World } from "./world.ts";

const ORDER = { by: "caretaker", reason: "" };
/** Paused again so often without that any of its targets has changed meanwhile, it is stuck. */
const FRUITLESS_MAX = 5;
/** Somebody who has resumed it so often gives a bad release up. */
const RESUMES_MAX = 20;
/** Virtual time after which a rollout that waits for a machine, or for a deployment that never came, is given up. */
const PATIENCE_MS = 1_800_000;

export class Caretaker {
  readonly #world: World;
  readonly #resumes = new Map<string, { readonly times: number; readonly fruitless: number; readonly changes: number }>();
  readonly #calmAt: number;

  constructor(world: World) {
    this.#world = world;
    this.#calmAt = world.timeline.now;
  }

  /** Cordons, budgets and freezes end with the faults. */
  tidy(engine: Engine): void {
    for (const machine of this.#world.machines.keys()) engine.orders.uncordon(machine, ORDER);
    for (const { selector } of engine.orders.budgets()) engine.orders.removeBudget(selector, "caretaker");
    for (const { id } of engine.orders.freezes()) engine.orders.endFreeze(id, "caretaker");
  }

  look(engine: Engine): void {
    for (const rollout of [...this.#world.checks.model.open]) this.#steer(engine, rollout);
  }

  #steer(engine: Engine, rollout: ModelRollout): void {
    const { id, phase } = rollout;
    const held = engine.rollout(id)?.hold;
    if (phase === "paused") return this.#resume(engine, rollout);
    if (held?.kind === "approval" || (phase === "pending" && rollout.strategy.start === "manual" && !rollout.isStartApproved)) engine.operators.command(id, { kind: "approve", wave: 0 }, ORDER);
    const isLate = this.#world.timeline.now - this.#calmAt > PATIENCE_MS;
    if (!isLate) return;
    // A webhook that says nothing, a machine that never comes back.
    if (phase === "rolling" && (held?.kind === "webhook" || held?.kind === "prometheus" || (held?.kind === "offline" && this.#hasGone(rollout)))) {
      engine.operators.command(id, { kind: "promote", all: true }, ORDER);
    }
    if (phase === "pending" && rollout.strategy.after !== null) engine.operators.command(id, { kind: "abort" }, ORDER);
  }

  #resume(engine: Engine, rollout: ModelRollout): void {
    const before = this.#resumes.get(rollout.id) ?? { times: 0, fruitless: -1, changes: 0 };
    const changes = rollout.waves.reduce((sum, wave) => sum + wave.changes, 0);
    const fruitless = changes === before.changes ? before.fruitless + 1 : 0;
    const times = before.times + 1;
    this.#resumes.set(rollout.id, { times, fruitless, changes });
    const hasGone = this.#hasGone(rollout);
    if (fruitless > FRUITLESS_MAX && !hasGone) throw new Violation("ends", `${rollout.id} was resumed ${times} times and is paused again, with nothing changed`);
    const kind = times > RESUMES_MAX || fruitless > FRUITLESS_MAX ? "abort" : "resume";
    engine.operators.command(rollout.id, { kind }, ORDER);
  }

  #hasGone({ targets }: ModelRollout): boolean {
    return [...targets.keys()].some((machine) => this.#world.machines.get(machine)?.isGone === true);
  }
}
