/**
 * Deployment × fleet → plan: which machines in which wave, fixed when the rollout starts, so that execution has nothing left to choose.
 *
 * Pure. Always holds: every selected machine is in exactly one wave or among the unchanged; no wave is empty; within a wave, machines that are
 * heard come before silent ones, then by id, so that the first wave asks a machine that can answer.
 */
import type { MachineId, ReleaseId } from "@muster/proto/ids.ts";
import type { Size, Strategy } from "./strategy.ts";

export interface PlanMachine {
  readonly id: MachineId;
  readonly silent: boolean;
  /** It is told to run this release, and says that it does, and that it is well. */
  readonly runsRelease: boolean;
  /** The machine's own last good release of this app: what a rollback takes it back to. Null: it had none. */
  readonly lastGood: ReleaseId | null;
}

export interface PlannedTarget {
  readonly machine: MachineId;
  readonly previous: ReleaseId | null;
}

export interface Plan {
  readonly waves: readonly (readonly PlannedTarget[])[];
  /** Ran the release already; never touched. */
  readonly unchanged: readonly MachineId[];
  /** Targets on the move at once, at least 1. */
  readonly maxUnavailable: number;
  /** By wave: more failed targets than this trip the rollout. */
  readonly maxFailures: readonly number[];
  /** What the user may not expect, in sentences. */
  readonly notes: readonly string[];
}

/** `machines`: all that the selector selects, in any order. */
export function planRollout(strategy: Strategy, machines: readonly PlanMachine[]): Plan {
  const unchanged = machines.filter((machine) => machine.runsRelease).map((machine) => machine.id);
  const targets = machines.filter((machine) => !machine.runsRelease).sort(byTurn);
  const notes: string[] = [];

  const waves: PlannedTarget[][] = [];
  let planned = 0;
  for (const size of strategy.waves) {
    const upTo = Math.min(targets.length, roundedUp(size, targets.length));
    if (upTo > planned) {
      waves.push(targets.slice(planned, upTo).map(({ id, lastGood }) => ({ machine: id, previous: lastGood })));
      planned = upTo;
    } else if (targets.length > 0) {
      notes.push(`wave ${sizeText(size)} adds nobody (${upTo} of ${count(targets.length, "machine")}) and is dropped`);
    }
  }
  if (unchanged.length > 0) notes.push(`${count(unchanged.length, "machine")} already ${unchanged.length === 1 ? "runs" : "run"} it and ${unchanged.length === 1 ? "is" : "are"} not touched`);
  const silent = targets.filter((target) => target.silent).length;
  if (silent > 0) notes.push(`${count(silent, "machine")} ${silent === 1 ? "is" : "are"} silent and will be changed when back`);

  return {
    waves,
    unchanged,
    maxUnavailable: Math.max(1, roundedDown(strategy.maxUnavailable, targets.length)),
    maxFailures: waves.map((wave) => roundedDown(strategy.maxFailures, wave.length)),
    notes,
  };
}

function byTurn(a: PlanMachine, b: PlanMachine): number {
  if (a.silent !== b.silent) return a.silent ? 1 : -1;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

/** Hundredths of a percent are whole numbers, so 30% of 10 is 3 and not the 3.0000000000000004 that rounds up to 4. */
function hundredths(percent: number): number {
  return Math.round(percent * 100);
}

function roundedUp(size: Size, of: number): number {
  return size.kind === "count" ? size.count : Math.ceil((of * hundredths(size.percent)) / 10_000);
}

/** Limits round down: a limit of 10% is never passed by rounding. */
function roundedDown(size: Size, of: number): number {
  return size.kind === "count" ? size.count : Math.floor((of * hundredths(size.percent)) / 10_000);
}

function sizeText(size: Size): string {
  return size.kind === "count" ? String(size.count) : `${size.percent}%`;
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
