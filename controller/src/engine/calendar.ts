/**
 * When anything new may be started: freezes of the whole fleet, and a rollout's own maintenance window.
 */
import type { Instant } from "@muster/proto/ids.ts";
import type { Window } from "../plan/strategy.ts";
import type { Opening } from "../rollout/surroundings.ts";
import { timeText } from "../rollout/words.ts";
import type { Facts, Freeze } from "./facts.ts";

/** When a window is open; answered by a library for cron expressions. */
export interface Schedule {
  openingOf(window: Window, now: Instant): { readonly open: true; readonly until: Instant } | { readonly open: false; readonly opensAt: Instant | null };
}

export class Calendar {
  readonly #schedule: Schedule;
  /** By their beginning. */
  #freezes: readonly Freeze[] = [];

  constructor(schedule: Schedule) {
    this.#schedule = schedule;
  }

  /** Without those that were ended before they began. */
  reload(facts: Facts): void {
    this.#freezes = facts.freezes().filter(({ from, until }) => until === null || until > from);
  }

  /** Those that are not over. */
  freezes(now: Instant): readonly Freeze[] {
    return this.#freezes.filter(({ until }) => until === null || until > now);
  }

  frozen(now: Instant): Opening {
    return frozenBy(this.#freezes, now);
  }

  opening(window: Window, now: Instant): Opening {
    const opening = this.#schedule.openingOf(window, now);
    if (opening.open) return opening;
    const { opensAt } = opening;
    const when = opensAt === null ? "which never opens again" : `which opens at ${timeText(opensAt)}`;
    return { open: false, opensAt, message: `its window (${window.cron}, ${window.timeZone}), ${when}` };
  }
}

/** `freezes`: by their beginning. */
export function frozenBy(freezes: readonly Freeze[], now: Instant): Opening {
  const inForce = freezes.find(({ from, until }) => from <= now && (until === null || until > now));
  if (inForce !== undefined) {
    const { id, reason, until } = inForce;
    const end = until === null ? "until somebody ends it" : `until ${timeText(until)}`;
    return { open: false, opensAt: until, message: `the freeze ${id} to be over (${end}${reason === "" ? "" : `: ${reason}`})` };
  }
  const next = freezes.find(({ from }) => from > now);
  return { open: true, until: next?.from ?? null };
}
