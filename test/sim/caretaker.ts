/**
 * Somebody who looks after what waits for somebody, once the faults have ended: resumes, approves, starts, gives up. Reads what operators read, and does no more than is needed,
 * so that whatever should go on by itself has to.
 */
import type { DeploymentId } from "@muster/proto/ids.ts";
import type { World } from "./world.ts";

/** Somebody who has resumed it so often gives a bad release up. */
const RESUMES_MAX = 8;
/** Virtual time after which a rollout that waits for a machine, or for a deployment that never came, is given up. */
const PATIENCE_MS = 1_800_000;
/** Between two looks at the same rollout: what was done takes a while to show. */
const PAUSE_MS = 30_000;

export class Caretaker {
  readonly #world: World;
  readonly #resumes = new Map<string, number>();
  readonly #seenAt = new Map<string, number>();
  readonly #calmAt: number;

  constructor(world: World) {
    this.#world = world;
    this.#calmAt = world.timeline.now;
  }

  look(): void {
    for (const id of [...this.#world.checks.open]) this.#steer(id);
  }

  #steer(id: DeploymentId): void {
    const { desk, oracle, controller, timeline } = this.#world;
    if (timeline.now - (this.#seenAt.get(id) ?? -PAUSE_MS) < PAUSE_MS) return;
    const phase = oracle.phaseOf(id);
    const waits = controller.waitingOn(id) ?? "";
    const isLate = timeline.now - this.#calmAt > PATIENCE_MS;
    this.#seenAt.set(id, timeline.now);
    if (phase === "paused") {
      const times = (this.#resumes.get(id) ?? 0) + 1;
      this.#resumes.set(id, times);
      desk.command(id, { kind: times > RESUMES_MAX ? "abort" : "resume" });
    } else if (/approve|start it/.test(waits)) desk.command(id, { kind: "approve", wave: 0 });
    else if (isLate && phase === "pending") desk.command(id, { kind: "abort" });
    // A webhook that says nothing, a machine that never comes back.
    else if (isLate && phase === "rolling" && this.#resumes.get(`late ${id}`) === undefined) {
      this.#resumes.set(`late ${id}`, 1);
      desk.command(id, { kind: "promote", all: true });
    } else if (isLate && timeline.now - this.#calmAt > 2 * PATIENCE_MS) desk.command(id, { kind: "abort" });
    else this.#seenAt.delete(id);
  }
}
