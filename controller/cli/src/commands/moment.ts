/**
 * Moments as people write them: RFC 3339, a time of the day, or so long from now. A time of the day is in the zone of the one who
 * writes; it is the next such moment where the future is meant and the last one where the past is. Pure.
 */
import { parseDuration } from "@muster/proto/duration.ts";
import { badInput } from "../errors.ts";

/** On which side of `from` the moment lies. */
type Side = "future" | "past";

const WAYS: Readonly<Record<Side, string>> = {
  future: "2026-01-31T18:00:00Z, 18:00 for the next one, or +2h",
  past: "2026-01-31T18:00:00Z, 18:00 for the last one, or -5m",
};

/** For the help. */
export const FUTURE_WAYS = WAYS.future;
export const PAST_WAYS = WAYS.past;

interface MomentOptions {
  /** As the user typed the option, for the message: `--from`. */
  readonly option: string;
  readonly side: Side;
  readonly now: number;
  /** What a time of the day follows or precedes, where that is not `now`. */
  readonly from?: number;
}

/** Milliseconds since 1970. Throws what the user wrote wrong. */
export function parseMoment(text: string, { option, side, now, from = now }: MomentOptions): number {
  const at = relative(text, side, now) ?? timeOfDay(text, side, from) ?? rfc3339(text);
  if (at !== undefined) return at;
  throw badInput(`${option}: ${JSON.stringify(text)} is not a time; try ${WAYS[side]}`);
}

/** `+2h`, `-5m`, `now`; a sign that leads to the wrong side is no time. */
function relative(text: string, side: Side, now: number): number | undefined {
  if (text === "now") return now;
  const sign = side === "future" ? 1 : -1;
  if (!text.startsWith(sign === 1 ? "+" : "-")) return undefined;
  const parsed = parseDuration(text.slice(1));
  return parsed.ok ? now + sign * parsed.ms : undefined;
}

/** `18:00`, `18:00:30`. Days are counted by the calendar, since some have 23 hours. */
function timeOfDay(text: string, side: Side, from: number): number | undefined {
  const [, hours, minutes, seconds = "0"] = /^([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?$/.exec(text) ?? [];
  if (hours === undefined) return undefined;
  const date = new Date(from);
  date.setHours(Number(hours), Number(minutes), Number(seconds), 0);
  if (side === "future" && date.getTime() <= from) date.setDate(date.getDate() + 1);
  if (side === "past" && date.getTime() > from) date.setDate(date.getDate() - 1);
  return date.getTime();
}

const RFC3339 = /^(\d{4})-(\d{2})-(\d{2})[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?([Zz]|[+-]\d{2}:\d{2})?$/;

/** A date without a zone is in the zone of the one who writes. 31 February is no date, though `Date` takes it. */
function rfc3339(text: string): number | undefined {
  const [, year, month, day] = RFC3339.exec(text) ?? [];
  if (year === undefined || Number(day) > new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate()) return undefined;
  const at = Date.parse(text.replace(" ", "T"));
  return Number.isNaN(at) ? undefined : at;
}
