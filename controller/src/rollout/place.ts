/**
 * Who may start now: the window, the lanes, the budgets of groups, and the time. All of them count machines that do not serve, whatever made them so (ADR 23).
 */
import { hasRoom } from "./availability.ts";
import { costsNothing, laneKeys } from "./derived.ts";
import type { Moment } from "./moment.ts";
import { isWayBack, type Purpose, type RolloutState, type Target } from "./state.ts";
import type { Opening, Surroundings } from "./surroundings.ts";
import type { Blocker } from "./turns.ts";

/** A target that does not serve already costs nothing more: it goes back at once. Of those that take the release, `window` at most are changing at once all the same. */
export function hasPlace(state: RolloutState, target: Target, window: number, purpose: Purpose): boolean {
  const { changing, down, leftOut } = state.availability;
  const others = { changing: changing.size + leftOut.changing.size - (changing.has(target.machine) ? 1 : 0), down: down.size + leftOut.down.size - (down.has(target.machine) ? 1 : 0) };
  if (costsNothing(state, target)) return purpose === "revert" || others.changing < window;
  return hasRoom({ max: window, ...others });
}

export function blockers(state: RolloutState, world: Surroundings, purpose: Purpose): (target: Target) => Blocker | undefined {
  return (target) => {
    const full = fullLane(state, target);
    if (full !== undefined) return { of: "lane", keys: full };
    const budget = fullBudget(state, target, world, purpose);
    return budget === undefined ? undefined : { of: "target", key: budget };
  };
}

/** A deployment that is a way back goes by what budgets say of going back. */
export function fullBudget(state: RolloutState, { machine }: Target, world: Surroundings, purpose: Purpose): string | undefined {
  return world.fullBudget(machine, isWayBack(state) ? "revert" : purpose);
}

/** A value that is full holds back its own; values of a spread label hold back one another, and each of them waits for all the others to settle. */
function fullLane(state: RolloutState, target: Target): readonly string[] | undefined {
  return laneWithout(state, target, (max, changing, down) => hasRoom({ max, changing, down }));
}

/** The same for a target that costs nothing: its own machine takes no place in its lane, nor do those that are down. */
export function fullOfOthers(state: RolloutState, target: Target): readonly string[] | undefined {
  const own = state.availability.changing.has(target.machine) ? 1 : 0;
  return laneWithout(state, target, (max, changing) => changing - own < max);
}

function laneWithout(state: RolloutState, target: Target, hasRoomIn: (max: number, changing: number, down: number) => boolean): readonly string[] | undefined {
  if (state.lanes.length === 0) return undefined;
  const { values, others } = laneKeys(state, target);
  const { changingIn, downIn } = state.availability;
  for (const [index, { label, max }] of state.lanes.entries()) {
    const changing = changingIn.get(values[index]!) ?? 0;
    if (max !== null && !hasRoomIn(max, changing, downIn.get(values[index]!) ?? 0)) return [values[index]!];
    if (max === null && (changingIn.get(label) ?? 0) > changing) return [others[index]!, label];
  }
  return undefined;
}

/** Whether a target may be told of the release now. Going back is never a matter of time: also of those that were away, and have still what was taken back from the others. */
export function opening(state: RolloutState, world: Surroundings, now: Moment): Opening & { readonly kind: "freeze" | "window" } {
  if (state.strategy.isWayBack === true) return { open: true, until: null, kind: "freeze" };
  const frozen = world.frozen(now.at);
  if (!frozen.open || state.promoted || state.strategy.window === null) return { ...frozen, kind: "freeze" };
  return { ...world.opening(state.strategy.window, now.at), kind: "window" };
}
