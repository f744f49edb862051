/**
 * What a rollout may ask about the world around it. The engine answers from the fleet, the schedule and the other rollouts; a forecast answers from a model.
 */
import type { AppName, DeploymentId, Instant, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import type { Window } from "../plan/strategy.ts";
import type { Attended } from "./moment.ts";
import type { Hold, Purpose, RolloutReason, RolloutState } from "./state.ts";

/** Whether anything new may be started now. */
export type Opening =
  | { readonly open: true; readonly until: Instant | null }
  /** `opensAt` null: not foreseeable. */
  | { readonly open: false; readonly opensAt: Instant | null; readonly message: string };

/** What a machine goes back to. */
export interface WayBack {
  /** Null: the app is removed. */
  readonly release: ReleaseId | null;
  /** Nothing was good on the machine: it is what stands for machines like it, as late machines get it, and is taken back with that. */
  readonly asLate: boolean;
}

export interface Surroundings {
  /** Nothing heard for longer than the controller waits. */
  isSilent(machine: MachineId): boolean;
  /** When its agent was heard last; a machine that is drained or lost is not waited for. */
  heardAt(machine: MachineId): Attended;
  /** Machines that have made reports which have not come in: what they said last may be so no more. */
  owing(): Iterable<MachineId>;
  /** An operator keeps rollouts away from it. */
  isCordoned(machine: MachineId): boolean;
  /** Its labels match the selector. */
  isSelected(machine: MachineId, selector: string): boolean;
  /** What runs on it is stopped until it is uncordoned. */
  isDrained(machine: MachineId): boolean;
  /** What the machine goes back to from the release of the rollout: what was good on it, or, `asLate` or where nothing was, stood for machines like it; null: nothing. `asLate` is false by default. */
  wayBack(state: Pick<RolloutState, "id" | "app" | "release">, machine: MachineId, asLate?: boolean): WayBack;
  /** Until when the machine has time to say how it goes with what it was told of the app; undefined: it is not waited for, be it that the time is over. */
  answerDueAt(machine: MachineId, app: AppName): Attended | undefined;
  /** Why the machine's agent does not follow, or what it said last that is wrong with the app; null: nothing. */
  said(machine: MachineId, app: AppName): RolloutReason | { readonly code: string; readonly message: string } | null;
  /** A time in which the whole fleet is left alone. */
  frozen(now: Instant): Opening;
  /** A rollout's own maintenance window. */
  opening(window: Window, now: Instant): Opening;
  /** The selector of a budget of the machine's group that has no room for it; undefined: it may start. */
  fullBudget(machine: MachineId, purpose: Purpose): string | undefined;
  /** The deployment that has decided about the machine since this one began to go back; undefined: none has. */
  successor(state: Pick<RolloutState, "id" | "app">, machine: MachineId): DeploymentId | undefined;
  /** Of a rollout that has succeeded: the deployment that decides about the machine by now, or took the release back from machines like it; undefined: this one still does. */
  overruledBy(state: Pick<RolloutState, "id" | "app">, machine: MachineId): DeploymentId | undefined;
  /** Why the release of a rollout that has succeeded is given to nobody else now; undefined: it stands where it runs. */
  unsound(state: RolloutState): Hold | undefined;
}

/** A world without obstacles: everybody is heard all the time, nobody is cordoned, and it is always time. */
export const OPEN_SURROUNDINGS: Surroundings = {
  isSilent: () => false,
  heardAt: () => Number.MAX_SAFE_INTEGER as Attended,
  owing: () => [],
  isCordoned: () => false,
  isSelected: () => true,
  isDrained: () => false,
  wayBack: () => ({ release: null, asLate: false }),
  answerDueAt: () => undefined,
  said: () => null,
  frozen: () => ({ open: true, until: null }),
  opening: () => ({ open: true, until: null }),
  fullBudget: () => undefined,
  successor: () => undefined,
  overruledBy: () => undefined,
  unsound: () => undefined,
};
