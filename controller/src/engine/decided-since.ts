/**
 * What was decided about the machines of a deployment since it began, and stands: a retry gives its release to none of them, but to those that a person retries.
 *
 * Reads, and changes nothing. Costs nothing but a few questions to the tables where nothing was decided.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { type Labels, selects, widestSelector } from "@muster/proto/selector.ts";
import type { Strategy } from "../plan/strategy.ts";
import { goesOnWith } from "../rollout/leave.ts";
import type { RolloutReason, RolloutState } from "../rollout/state.ts";
import type { Facts, StandingRow } from "./facts.ts";
import type { World } from "./world.ts";

export interface DecidedFacts {
  readonly facts: Pick<Facts, "decisions" | "takenBack" | "standing">;
  readonly world: Pick<World, "labels">;
}

/** By machine, why its release is not given to it. */
export function decidedSince({ id, app, release, targets }: RolloutState, { facts, world }: DecidedFacts): ReadonlyMap<MachineId, RolloutReason> {
  const decided = new Map<MachineId, RolloutReason>();
  const startSeq = facts.decisions.startSeq(id);
  const takenBack = facts.takenBack(app, release, startSeq).filter((each) => each.by !== id);
  const standing = facts.standing(app).map((each) => ({ ...each, matches: widestSelector(each.selector), isNewer: each.startSeq > startSeq }));
  const labels: ReadonlyMap<MachineId, Labels> = takenBack.length > 0 || standing.some(({ isNewer }) => isNewer) ? world.labels() : new Map();
  for (const { by, selector } of takenBack) {
    const reason: RolloutReason = { code: "superseded", message: `${by} took ${release} back from machines like it since` };
    const matches = widestSelector(selector);
    // Whatever labels those have by now that it was taken back from.
    const told = new Set(facts.decisions.toldIn(by));
    for (const machine of targets.keys()) if (told.has(machine) || selects(matches, labels.get(machine) ?? {})) decided.set(machine, reason);
  }
  // What stands for a machine that is none of its targets, as it has the release already, has decided about it all the same.
  for (const machine of targets.keys()) {
    const newest = labels.size === 0 ? undefined : standing.find(({ matches }) => selects(matches, labels.get(machine) ?? {}));
    if (newest?.isNewer === true && newest.id !== id && givesToAll(newest)) decided.set(machine, goesOnWith(newest));
  }
  for (const later of [...facts.decisions.leftOutSince(id), ...facts.decisions.laterTargets(id)]) decided.set(later.machine, goesOnWith({ id: later.deployment, release: later.release }));
  return decided;
}

/** Also to machines that it had no part in when it began. */
function givesToAll({ strategy }: StandingRow): boolean {
  try {
    return (JSON.parse(strategy) as Strategy).lateJoiners === "deploy";
  } catch {
    // Nothing older is given either to those that it may be for.
    return true;
  }
}
