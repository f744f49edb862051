/**
 * Why a machine is, or is not, among the targets of a deployment, and why its turn is where it is. Pure.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { type Labels, parseSelector, type Requirement, selects } from "@muster/proto/selector.ts";
import type { LaneLabel, Plan } from "../plan/plan.ts";
import type { OrderKey, Strategy } from "../plan/strategy.ts";
import { isEnded, type RolloutPhase } from "../rollout/state.ts";
import { orderText } from "./strategy-text.ts";
import { listText, membersSaid } from "./words.ts";

/** The machine, as it was when the plan was made. */
export interface Known {
  /** Undefined: it was not there yet. */
  readonly labels: Labels | undefined;
  readonly isSilent: boolean;
  readonly isCordoned: boolean;
  readonly isUnhealthy: boolean;
}

/** Nothing: it was not there. */
export const UNKNOWN: Known = { labels: undefined, isSilent: false, isCordoned: false, isUnhealthy: false };

/** In words that follow "since"; undefined: the selector selects it. */
export function mismatch(selector: string, labels: Labels): string | undefined {
  const parsed = parseSelector(selector);
  if (!parsed.ok) return undefined;
  const missed = parsed.selector.requirements.filter((requirement) => !selects({ text: "", requirements: [requirement] }, labels));
  return missed.length === 0 ? undefined : listText(missed.map((requirement) => missedText(requirement, labels)), missed.length);
}

function missedText({ key, operator, values }: Requirement, labels: Labels): string {
  const has = Object.hasOwn(labels, key) ? `it has ${key}=${labels[key]}` : `it has no label ${key}`;
  switch (operator) {
    case "in":
      return `${values.length === 1 ? `${key}=${values[0]}` : `${key} in (${values.join(",")})`} is wanted, and ${has}`;
    case "notin":
      return `${values.length === 1 ? `${key}!=${values[0]}` : `${key} notin (${values.join(",")})`} is wanted, and ${has}`;
    case "exists":
      return `the label ${key} is wanted, and it has none`;
    case "absent":
      return `no label ${key} is wanted, and ${has}`;
  }
}

/** Undefined: the plan leaves it out. */
export function placeText(plan: Plan, order: readonly OrderKey[], machine: MachineId, known: Known): string | undefined {
  for (const [index, wave] of plan.waves.entries()) {
    const position = wave.targets.findIndex((target) => target.machine === machine);
    if (position < 0) continue;
    const which = plan.waves.length === 1 ? "the only wave" : `wave ${index + 1} of ${plan.waves.length}${membersSaid(wave.members)}`;
    if (wave.targets.length === 1) return `${machine} is alone in ${which}`;
    return `${machine} is in ${which}, at turn ${position + 1} of ${wave.targets.length}: ${turnText(order, plan.lanes, known)}`;
  }
  return undefined;
}

/** The same order as `byTurn` of the plan. */
function turnText(order: readonly OrderKey[], lanes: readonly LaneLabel[], { isSilent, isCordoned, isUnhealthy }: Known): string {
  if (isSilent) return "nothing was heard from it, and those that answer go first";
  if (isCordoned) return "it was cordoned, and those that are not go first";
  if (isUnhealthy) return "what it ran was not well, and such machines go first";
  const isDecided = order.some(({ kind }) => kind !== "label");
  const keys = [...order.map(orderText), ...(isDecided ? [] : lanes.map(({ label }) => label))];
  const by = keys.length === 0 ? "name" : listText(keys, keys.length);
  return `turns go by ${by}${keys.length === 0 || isDecided ? "" : ", and then by name"}`;
}

/** Why the plan knows nothing of it. */
export function absenceText(machine: MachineId, { targets, lateJoiners }: Pick<Strategy, "targets" | "lateJoiners">, atPlan: Labels | undefined, now: Labels, phase: RolloutPhase): string {
  const missed = mismatch(targets, atPlan ?? now);
  if (missed === undefined && atPlan !== undefined) return `${machine} is not among its machines`;
  if (missed !== undefined && mismatch(targets, now) !== undefined) return `${machine} is not selected: ${missed}`;
  const came = atPlan === undefined ? "it joined after the plan was made" : "it has had the labels for it only since the plan was made";
  const then = lateJoiners === "ignore" ? "; late_joiners: ignore leaves such machines as they are" : turnAfter(phase);
  return `${machine} is not among its machines: ${came}${then}`;
}

/** One that goes back, or ended without success, gives nothing to machines that come late. */
function turnAfter(phase: RolloutPhase): string {
  if (phase === "rolling_back" || (isEnded(phase) && phase !== "succeeded")) return "";
  return `; such machines have their turn ${phase === "succeeded" ? "afterwards" : "when it has succeeded"} (late_joiners: deploy)`;
}
