/**
 * The worlds in which a deployment is tried: what becomes of the release on each machine, and who is cut off.
 *
 * Always the same for the same fleet: which machines are a tenth of it is drawn with a fixed seed.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import type { PlanMachine } from "../plan/plan.ts";
import type { Strategy } from "../plan/strategy.ts";

/** What becomes of the release on a machine. */
export type Fate =
  | { readonly kind: "well" }
  /** Is never well; its agent goes back when healthy_deadline has passed. */
  | { readonly kind: "broken" }
  /** Works for so long after its activation. */
  | { readonly kind: "breaks"; readonly afterMs: number }
  /** Is healthy, and so long after it was, its machine falls silent for ever. */
  | { readonly kind: "takes_machine"; readonly afterMs: number };

export interface World {
  readonly name: string;
  fateOf(machine: MachineId): Fate;
  /** Not heard any more from soon after the start, and for ever; none: nobody. */
  readonly cutOff: ReadonlySet<MachineId>;
}

/** Until machines are cut off, so that the first of them are on the way. */
export const CUT_OFF_AFTER_MS = 30_000;
export const BREAKS_AFTER_MS = 300_000;
/** Worlds that cut off a value of a label: a label with more values (a rack, a host) says little more, and each world costs a simulation. */
const CUT_OFF_WORLDS_MAX = 32;

/** From the report that it is healthy: soon enough to be meant by that, late enough to be no part of it. */
const TAKES_MACHINE_AFTER_MS = 10_000;

const WELL: Fate = { kind: "well" };
const BROKEN: Fate = { kind: "broken" };
const BREAKS: Fate = { kind: "breaks", afterMs: BREAKS_AFTER_MS };
const TAKES_MACHINE: Fate = { kind: "takes_machine", afterMs: TAKES_MACHINE_AFTER_MS };
const NOBODY: ReadonlySet<MachineId> = new Set();
const SEED = 0x6d757374;

/** Nothing fails. */
export const GOOD_WORLD: World = { name: "nothing fails", fateOf: () => WELL, cutOff: NOBODY };

export interface Worlds {
  readonly broken: World;
  readonly brokenOnTenth: World;
  readonly breaksLater: World;
  readonly takesMachine: World;
  readonly cutOffs: readonly World[];
  /** The label whose values are cut off; null: there is none. `left`: its values for which there is no world. */
  readonly cutOffLabel: { readonly label: string; readonly left: number } | null;
}

/** `targets`: the machines that would be changed. */
export function worldsOf(strategy: Strategy, targets: readonly PlanMachine[]): Worlds {
  const tenth = drawTenth(targets.map(({ id }) => id));
  const label = cutOffLabel(strategy, targets);
  const byValue = label === undefined ? [] : [...groupedBy(label, targets)].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    broken: { name: "broken everywhere", fateOf: () => BROKEN, cutOff: NOBODY },
    brokenOnTenth: { name: "broken on 10%", fateOf: (machine) => (tenth.has(machine) ? BROKEN : WELL), cutOff: NOBODY },
    breaksLater: { name: "broken after 5m", fateOf: () => BREAKS, cutOff: NOBODY },
    takesMachine: { name: "takes its machine with it", fateOf: () => TAKES_MACHINE, cutOff: NOBODY },
    cutOffs: byValue
      .slice(0, CUT_OFF_WORLDS_MAX)
      .map(([value, machines]) => ({ name: `cut off: ${label}=${value}`, fateOf: () => WELL, cutOff: machines })),
    cutOffLabel: label === undefined ? null : { label, left: Math.max(0, byValue.length - CUT_OFF_WORLDS_MAX) },
  };
}

/** What the strategy keeps apart; else the zones, if the fleet knows them. */
function cutOffLabel({ spread, maxUnavailablePer }: Strategy, targets: readonly PlanMachine[]): string | undefined {
  const label = spread ?? maxUnavailablePer[0]?.label ?? "zone";
  return targets.some(({ labels }) => Object.hasOwn(labels, label)) ? label : undefined;
}

/** Machines without the label are in no group. */
export function groupedBy(label: string, machines: readonly PlanMachine[]): ReadonlyMap<string, ReadonlySet<MachineId>> {
  const groups = new Map<string, Set<MachineId>>();
  for (const { id, labels } of machines) {
    if (!Object.hasOwn(labels, label)) continue;
    const value = labels[label]!;
    const group = groups.get(value);
    if (group === undefined) groups.set(value, new Set([id]));
    else group.add(id);
  }
  return groups;
}

/** At least one. Fisher and Yates' shuffle, as far as it is needed; over the sorted ids, so that their order on arrival does not matter. */
export function drawTenth(ids: readonly MachineId[]): ReadonlySet<MachineId> {
  const urn = ids.toSorted();
  const random = seededRandom(SEED);
  const wanted = Math.ceil(urn.length / 10);
  for (let index = 0; index < wanted; index += 1) {
    const other = index + Math.floor(random() * (urn.length - index));
    [urn[index], urn[other]] = [urn[other]!, urn[index]!];
  }
  return new Set(urn.slice(0, wanted));
}

/** From 0 to below 1. Mulberry32, by Tommy Ettinger: small, and good enough for a choice that is made once. */
function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
