/** Silence is found within its bound, and nobody is called silent who is heard: by what really arrived, in true time, whatever the controller's clocks show. */
import type { MachineId } from "@muster/proto/ids.ts";
import { SILENT_AFTER_MS } from "../controller.ts";
import type { Court } from "./court.ts";

/** From the moment at which it should be found; a controller that has just come back gives everybody as long again. */
const FOUND_WITHIN_MS = 15_000;
/** What cannot be written down is refused for a second, and agents come back after a while. */
const HEARD_WITHIN_MS = 6_000;
/** A machine may be called silent so much before its time: what arrives is taken in a moment later, and a controller looks at its clocks once in a while. */
const EARLY_MS = 1_500;

export class Silence {
  readonly #court: Court;

  constructor(court: Court) {
    this.#court = court;
  }

  /** `isDrained`: at this moment, and half of the time is enough then. */
  fellSilent(machine: MachineId, isDrained: boolean): void {
    const { hosts, complain } = this.#court;
    const unheardMs = hosts.unheardMs(machine);
    const least = SILENT_AFTER_MS / (isDrained ? 2 : 1) - EARLY_MS;
    if (unheardMs < least) complain("silence_found", `${machine} is called silent, and was heard ${unheardMs} ms ago`);
    const { hearing, now } = hosts;
    const attendedMs = hearing.atMost(Math.max(hosts.lastHeardAt(machine), now - 10 * SILENT_AFTER_MS), now, SILENT_AFTER_MS / 2);
    if (attendedMs < least && unheardMs < 9 * SILENT_AFTER_MS) complain("silence_found", `${machine} is called silent after ${attendedMs} ms in which the controller could have heard it`);
  }

  look(): void {
    const { hosts, record, controller, complain } = this.#court;
    const { attention, now } = hosts;
    if (!attention.isAttending) return;
    for (const { machine, joinedAt, drainedAt } of record.machines.values()) {
      const unheardMs = hosts.unheardMs(machine);
      const isSilent = controller.isSilent(machine);
      const watchedMs = Math.min(now - attention.since, now - joinedAt);
      if (!isSilent && Math.min(unheardMs, watchedMs - SILENT_AFTER_MS / 2) > SILENT_AFTER_MS + FOUND_WITHIN_MS) complain("silence_found", `${machine} has not been heard for ${unheardMs} ms, and is not called silent`);
      // It was called so when it was drained, and has not been heard since.
      const wasDrained = drainedAt >= hosts.lastHeardAt(machine);
      if (isSilent && unheardMs > HEARD_WITHIN_MS && unheardMs < SILENT_AFTER_MS / (wasDrained ? 2 : 1) - EARLY_MS && watchedMs > unheardMs) complain("silence_found", `${machine} was heard ${unheardMs} ms ago, and is still called silent`);
    }
  }
}
