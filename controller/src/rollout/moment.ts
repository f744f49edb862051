/**
 * A moment on both of the controller's clocks: what a calendar says, and attended time (ADR 24).
 *
 * Soaks, deadlines and waits are differences of attended time; what a person wrote as a time of day is compared with `at`.
 */
import type { Instant } from "@muster/proto/ids.ts";

declare const brand: unique symbol;

/** Milliseconds during which the controller was up, its loop was turning and its disk took writes. Never goes back. */
export type Attended = number & { readonly [brand]: "Attended" };

export interface Moment {
  readonly at: Instant;
  readonly attended: Attended;
}

/** The moment so much later, if the controller is attended all the while. */
export function later({ at, attended }: Moment, ms: number): Moment {
  return { at: (at + ms) as Instant, attended: (attended + ms) as Attended };
}

/** How long ago it was, in attended time. */
export function attendedSince(since: Moment, now: Moment): number {
  return now.attended - since.attended;
}

/** When the calendar will say, as far as can be foreseen, that `ms` of attended time have passed since `since`. */
export function dueAt(since: Moment, ms: number, now: Moment): Instant {
  return (now.at + since.attended + ms - now.attended) as Instant;
}

/** Of a process that keeps no journal, such as a forecast or a test: attended all the time. */
export function attendedAlways(at: Instant): Moment {
  return { at, attended: at as number as Attended };
}
