/**
 * What rollouts see of the world: the fleet, the calendar, and each other through the budgets.
 */
import type { Instant, MachineId } from "@muster/proto/ids.ts";
import type { Window } from "../plan/strategy.ts";
import type { Purpose } from "../rollout/state.ts";
import type { Opening, Surroundings } from "../rollout/surroundings.ts";
import type { Fleet } from "../fleet/fleet.ts";
import { Budgets } from "./budgets.ts";
import { Calendar, type Schedule } from "./calendar.ts";
import type { Facts } from "./facts.ts";
import { Wellness } from "./wellness.ts";

export class World implements Surroundings {
  readonly fleet: Fleet;
  readonly wellness: Wellness;
  readonly calendar: Calendar;
  readonly budgets: Budgets;

  /** `isMoving`: in any rollout. */
  constructor(fleet: Fleet, schedule: Schedule, isMoving: (machine: MachineId) => boolean) {
    this.fleet = fleet;
    this.wellness = new Wellness(fleet);
    this.calendar = new Calendar(schedule);
    this.budgets = new Budgets(this.wellness, isMoving);
  }

  /** From the tables; the rollouts must have been loaded before. */
  reload(facts: Facts): void {
    this.wellness.reload(facts);
    this.calendar.reload(facts);
    this.budgets.reload(facts);
  }

  /** It is no part of the fleet any more, and counts nowhere. */
  forget(machine: MachineId): void {
    this.wellness.forget(machine);
    this.budgets.forget(machine);
  }

  isSilent(machine: MachineId): boolean {
    return this.fleet.isSilent(machine);
  }

  isCordoned(machine: MachineId): boolean {
    return this.wellness.isCordoned(machine);
  }

  frozen(now: Instant): Opening {
    return this.calendar.frozen(now);
  }

  opening(window: Window, now: Instant): Opening {
    return this.calendar.opening(window, now);
  }

  fullBudget(machine: MachineId, purpose: Purpose): string | undefined {
    return this.budgets.full(machine, purpose);
  }
}
