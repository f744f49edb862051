/**
 * Durations and moments for people. Instants are milliseconds since 1970, 0 meaning never.
 */

/** `0s`, `12s`, `1m30s`, `2h05m`, `3d4h`: the two largest units, rounded down. */
export function duration(durationMs: number): string {
  const seconds = Math.max(0, Math.floor(durationMs / 1000));
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m${two(seconds % 60)}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h${two(minutes % 60)}m`;
  return `${Math.floor(hours / 24)}d${hours % 24}h`;
}

/** As people write them: `5m`, not `5m00s`; `90d`, not `90d0h`. */
export function shortDuration(durationMs: number): string {
  return duration(durationMs).replace(/(?<=[mhd])0+[smh]$/, "");
}

/** `now`, `3s ago`, `5m ago`, `2h ago`, `4d ago`; `never` for 0. Clocks differ: what lies ahead is `now`. */
export function ago(at: number, now: number): string {
  if (at === 0) return "never";
  const seconds = Math.floor((now - at) / 1000);
  if (seconds < 1) return "now";
  if (seconds < 60) return `${seconds}s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h ago`;
  return `${Math.floor(seconds / 86_400)}d ago`;
}

/** `in 3m`; `now` for what lies behind. */
export function ahead(at: number, now: number): string {
  return at - now < 1000 ? "now" : `in ${shortDuration(at - now)}`;
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

type ParsedDuration = { readonly ok: true; readonly durationMs: number } | { readonly ok: false };

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** As Go writes them, and with days: `500ms`, `10s`, `1m30s`, `90d`; `0` needs no unit. */
export function parseDuration(text: string): ParsedDuration {
  if (text === "0") return { ok: true, durationMs: 0 };
  if (!/^(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d))+$/.test(text)) return { ok: false };
  let durationMs = 0;
  for (const [, amount, unit] of text.matchAll(/([0-9.]+)(ms|s|m|h|d)/g)) {
    durationMs += Number(amount) * (UNITS_MS[unit ?? ""] ?? 0);
  }
  return { ok: true, durationMs };
}
