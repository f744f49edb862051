/**
 * What would keep the rollout from beginning or from ending, and what the simulation leaves out.
 */
import { whereText } from "@muster/proto/selector.ts";
import { counted } from "@muster/proto/text.ts";
import { timeText } from "../../rollout/words.ts";
import { membershipOf } from "../budgets.ts";
import { startOf } from "../begins.ts";
import { type Facts } from "./facts.ts";

export function courseWarnings(facts: Facts): readonly string[] {
  return [...waits(facts), ...frozen(facts), ...neverEnds(facts), ...budgets(facts), ...leftOut(facts)];
}

function waits({ inputs: { waitsFor } }: Facts): readonly string[] {
  return waitsFor.map((what) => `it would not begin at once: it waits for ${what}`);
}

function frozen({ inputs, expected }: Facts): readonly string[] {
  const opening = inputs.frozen(startOf(inputs));
  if (opening.open || expected.waitsFor === opening.message) return [];
  return [`nothing starts at ${timeText(startOf(inputs))}: it waits for ${opening.message}`];
}

function neverEnds({ expected: { phase, reason, endedAfterMs, waitsFor } }: Facts): readonly string[] {
  if (phase === "succeeded") return [];
  if (endedAfterMs !== undefined || phase === "paused") {
    return [`even if the release is good, the rollout would end ${phase.replaceAll("_", " ")}: ${reason?.message ?? "no reason given"}`];
  }
  return [`even if the release is good, the rollout would not end by itself: it waits for ${waitsFor ?? "nothing"}`];
}

function budgets({ inputs, plan, targets }: Facts): readonly string[] {
  const members = inputs.budgets.map(() => 0);
  for (const groups of membershipOf(inputs.budgets, targets).values()) for (const index of groups) members[index]! += 1;
  return inputs.budgets.flatMap(({ selector, max }, index) => {
    const among = members[index]!;
    if (max >= Math.min(plan.maxUnavailable, among)) return [];
    const group = whereText(selector);
    return [`the budget of ${group} lets ${max} of these ${counted(among, "machine")} be unavailable at once, fewer than max_unavailable (${plan.maxUnavailable})`];
  });
}

function leftOut({ worlds: { cutOffLabel, cutOffs } }: Facts): readonly string[] {
  if (cutOffLabel === null || cutOffLabel.left === 0) return [];
  const { label, left } = cutOffLabel;
  return [`the label ${label} has ${cutOffs.length + left} values: what happens when one is cut off is foretold for the first ${cutOffs.length}`];
}
