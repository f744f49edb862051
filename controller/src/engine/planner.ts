/**
 * Makes the plan of a deployment that is to begin. Selecting and sorting a large fleet is work for a turn of its own, before the transaction that begins the deployment; what was planned
 * counts there if nothing that it depends on has changed since.
 */
import type { DeploymentId } from "@muster/proto/ids.ts";
import { checkedSelector } from "@muster/proto/selector.ts";
import type { Journal } from "../journal/journal.ts";
import { type Plan, type PlanMachine, planRollout } from "../plan/plan.ts";
import type { RolloutState } from "../rollout/state.ts";
import { selectMachines } from "./fleet-plan.ts";
import { ofRollout } from "./own-bug.ts";
import type { World } from "./world.ts";

/** Fleets up to this size are planned where the deployment begins. */
export const PLANNED_AT_ONCE_MAX = 500;
/** Plans that were out of date when they were to be used, before one is made on the spot. */
const TRIES_MAX = 3;

export interface Planned {
  /** All that the selector selects. */
  readonly machines: readonly PlanMachine[];
  readonly plan: Plan;
}

interface Kept extends Planned {
  readonly version: string;
}

export class Planner {
  readonly #journal: Journal;
  readonly #world: World;
  readonly #kept = new Map<DeploymentId, Kept>();
  readonly #tries = new Map<DeploymentId, number>();

  constructor(journal: Journal, world: World) {
    this.#journal = journal;
    this.#world = world;
  }

  /** As things stand now; undefined: it must be prepared first. Throws a RolloutBug. */
  take(state: RolloutState): Planned | undefined {
    const { id, app } = state;
    const kept = this.#kept.get(id);
    this.#kept.delete(id);
    const tries = this.#tries.get(id) ?? 0;
    const isFresh = kept?.version === this.#world.planningVersion(app);
    if (!isFresh && this.#world.fleet.size > PLANNED_AT_ONCE_MAX && tries < TRIES_MAX) return undefined;
    this.#tries.delete(id);
    return kept !== undefined && isFresh ? kept : this.#make(state);
  }

  /** All plans are made anew. */
  forgetAll(): void {
    this.#kept.clear();
    this.#tries.clear();
  }

  /** In a turn of its own. Throws a RolloutBug. */
  prepare(state: RolloutState): void {
    const { id, app } = state;
    this.#tries.set(id, (this.#tries.get(id) ?? 0) + 1);
    this.#kept.set(id, { ...this.#make(state), version: this.#world.planningVersion(app) });
  }

  /** It will not begin. */
  forget(id: DeploymentId): void {
    this.#kept.delete(id);
    this.#tries.delete(id);
  }

  #make({ id, app, strategy, release }: RolloutState): Planned {
    return ofRollout(id, () => {
      const machines = selectMachines(this.#journal, this.#world, app, checkedSelector(strategy.targets), release, id);
      return { machines, plan: planRollout(strategy, machines, release) };
    });
  }
}
