/**
 * Points in time as RFC 3339 writes them, to the millisecond and always with a time zone: `2026-12-01T08:00:00Z`, `2026-12-01T09:00:00.5+01:00`. Pure: asks no
 * clock, so a time that has passed is as good as any.
 */
import type { Instant } from "@muster/proto/ids.ts";

export type ParsedInstant = { readonly ok: true; readonly at: Instant } | { readonly ok: false; readonly message: string };

/** What `parseInstant` accepts, but for days that their month does not have. */
export const INSTANT =
  /^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,3})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])$/u;

const EXAMPLE = "2026-12-01T08:00:00Z";

export function parseInstant(text: string): ParsedInstant {
  if (!INSTANT.test(text)) return { ok: false, message: whyNot(text) };
  const [year, month, day] = text.slice(0, 10).split("-").map(Number) as [number, number, number];
  // Date.parse takes 30 February for 2 March.
  if (day > daysOf(year, month)) return { ok: false, message: `"${text}" is not a time: that month has ${daysOf(year, month)} days` };
  return { ok: true, at: Date.parse(text) as Instant };
}

export function formatInstant(at: Instant): string {
  return new Date(at).toISOString().replace(".000Z", "Z");
}

function daysOf(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

const PARTS = /^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]+([0-9]{2}:[0-9]{2})(:[0-9]{2}(?:\.[0-9]{1,3})?)?)?\s*(Z|UTC|[+-][0-9]{2}:?[0-9]{2})?$/iu;

function whyNot(text: string): string {
  const [, day, minutes = "00:00", seconds = ":00", zone] = PARTS.exec(text) ?? [];
  if (day === undefined) return `${JSON.stringify(text.slice(0, 60))} is not a time: write date, time and time zone, for example ${EXAMPLE}`;
  const begin = `${day}T${minutes}${seconds}`;
  if (zone === undefined) return `"${text}" has no time zone: write ${begin}Z for UTC, or an offset such as ${begin}+01:00`;
  const tidy = `${begin}${/^[+-]/.test(zone) ? zone.replace(/^(.[0-9]{2})([0-9]{2})$/, "$1:$2") : "Z"}`;
  if (INSTANT.test(tidy)) return `"${text}" is not a time as RFC 3339 writes it: try ${tidy}`;
  return `"${text}" is not a time: a month, day, hour, minute, second or offset is out of its range`;
}
