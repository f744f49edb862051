/**
 * What a rollout may ask about the world around it. The engine answers from the fleet, the schedule and the other rollouts; a forecast answers from a model.
 */
import type { Instant, MachineId } from "@muster/proto/ids.ts";
import type { Window } from "../plan/strategy.ts";
import type { Purpose } from "./state.ts";

/** Whether anything new may be started now. */
export type Opening =
  | { readonly open: true; readonly until: Instant | null }
  /** `opensAt` null: not foreseeable. */
  | { readonly open: false; readonly opensAt: Instant | null; readonly message: string };

export interface Surroundings {
  /** Nothing heard for longer than the controller waits. */
  isSilent(machine: MachineId): boolean;
  /** An operator keeps rollouts away from it. */
  isCordoned(machine: MachineId): boolean;
  /** A time in which the whole fleet is left alone. */
  frozen(now: Instant): Opening;
  /** A rollout's own maintenance window. */
  opening(window: Window, now: Instant): Opening;
  /** The selector of a budget of the machine's group that has no room for it; undefined: it may move. */
  fullBudget(machine: MachineId, purpose: Purpose): string | undefined;
}

/** A world without obstacles: nobody is silent or cordoned, and it is always time. */
export const OPEN_SURROUNDINGS: Surroundings = {
  isSilent: () => false,
  isCordoned: () => false,
  frozen: () => ({ open: true, until: null }),
  opening: () => ({ open: true, until: null }),
  fullBudget: () => undefined,
};
