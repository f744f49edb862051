/**
 * Rules over more than one key of `rollout`: deadlines and waves in their order, limits that contradict each other, and what would wait for itself.
 */
import type { Fault } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { Instant } from "@muster/proto/ids.ts";
import type { Selector } from "@muster/proto/selector.ts";
import type { Size } from "../plan/strategy.ts";
import { formatInstant } from "./instant.ts";
import { fault, listOf, mapOf, namedDuration, readable, valueAt } from "./parts.ts";
import { Prometheus } from "./schema/gate.ts";
import { appName } from "./schema/release.ts";
import { Rollout } from "./schema/rollout.ts";
import { Promotion } from "./schema/schedule.ts";
import { WaveMap, WaveSize } from "./schema/wave.ts";
import { orderKeyText } from "../plan/order.ts";
import { sizeText } from "../plan/size.ts";
import type { Path, YamlTree } from "./yaml-tree.ts";

export function rolloutFaults(tree: YamlTree): readonly Fault[] {
  const rollout = mapOf(mapOf(tree.value)["rollout"]);
  const waves = listOf(rollout["waves"]).map(readWave);
  return [
    ...deadlineOrder(tree),
    ...risingSizes(waves, tree),
    ...lastWave(waves, tree),
    ...thresholdOfLast(tree),
    ...sameSelectors(waves, tree),
    ...risingTimes(tree),
    ...spreadTwice(tree),
    ...idleOrderKeys(tree),
    ...emptyRanges(tree),
    ...waitsForItself(tree),
  ];
}

const DEADLINES = ["min_healthy_time", "healthy_deadline", "progress_deadline"] as const;

function deadlineOrder(tree: YamlTree): readonly Fault[] {
  const rollout = readable(Rollout, mapOf(tree.value)["rollout"]);
  return DEADLINES.slice(1).flatMap((longer, index) => {
    const shorter = DEADLINES[index]!;
    const shorterMs = rollout[shorter];
    const longerMs = rollout[longer];
    if (shorterMs === undefined || longerMs === undefined || shorterMs < longerMs) return [];
    const at = tree.places.has(["rollout", longer]) ? longer : shorter;
    return [fault(tree, ["rollout", at], `${namedDuration(tree, shorter, shorterMs)} must be shorter than ${namedDuration(tree, longer, longerMs)}`)];
  });
}

/** Who belongs to a wave, as far as it can be read, and where that stands. */
type Members =
  | { readonly kind: "size"; readonly size: Size; readonly path: Path }
  | { readonly kind: "selector"; readonly selector: Selector; readonly path: Path };

function readWave(wave: unknown, index: number): Members | undefined {
  const path = ["rollout", "waves", index];
  const short = WaveSize.safeParse(wave);
  if (short.success) return { kind: "size", size: short.data, path };
  const { size, targets } = readable(WaveMap, wave);
  if (size !== undefined) return { kind: "size", size, path: [...path, "size"] };
  return targets === undefined ? undefined : { kind: "selector", selector: targets, path: [...path, "targets"] };
}

/** Counts and percentages can't be compared before the fleet is known; each must rise among its own. */
function risingSizes(waves: readonly (Members | undefined)[], tree: YamlTree): readonly Fault[] {
  const highest: Partial<Record<Size["kind"], Size>> = {};
  return waves.flatMap((wave) => {
    if (wave?.kind !== "size") return [];
    const { size, path } = wave;
    const before = highest[size.kind];
    if (before === undefined || amount(size) > amount(before)) {
      highest[size.kind] = size;
      return [];
    }
    return [fault(tree, path, `${sizeText(size)} is not more than ${sizeText(before)} before it: waves are cumulative and rise`)];
  });
}

function amount(size: Size): number {
  return size.kind === "count" ? size.count : size.percent;
}

function lastWave(waves: readonly (Members | undefined)[], tree: YamlTree): readonly Fault[] {
  const last = waves.at(-1);
  if (last === undefined || (last.kind === "size" && last.size.kind === "percent" && last.size.percent === 100)) return [];
  const what = last.kind === "size" ? sizeText(last.size) : JSON.stringify(last.selector.text);
  return [fault(tree, last.path, `the last wave is ${what}: it must be 100%, so that no machine is left out`)];
}

/** A rollout ends when nobody is under way any more, so its last wave always settles. */
function thresholdOfLast(tree: YamlTree): readonly Fault[] {
  const waves = listOf(valueAt(tree.value, ["rollout", "waves"]));
  if (!Object.hasOwn(mapOf(waves.at(-1)), "success_threshold")) return [];
  const message = "the last wave always waits until all of its targets have settled: success_threshold is for waves before it";
  return [fault(tree, ["rollout", "waves", waves.length - 1, "success_threshold"], message)];
}

