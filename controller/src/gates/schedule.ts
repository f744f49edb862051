/**
 * When a window is open. Each time its cron names opens it for `durationMs` of real time; openings that overlap or touch are one.
 *
 * Where clocks change: a time that is skipped opens the window when the gap ends, and one that comes twice opens it the first time. A cron that
 * goes by `*` or a step in its minute or hour follows the clock instead: not in the gap, and both times. So Vixie cron does it.
 *
 * Never throws for a window that has passed cron-rule.ts, and costs a look into a map until the window next opens or closes.
 */
import type { Instant } from "@muster/proto/ids.ts";
import { Cron } from "croner";
import type { Window } from "../plan/strategy.ts";

export type Opening =
  /** Open at least until then; it may be found open still when asked again. `until` is after `now`. */
  | { readonly open: true; readonly until: Instant }
  /** `opensAt` is after `now`; null: never again. */
  | { readonly open: false; readonly opensAt: Instant | null };

/** Windows whose answer is kept; more are answered too, only slower. A controller has a handful. */
const ANSWERS_MAX = 256;
/** Occurrences that are joined to one opening, so that a window that never closes is not followed for ever. Some 10 ms of work. */
const JOINED_MAX = 200;

interface Answer {
  readonly cron: Cron;
  readonly opening: Opening;
  /** Holds from … */
  readonly from: Instant;
  /** … until before this. */
  readonly to: number;
}

export class Schedule {
  readonly #answers = new Map<string, Answer>();

  openingOf(window: Window, now: Instant): Opening {
    const key = `${window.durationMs} ${window.timeZone} ${window.cron}`;
    const known = this.#answers.get(key);
    if (known !== undefined && now >= known.from && now < known.to) return known.opening;
    const cron = known?.cron ?? new Cron(window.cron, { mode: "5-part", timezone: window.timeZone, fixedTimeRule: "no-wildcard" });
    const opening = find(cron, window.durationMs, now);
    const to = opening.open ? opening.until : (opening.opensAt ?? Infinity);
    this.#keep(key, { cron, opening, from: now, to });
    return opening;
  }

  /** The one that was found longest ago makes room. */
  #keep(key: string, answer: Answer): void {
    this.#answers.delete(key);
    this.#answers.set(key, answer);
    const [oldest] = this.#answers.keys();
    if (this.#answers.size > ANSWERS_MAX && oldest !== undefined) this.#answers.delete(oldest);
  }
}

function find(cron: Cron, durationMs: number, now: Instant): Opening {
  // The earliest that has not closed yet, if it has begun; a duration longer than the epoch is as good as one since then.
  let start = after(cron, Math.max(0, now - durationMs));
  if (start === null || start > now) return { open: false, opensAt: start };
  let until = start + durationMs;
  for (let joined = 1; joined < JOINED_MAX; joined++) {
    start = after(cron, start);
    if (start === null || start > until) break;
    until = start + durationMs;
  }
  return { open: true, until: until as Instant };
}

/** The first time after `ms`, never `ms` itself. */
function after(cron: Cron, ms: number): Instant | null {
  return (cron.nextRun(new Date(ms))?.getTime() ?? null) as Instant | null;
}
