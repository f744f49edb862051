/**
 * Deployment × fleet → plan: which machines in which wave, in which order, behind which gates; fixed when the rollout starts, so that execution has
 * nothing left to choose.
 *
 * Pure. Always holds: every selected machine is in exactly one wave or among the unchanged; machines that run the release unconfirmed are in the first wave; no wave is empty; no gate is lost: those of a wave that has
 * nobody are asked for with the wave before it, or with the next when there is none; and the next begins no earlier than it would have.
 */
import type { Instant, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import { checkedSelector, type Labels, selects } from "@muster/proto/selector.ts";
import { counted } from "@muster/proto/text.ts";
import { compareRanks, type Ranks, ranksOf } from "./order.ts";
import { roundedDown, roundedUp, sizeText } from "./size.ts";
import type { Gate, Members, OrderKey, Size, Strategy, WaveSpec } from "./strategy.ts";

export interface PlanMachine {
  readonly id: MachineId;
  readonly labels: Labels;
  readonly silent: boolean;
  readonly cordoned: boolean;
  /** Its agent says that what runs there now is not well. */
  readonly unhealthy: boolean;
  /** It is told to run this release, is heard, and says that it does, and that it is well; and the release was confirmed there. */
  readonly runsRelease: boolean;
  /** The same, but no wave has passed with it: it may still show that the release is bad. */
  readonly runsUnconfirmed: boolean;
}

export interface PlannedTarget {
  readonly machine: MachineId;
  /** The machine's values of the plan's lane labels, joined with `/`; empty without such labels. */
  readonly lane: string;
  /** It runs the release unconfirmed, and is told beside others, to which it is new: what they show is theirs. Default false. */
  readonly onTrial?: boolean;
}

export interface PlannedWave {
  /** As the file says it: `25%`, `canary=true`. */
  readonly members: string;
  /** In the order in which they take their turn. */
  readonly targets: readonly PlannedTarget[];
  readonly gates: readonly Gate[];
  readonly at: Instant | null;
  readonly afterMs: number;
  /** More failed targets than this trip the rollout. Limits and thresholds are of those to which the release is new. */
  readonly maxFailures: number;
  /** More unreachable targets than this trip the rollout; null: any number is passed over. */
  readonly maxUnreachable: number | null;
  /** So many healthy targets to which it is new, of at least 1, are enough for the next wave to begin while the others go on; null: all settle first, as always in the last wave. */
  readonly successThreshold: number | null;
}

/** A label that limits who may be on the move together. */
export interface LaneLabel {
  readonly label: string;
  /** So many targets of one value at once; null: one value at a time. */
  readonly max: number | null;
}

export interface Plan {
  readonly waves: readonly PlannedWave[];
  /** Ran the release already; never touched. */
  readonly unchanged: readonly MachineId[];
  /** Targets that may be unavailable at once, at least 1. */
  readonly maxUnavailable: number;
  readonly lanes: readonly LaneLabel[];
  /** What the user may not expect, in sentences. */
  readonly notes: readonly string[];
}

/** `machines`: all that the selector selects, in any order. `release`: what they shall run, which decides a shuffle. */
export function planRollout(strategy: Strategy, machines: readonly PlanMachine[], release: ReleaseId): Plan {
  const lanes = laneLabels(strategy);
  const unchanged = machines.filter((machine) => machine.runsRelease).map((machine) => machine.id);
  const targets = machines
    .filter((machine) => !machine.runsRelease)
    .map((machine): Candidate => ({ machine, lane: laneOf(lanes, machine.labels), ranks: ranksOf(strategy.order, machine, release) }))
    .sort(byMembership(strategy.order));
  // Whoever runs it already takes part in what the first of the others show; sizes of waves, limits and thresholds are of these.
  const fresh = targets.filter(({ machine }) => !machine.runsUnconfirmed);
  const others = fresh.length === 0 ? targets : fresh;
  const notes = orderNotes(strategy.order, targets);

  const waves: PlannedWave[] = [];
  let carried = NOTHING_CARRIED;
  for (const [spec, chosen] of membersByWave(strategy.waves, others)) {
    if (chosen.length > 0) {
      const onTrial = waves.length === 0 && others !== targets ? targets.filter(({ machine }) => machine.runsUnconfirmed) : [];
      waves.push(plannedWave(strategy, spec, chosen, onTrial, carried));
      carried = NOTHING_CARRIED;
      continue;
    }
    if (targets.length === 0) continue;
    notes.push(droppedNote(spec, others.length, waves.length > 0));
    const before = waves.at(-1);
    carried = { gates: before === undefined ? mergedGates(carried.gates, spec.gates) : [], at: laterOf(carried.at, spec.at), afterMs: Math.max(carried.afterMs, spec.afterMs) };
    if (before !== undefined) waves[waves.length - 1] = { ...before, gates: mergedGates(before.gates, spec.gates) };
  }
  const last = waves.pop();
  if (last !== undefined) waves.push({ ...last, successThreshold: null });
  notes.push(...fleetNotes(unchanged.length, targets));
  return { waves, unchanged, maxUnavailable: windowOf(strategy.maxUnavailable, targets.length), lanes, notes };
}

/** How many of `targets` may be unavailable at once. Never nothing: a percentage that rounds to 0 would hold a small fleet for ever. */
export function windowOf(maxUnavailable: Size, targets: number): number {
  return Math.max(1, roundedDown(maxUnavailable, targets));
}

/** The values that decide with whom a machine may be on the move. */
export function laneOf(lanes: readonly LaneLabel[], labels: Labels): string {
  return lanes.map(({ label }) => (Object.hasOwn(labels, label) ? labels[label] : "")).join("/");
}

function laneLabels({ spread, maxUnavailablePer }: Pick<Strategy, "spread" | "maxUnavailablePer">): readonly LaneLabel[] {
  return [...(spread === null ? [] : [{ label: spread, max: null }]), ...maxUnavailablePer];
}

export function membersText(members: Members): string {
  return members.kind === "size" ? sizeText(members.size) : members.selector;
}

interface Candidate {
  readonly machine: PlanMachine;
  readonly lane: string;
  /** Where the strategy's own order puts it. */
  readonly ranks: Ranks;
}

/** Sizes count from the first wave on; named groups take whoever is not in an earlier wave. */
function* membersByWave(specs: readonly WaveSpec[], targets: readonly Candidate[]): Generator<readonly [WaveSpec, readonly Candidate[]]> {
  const tests = specs.map(({ members }) => (members.kind === "selector" ? memberTest(members.selector) : undefined));
  let free = targets;
  for (const [index, spec] of specs.entries()) {
    const { members } = spec;
    const chosen = new Set(members.kind === "selector" ? free.filter(tests[index]!) : bySize(members.size, free, targets.length, tests.slice(index + 1)));
    yield [spec, [...chosen]];
    if (chosen.size > 0) free = free.filter((target) => !chosen.has(target));
  }
}

/** Who is named by a later wave is left to it, as long as there are others. */
function bySize(size: Size, free: readonly Candidate[], all: number, later: readonly (MemberTest | undefined)[]): readonly Candidate[] {
  const wanted = Math.min(all, roundedUp(size, all)) - (all - free.length);
  if (wanted <= 0) return [];
  if (wanted >= free.length || later.every((test) => test === undefined)) return free.slice(0, wanted);
  const isNamed = (target: Candidate) => later.some((test) => test?.(target) === true);
  return [...free.filter((target) => !isNamed(target)), ...free.filter(isNamed)].slice(0, wanted);
}

type MemberTest = (target: Candidate) => boolean;

function memberTest(text: string): MemberTest {
  const selector = checkedSelector(text);
  return ({ machine }) => selects(selector, machine.labels);
}

/** What waves that were dropped leave to the next. */
type Carried = Pick<WaveSpec, "gates" | "at" | "afterMs">;

const NOTHING_CARRIED: Carried = { gates: [], at: null, afterMs: 0 };

function laterOf(a: Instant | null, b: Instant | null): Instant | null {
  return a === null || (b !== null && b > a) ? b : a;
}

function plannedWave(strategy: Strategy, spec: WaveSpec, members: readonly Candidate[], onTrial: readonly Candidate[], carried: Carried): PlannedWave {
  const maxUnreachable = spec.maxUnreachable ?? strategy.maxUnreachable;
  return {
    members: membersText(spec.members),
    targets: [...onTrial, ...members].sort(byTurn(strategy.order)).map((target) => ({ machine: target.machine.id, lane: target.lane, ...(onTrial.length > 0 && target.machine.runsUnconfirmed ? { onTrial: true } : {}) })),
    gates: mergedGates(carried.gates, spec.gates),
    at: laterOf(carried.at, spec.at),
    afterMs: Math.max(carried.afterMs, spec.afterMs),
    maxFailures: roundedDown(spec.maxFailures ?? strategy.maxFailures, members.length),
    maxUnreachable: maxUnreachable === null ? null : roundedDown(maxUnreachable, members.length),
    successThreshold: spec.successThreshold === null ? null : Math.min(roundedUp(spec.successThreshold, members.length), members.length),
  };
}

type Comparison = (a: Candidate, b: Candidate) => number;

/** The first waves ask machines that can answer; then neighbours by label stay together, where nothing else is asked for. */
function byMembership(order: readonly OrderKey[]): Comparison {
  return (a, b) => usable(a) - usable(b) || compareRanks(order, a.ranks, b.ranks) || byLaneAndId(a, b);
}

/** Within a wave: those that can answer, of these the unhealthy first, since they have the least to lose. */
function byTurn(order: readonly OrderKey[]): Comparison {
  return (a, b) => usable(a) - usable(b) || Number(b.machine.unhealthy) - Number(a.machine.unhealthy) || compareRanks(order, a.ranks, b.ranks) || byLaneAndId(a, b);
}

function usable({ machine: { silent, cordoned } }: Candidate): number {
  return silent || cordoned ? 1 : 0;
}

function byLaneAndId(a: Candidate, b: Candidate): number {
  return compare(a.lane, b.lane) || compare(a.machine.id, b.machine.id);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** One soak as long as the longest, every question, metrics before webhooks, and one approval. */
function mergedGates(first: readonly Gate[], second: readonly Gate[]): readonly Gate[] {
  const all = [...first, ...second];
  const soakMs = Math.max(0, ...all.map((gate) => (gate.kind === "soak" ? gate.forMs : 0)));
  const asked = all.filter((gate) => gate.kind === "webhook" || gate.kind === "prometheus");
  const questions = asked.filter((gate, index) => asked.findIndex((other) => JSON.stringify(other) === JSON.stringify(gate)) === index);
  return [
    ...(soakMs > 0 ? [{ kind: "soak", forMs: soakMs } as const] : []),
    ...questions.filter(({ kind }) => kind === "prometheus"),
    ...questions.filter(({ kind }) => kind === "webhook"),
    ...(all.some((gate) => gate.kind === "approval") ? [{ kind: "approval" } as const] : []),
  ];
}

/** A label that nobody has orders nobody: it is likely misspelt. */
function orderNotes(order: readonly OrderKey[], targets: readonly Candidate[]): string[] {
  if (targets.length === 0) return [];
  const missing = order.flatMap((key, index) => (key.kind === "label" && targets.every(({ ranks }) => ranks[index] === null) ? [key.label] : []));
  return missing.map((label) => `no machine has the label ${label}, so ordering by it changes nothing`);
}

function droppedNote({ members, gates }: WaveSpec, targets: number, hasBefore: boolean): string {
  const nobody = `wave ${membersText(members)} adds nobody (of ${counted(targets, "machine")}) and is dropped`;
  if (gates.length === 0) return nobody;
  return `${nobody}; its gates are asked for with the wave ${hasBefore ? "before it" : "after it"}`;
}

/** Of machines that run the release already, unconfirmed, among all that would be changed. */
export function trialNotes(onTrial: number, all: number): readonly string[] {
  if (onTrial === 0) return [];
  if (onTrial < all) return [`${counted(onTrial, "machine")} ${plural(onTrial, "runs", "run")} it already, unconfirmed: ${plural(onTrial, "it is", "they are")} in the first wave beside its own machines, ${plural(onTrial, "is", "are")} not restarted, and ${plural(onTrial, "does", "do")} not count in its sizes and limits`];
  return [`${plural(onTrial, "the machine runs it already, unconfirmed: it is", `all ${counted(onTrial, "machine")} run it already, unconfirmed: they are`)} watched, and ${plural(onTrial, "is", "are")} not restarted`];
}

function fleetNotes(unchanged: number, targets: readonly Candidate[]): readonly string[] {
  const notes: string[] = [];
  if (unchanged > 0) notes.push(`${counted(unchanged, "machine")} already ${plural(unchanged, "runs", "run")} it and ${plural(unchanged, "is", "are")} not touched`);
  notes.push(...trialNotes(targets.filter(({ machine }) => machine.runsUnconfirmed).length, targets.length));
  const silent = targets.filter(({ machine }) => machine.silent).length;
  if (silent > 0) notes.push(`${counted(silent, "machine")} ${plural(silent, "is", "are")} silent and ${plural(silent, "is", "are")} changed when heard, if the deployment stands then`);
  const cordoned = targets.filter(({ machine }) => machine.cordoned && !machine.silent).length;
  if (cordoned > 0) notes.push(`${counted(cordoned, "machine")} ${plural(cordoned, "is", "are")} cordoned and ${plural(cordoned, "is", "are")} changed when uncordoned, if the deployment stands then`);
  return notes;
}

function plural(n: number, one: string, many: string): string {
  return n === 1 ? one : many;
}