/** A machine is in the first wave that it belongs to. */
function sameSelectors(waves: readonly (Members | undefined)[], tree: YamlTree): readonly Fault[] {
  const first = new Map<string, number>();
  return waves.flatMap((wave, index) => {
    if (wave?.kind !== "selector") return [];
    const before = first.get(meaning(wave.selector));
    if (before === undefined) first.set(meaning(wave.selector), index);
    return before === undefined ? [] : [fault(tree, wave.path, `selects the machines of waves[${before}] again: they are in that wave, so nobody would be in this one`)];
  });
}

/** The same for selectors that differ in how they are written only. */
function meaning({ requirements }: Selector): string {
  return JSON.stringify(requirements.map((requirement) => JSON.stringify(requirement)).sort());
}

/** Waves go one after another, so an earlier time than one before would say nothing. */
function risingTimes(tree: YamlTree): readonly Fault[] {
  const { start_at: startAt } = readable(Rollout, mapOf(tree.value)["rollout"]);
  let latest = startAt === undefined ? undefined : { at: startAt, name: "start_at" };
  return listOf(valueAt(tree.value, ["rollout", "waves"])).flatMap((wave, index) => {
    const { at } = readable(WaveMap, wave);
    if (at === undefined) return [];
    const before: { readonly at: Instant; readonly name: string } | undefined = latest;
    if (before === undefined || at >= before.at) {
      latest = { at, name: `waves[${index}]` };
      return [];
    }
    const message = `${formatInstant(at)} is before ${before.name} (${formatInstant(before.at)}): a wave begins after those before it`;
    return [fault(tree, ["rollout", "waves", index, "at"], message)];
  });
}

function spreadTwice(tree: YamlTree): readonly Fault[] {
  const { spread, max_unavailable_per: per } = readable(Rollout, mapOf(tree.value)["rollout"]);
  if (spread === undefined || per === undefined || !Object.hasOwn(per, spread)) return [];
  const message = `"${spread}" is spread's label already, which lets one value of it be on the move at a time: take out one of the two`;
  return [fault(tree, ["rollout", "max_unavailable_per", spread], message)];
}

/** A key that can't decide anything, since those before it have. */
function idleOrderKeys(tree: YamlTree): readonly Fault[] {
  const { order = [] } = readable(Rollout, mapOf(tree.value)["rollout"]);
  return order.slice(1).flatMap((key, index) => {
    const before = order.slice(0, index + 1);
    const path = ["rollout", "order", index + 1];
    const decided = before.find(({ kind }) => kind !== "label");
    if (decided !== undefined) return [fault(tree, path, `${orderKeyText(decided)} before it leaves nothing to order: put it last, or take it out`)];
    if (key.kind !== "label" || !before.some((other) => other.kind === "label" && other.label === key.label)) return [];
    return [fault(tree, path, `"${key.label}" stands before already: take out one of the two`)];
  });
}

function emptyRanges(tree: YamlTree): readonly Fault[] {
  const waves = listOf(valueAt(tree.value, ["rollout", "waves"]));
  const lists: readonly Path[] = [["rollout", "gates"], ["rollout", "alarms"], ...waves.map((_, index) => ["rollout", "waves", index, "gates"])];
  return lists.flatMap((list) =>
    listOf(valueAt(tree.value, list)).flatMap((gate, index) => {
      const { min, max } = readable(Prometheus, mapOf(gate)["prometheus"]);
      if (min === undefined || max === undefined || min <= max) return [];
      return [fault(tree, [...list, index, "prometheus", "min"], `min (${min}) is greater than max (${max}): no value could be within`)];
    }),
  );
}

/** The newest deployment of the same app to the same machines is this one. */
function waitsForItself(tree: YamlTree): readonly Fault[] {
  const file = mapOf(tree.value);
  const { targets, after } = mapOf(file["rollout"]);
  const app = appName.safeParse(file["app"]);
  const own = Rollout.shape.targets.safeParse(targets);
  const other = readable(Promotion, after);
  if (!app.success || !own.success || other.targets === undefined) return [];
  if (other.deployment_of !== app.data || meaning(other.targets) !== meaning(own.data)) return [];
  return [fault(tree, ["rollout", "after", "targets"], "this deployment would wait for itself: name another app, or the targets that have the release first")];
}
