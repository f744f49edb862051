/** The hosts as they really are, and what really arrived from them at the controller. */
import type { MachineId } from "@muster/proto/ids.ts";
import type { Strategy } from "@muster/controller/src/plan/strategy.ts";
import { isAtRest } from "../app.ts";
import type { Attention } from "../attention.ts";
import type { Timeline } from "../clock.ts";
import { SILENT_AFTER_MS } from "../controller.ts";
import type { Machine } from "../machine.ts";
import type { Serving } from "../serving.ts";

interface Gap {
  readonly from: number;
  readonly to: number;
}

/** What a host does is known to the controller after so long when nothing is in the way: probes, a slow network, a few transactions. */
export const LAG_MS = 15_000;
/** By so much the controller may count a time short: it rounds, and looks at its clocks once in a while. */
export const ROUNDING_MS = 1_000;
/** So long before and after a machine's time is over (to be heard, to answer) the controller may have found it, or not yet. */
export const UNSURE_MS = 2_000;

export class Hosts {
  readonly machines: ReadonlyMap<MachineId, Machine>;
  /** When the controller could judge, and when it could hear. */
  readonly attention: Attention;
  readonly hearing: Attention;
  readonly #timeline: Timeline;
  readonly #heardAt = new Map<MachineId, number>();
  /** In which nothing was heard for long enough to call it silent. */
  readonly #gaps = new Map<MachineId, Gap[]>();

  constructor(machines: ReadonlyMap<MachineId, Machine>, timeline: Timeline, attention: Attention, hearing: Attention) {
    this.machines = machines;
    this.#timeline = timeline;
    this.attention = attention;
    this.hearing = hearing;
  }

  get now(): number {
    return this.#timeline.now;
  }

  heard(machine: MachineId): void {
    const before = this.#heardAt.get(machine);
    if (before !== undefined && this.now - before >= SILENT_AFTER_MS) {
      const gaps = this.#gaps.get(machine) ?? [];
      gaps.push({ from: before, to: this.now });
      this.#gaps.set(machine, gaps);
    }
    this.#heardAt.set(machine, this.now);
  }

  lastHeardAt(machine: MachineId): number {
    return this.#heardAt.get(machine) ?? -1;
  }

  /** What happened on it up to then the controller could know: not what its agent has said and has not got rid of. */
  knownUntil(machine: MachineId): number {
    const host = this.machines.get(machine)!;
    const [oldest] = host.disk.reports;
    return Math.min(this.lastHeardAt(machine), this.now, oldest === undefined ? Infinity : host.trueTime(oldest.observedAt)) - LAG_MS;
  }

  unheardMs(machine: MachineId): number {
    return this.now - this.lastHeardAt(machine);
  }

  /** For some time between the two moments nothing had been heard of it for so long that it counts as silent. */
  wasUnheard(machine: MachineId, from: number, to: number): boolean {
    if (to - this.lastHeardAt(machine) >= SILENT_AFTER_MS) return true;
    return (this.#gaps.get(machine) ?? []).some((gap) => gap.to >= from && gap.from + SILENT_AFTER_MS <= to);
  }

  /** When it was heard again after its last silence; -1: it was never silent. */
  heardAgainAt(machine: MachineId): number {
    return this.#gaps.get(machine)?.at(-1)?.to ?? -1;
  }

  /** The times, after that one, for which it was heard before its last silence, each with that in which its silence was not known yet. */
  heardBefore(machine: MachineId, after: number): readonly Gap[] {
    const gaps = this.#gaps.get(machine) ?? [];
    return gaps.map((gap, index) => ({ from: Math.max(after, gaps[index - 1]?.to ?? -1), to: gap.from + SILENT_AFTER_MS })).filter(({ from, to }) => from < to);
  }

  serving(machine: MachineId, app: string): Serving {
    return this.machines.get(machine)!.serving(app);
  }

  /** It answers well, and could be asked. */
  serves(machine: MachineId, app: string): boolean {
    return this.unheardMs(machine) < SILENT_AFTER_MS && this.serving(machine, app).current(this.now) !== undefined;
  }

  /** The host is done with generation `generation` of the app, and the controller has all that it has to say. */
  hasSettled(machine: MachineId, app: string, generation: number): boolean {
    return this.settledPhase(machine, app, generation) !== undefined;
  }

  /** What it has come to; undefined: it is not done, or has still something to say. */
  settledPhase(machine: MachineId, app: string, generation: number): string | undefined {
    return this.machines.get(machine)!.disk.reports.length === 0 ? this.restingPhase(machine, app, generation) : undefined;
  }

  /** The same, said or not. */
  restingPhase(machine: MachineId, app: string, generation: number): string | undefined {
    const state = this.machines.get(machine)!.disk.apps.get(app);
    const isDone = state !== undefined && (state.goal?.generation ?? 0) >= generation && isAtRest(state);
    if (!isDone) return undefined;
    // Whether what it went back to is well is another question.
    return state.phase.kind === "unhealthy" && state.phase.revertedFor !== undefined ? "reverted" : state.phase.kind;
  }

  isAtRest(machine: MachineId, app: string): boolean {
    const state = this.machines.get(machine)!.disk.apps.get(app);
    return state === undefined || isAtRest(state);
  }
}

/** For a machine that is heard: its own deadline, and the time that its answer may take, so that it fails before the rollout's progress deadline has passed. */
export function answerMs({ healthyDeadlineMs, progressDeadlineMs }: Pick<Strategy, "healthyDeadlineMs" | "progressDeadlineMs">): number {
  return healthyDeadlineMs + Math.min(SILENT_AFTER_MS, Math.max(0, (progressDeadlineMs - healthyDeadlineMs) / 2));
}
