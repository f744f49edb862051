/**
 * Who may move now: the window, the lanes, the budgets of groups, and the time.
 */
import type { Instant, MachineId } from "@muster/proto/ids.ts";
import { laneKeys } from "./derived.ts";
import type { Purpose, RolloutState, Target } from "./state.ts";
import type { Opening, Surroundings } from "./surroundings.ts";
import type { Blocker } from "./turns.ts";

/**
 * Targets that are unavailable for other reasons take places, too; but one place is always left, so that a silent machine never holds a rollout for ever. A target
 * that is unavailable already costs nothing more.
 */
export function hasPlace(state: RolloutState, target: Target, window: number): boolean {
  const others = state.unwellAtRest - (state.unwell.has(target.machine) ? 1 : 0);
  return hasRoom(window, state.moving.size, others);
}

/** A group of machines of which only `max` may be unavailable at once, over all rollouts; 0 is nobody at all. */
export interface Occupied {
  readonly max: number;
  readonly moving: ReadonlySet<MachineId>;
  /** Unavailable for other reasons. */
  readonly atRest: ReadonlySet<MachineId>;
  /** Those for other reasons that are not counted in `atRest`. Default 0. */
  readonly restingElsewhere?: number;
}

/** As in a rollout's own window. A way back needs a place like a way forward, but always has one. */
export function budgetHasRoom({ max: most, moving, atRest, restingElsewhere = 0 }: Occupied, machine: MachineId, purpose: Purpose): boolean {
  const max = purpose === "revert" ? Math.max(1, most) : most;
  const besides = (machines: ReadonlySet<MachineId>) => machines.size - (machines.has(machine) ? 1 : 0);
  return max > 0 && hasRoom(max, besides(moving), restingElsewhere + besides(atRest));
}

/** One place is always left. */
function hasRoom(max: number, moving: number, others: number): boolean {
  return moving < Math.max(1, max - others);
}

export function blockers(state: RolloutState, world: Surroundings, purpose: Purpose): (target: Target) => Blocker | undefined {
  return (target) => {
    const full = fullLane(state, target);
    if (full !== undefined) return { of: "lane", keys: full };
    const budget = world.fullBudget(target.machine, purpose);
    return budget === undefined ? undefined : { of: "target", key: budget };
  };
}

/** A value that is full holds back its own; values of a spread label hold back one another, and each of them waits for all the others to stop. */
function fullLane(state: RolloutState, target: Target): readonly string[] | undefined {
  if (state.lanes.length === 0) return undefined;
  const { values, others } = laneKeys(state, target);
  for (const [index, { label, max }] of state.lanes.entries()) {
    const inLane = state.movingIn.get(values[index]!) ?? 0;
    if (max !== null && inLane >= max) return [values[index]!];
    if (max === null && (state.movingIn.get(label) ?? 0) > inLane) return [others[index]!, label];
  }
  return undefined;
}

/** Whether a target may be told of the release now. Going back is never a matter of time. */
export function opening(state: RolloutState, world: Surroundings, now: Instant): Opening & { readonly kind: "freeze" | "window" } {
  const frozen = world.frozen(now);
  if (!frozen.open || state.promoted || state.strategy.window === null) return { ...frozen, kind: "freeze" };
  return { ...world.opening(state.strategy.window, now), kind: "window" };
}
