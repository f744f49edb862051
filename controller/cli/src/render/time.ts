/**
 * Durations and moments for people. Instants are milliseconds since 1970, 0 meaning never.
 */
import { durationText, rounded } from "@muster/proto/duration.ts";

/** Of what was measured: `0s`, `12s`, `1m30s`, `2h5m`, `3d4h`. */
export function elapsedText(elapsedMs: number): string {
  return durationText(rounded(elapsedMs, { finestMs: 1000 }));
}

/** Clocks differ by so much, and nothing is wrong with them. */
const CLOCKS_DIFFER_MS = 60_000;

/** `now`, `3s ago`, `5m ago`, `2h ago`, `4d ago`; `never` for 0. Clocks differ: what lies a little ahead is `now`; `2d ahead`: one of the two was wrong. */
export function ago(at: number, now: number): string {
  if (at === 0) return "never";
  if (at - now > CLOCKS_DIFFER_MS) return `${durationText(rounded(at - now, { units: 1 }))} ahead`;
  return now - at < 1000 ? "now" : `${durationText(rounded(now - at, { units: 1 }))} ago`;
}

/** `in 3m`; `now` for what lies behind. */
export function ahead(at: number, now: number): string {
  return at - now < 1000 ? "now" : `in ${elapsedText(at - now)}`;
}

/** `12:03:04` on the day of `now`, else `2026-01-31 12:03:04`; in the zone of the one who reads. */
export function moment(at: number, now: number): string {
  const isToday = new Date(at).toDateString() === new Date(now).toDateString();
  return isToday ? timeOfDay(at) : dateAndTime(at);
}

/** `12:03:04`, in the zone of the one who reads. */
export function timeOfDay(at: number): string {
  const date = new Date(at);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** `2026-01-31 12:03:04`, in the zone of the one who reads. */
export function dateAndTime(at: number): string {
  const date = new Date(at);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${timeOfDay(at)}`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}
