/**
 * What was decided about the machines of a deployment since it began, and stands: a retry gives its release to none of them, but to those that a person retries.
 *
 * Reads, and changes nothing. Costs nothing but two questions to the tables where nothing was decided.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { type Labels, selects } from "@muster/proto/selector.ts";
import type { RolloutReason, RolloutState } from "../rollout/state.ts";
import type { Facts } from "./facts.ts";
import { selectorOf } from "./own-bug.ts";
import type { World } from "./world.ts";

export interface DecidedFacts {
  readonly facts: Pick<Facts, "decisions" | "takenBack">;
  readonly world: Pick<World, "labels">;
}

/** By machine, why its release is not given to it. */
export function decidedSince({ id, app, release, targets }: RolloutState, { facts, world }: DecidedFacts): ReadonlyMap<MachineId, RolloutReason> {
  const decided = new Map<MachineId, RolloutReason>();
  const startSeq = facts.decisions.startSeq(id);
  const takenBack = facts.takenBack(app).filter((each) => each.release === release && each.by !== id && each.seq > startSeq);
  const labels: ReadonlyMap<MachineId, Labels> = takenBack.length === 0 ? new Map() : world.labels();
  for (const { by, selector } of takenBack) {
    const reason: RolloutReason = { code: "superseded", message: `${by} took ${release} back from machines like it since` };
    const matches = selectorOf(selector);
    for (const machine of targets.keys()) if (selects(matches, labels.get(machine) ?? {})) decided.set(machine, reason);
  }
  for (const later of facts.decisions.laterTargets(id)) {
    decided.set(later.machine, { code: "superseded", message: `${later.deployment} (${later.release}) goes on with it` });
  }
  return decided;
}
