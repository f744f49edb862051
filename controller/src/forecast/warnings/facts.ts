/**
 * What warnings are drawn from.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { firstAndMore } from "@muster/proto/text.ts";
import type { Plan } from "../../plan/plan.ts";
import type { ForecastInputs, ForecastMachine } from "../inputs.ts";
import type { Pace } from "../pace.ts";
import type { Outcome } from "../simulate.ts";
import type { Worlds } from "../world.ts";

export interface Facts {
  readonly inputs: ForecastInputs;
  readonly plan: Plan;
  /** Machines that would be changed; there are some. */
  readonly targets: readonly ForecastMachine[];
  readonly pace: Pace;
  readonly worlds: Worlds;
  /** If nothing fails. */
  readonly expected: Outcome;
  /** If it breaks after a while. */
  readonly breaksLater: Outcome;
}

/** Those of which sizes of waves are: what runs the release already, unconfirmed, is in the first wave beside its own machines. */
export function sizedOf(targets: readonly ForecastMachine[]): readonly ForecastMachine[] {
  const fresh = targets.filter(({ runsUnconfirmed }) => !runsUnconfirmed);
  return fresh.length === 0 ? targets : fresh;
}

const NAMED_MAX = 3;

/** `m-1, m-2, m-3 and 4 more`. */
export function namesText(names: readonly (MachineId | string)[]): string {
  return firstAndMore(names, NAMED_MAX);
}

/** `wave 1`, `waves 1 and 3`; by index. */
export function wavesText(indices: readonly number[]): string {
  const numbers = indices.map((index) => index + 1);
  return numbers.length === 1 ? `wave ${numbers[0]}` : `waves ${numbers.slice(0, -1).join(", ")} and ${numbers.at(-1)}`;
}
