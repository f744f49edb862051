/**
 * Where waves, windows and groups come out larger, or other, than the file reads.
 */
import { parseSelector, selects } from "@muster/proto/selector.ts";
import { counted } from "@muster/proto/text.ts";
import { membersText } from "../../plan/plan.ts";
import { roundedUp, sizeText } from "../../plan/size.ts";
import type { WaveSpec } from "../../plan/strategy.ts";
import { groupedBy } from "../world.ts";
import { type Facts, namesText, sizedOf } from "./facts.ts";

/** A first wave is to find out what is bad; more of a fleet than this it should not take. */
const FIRST_WAVE_SHARE_MAX = 0.25;
/** Of fewer machines one is a quarter already. */
const SMALL_FLEET_MAX = 4;

export function shapeWarnings(facts: Facts): readonly string[] {
  return [...roundedWaves(facts), ...firstWave(facts), ...droppedWaves(facts), ...window(facts), ...groups(facts), ...withoutLabel(facts), ...orderedByNothing(facts)];
}

function roundedWaves(facts: Facts): readonly string[] {
  const { inputs, targets } = facts;
  const all = sizedOf(targets).length;
  const dropped = new Set(droppedSpecs(facts));
  if (all < 2) return [];
  return inputs.strategy.waves.flatMap((spec) => {
    const { members } = spec;
    if (members.kind === "selector" || members.size.kind === "count" || members.size.percent >= 100 || dropped.has(spec)) return [];
    const { percent } = members.size;
    const count = roundedUp(members.size, all);
    if (count >= all) return [`${percent}% of ${counted(all, "machine")} is rounded up to all of them`];
    if (count * 100 <= 2 * percent * all) return [];
    return [`${percent}% of ${counted(all, "machine")} is rounded up to ${count}, which is ${Math.round((count / all) * 100)}%`];
  });
}

function firstWave({ plan, targets }: Facts): readonly string[] {
  const [first, second] = plan.waves;
  const all = sizedOf(targets).length;
  if (first === undefined || all < 2) return [];
  const own = first.targets.filter(({ onTrial }) => onTrial !== true).length;
  if (second === undefined) return [`all ${counted(all, "machine")} are in one wave: nothing is learned from a few before the others are changed`];
  if (all <= SMALL_FLEET_MAX || own <= all * FIRST_WAVE_SHARE_MAX) return [];
  const share = Math.round((own / all) * 100);
  return [`the first wave is ${own} of ${counted(all, "machine")}, which is ${share}%: a smaller one finds out as much`];
}

/** The waves of the plan are those of the file, in their order, without those that have nobody. */
function droppedSpecs({ inputs, plan }: Facts): readonly WaveSpec[] {
  let kept = 0;
  return inputs.strategy.waves.filter((spec) => {
    const isKept = plan.waves[kept]?.members === membersText(spec.members);
    if (isKept) kept += 1;
    return !isKept;
  });
}

function droppedWaves(facts: Facts): readonly string[] {
  const { inputs } = facts;
  const targets = sizedOf(facts.targets);
  return droppedSpecs(facts).map(({ members }) => {
    const number = inputs.strategy.waves.findIndex((wave) => wave.members === members) + 1;
    if (members.kind === "size") return `wave ${number} (${sizeText(members.size)}) adds nobody to those before it, of ${counted(targets.length, "machine")}: it is dropped, its gates are not`;
    const parsed = parseSelector(members.selector);
    const matches = parsed.ok && targets.some(({ labels }) => selects(parsed.selector, labels));
    const why = matches ? "finds all of its machines in earlier waves" : "matches no machine that would be changed";
    return `wave ${number} (${members.selector}) ${why}: it is dropped, its gates are not`;
  });
}

function window({ inputs, plan, targets }: Facts): readonly string[] {
  const all = targets.length;
  if (all < 2 || plan.maxUnavailable < all) return [];
  const most = Math.max(...plan.waves.map((wave) => wave.targets.length));
  return [`max_unavailable ${sizeText(inputs.strategy.maxUnavailable)} is no limit for ${counted(all, "machine")}: ${most} at once may be unavailable, a whole wave`];
}

/** `spread` is meant to let a whole group go at once; `max_unavailable_per` is not. */
function groups({ inputs, plan }: Facts): readonly string[] {
  return plan.lanes.flatMap(({ label, max }) => {
    if (max === null) return [];
    const covered = [...groupedBy(label, inputs.machines)].filter(([, { size }]) => size > 1 && size <= Math.min(max, plan.maxUnavailable));
    if (covered.length === 0) return [];
    const names = namesText(covered.map(([value, { size }]) => `${label}=${value} (${size})`).sort());
    return [`max_unavailable_per ${label}: ${max} lets all machines of ${names} be unavailable at once`];
  });
}

function withoutLabel({ plan, targets }: Facts): readonly string[] {
  return plan.lanes.flatMap(({ label, max }) => {
    const without = targets.filter(({ labels }) => !Object.hasOwn(labels, label));
    if (without.length === 0) return [];
    const key = max === null ? "spread" : "max_unavailable_per";
    const verb = without.length === 1 ? "has" : "have";
    return [`${counted(without.length, "machine")} ${verb} no label ${label} (${namesText(without.map(({ id }) => id))}): ${key} takes them for one group of their own`];
  });
}

function orderedByNothing({ inputs, targets }: Facts): readonly string[] {
  return inputs.strategy.order.flatMap((key) => {
    if (key.kind !== "label" || targets.some(({ labels }) => Object.hasOwn(labels, key.label))) return [];
    return [`order: ${key.reversed ? "-" : ""}${key.label} orders nothing: no machine has a label ${key.label}`];
  });
}
