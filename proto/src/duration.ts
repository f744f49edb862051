/**
 * Durations as people write and read them, everywhere: in the deployment file, in flags, in messages and tables. The one parser and the one printer, so that whatever is
 * shown can be written back. Pure and exact: no floating point on the way.
 *
 * As in Go (`1h30m`, `500ms`, `1.5s`), with three differences: `d` is 24 hours, nothing is negative, and nothing is finer than a millisecond.
 */

export type ParsedDuration = { readonly ok: true; readonly ms: number } | { readonly ok: false; readonly message: string };

/** What `parseDuration` accepts, but for results that are not whole milliseconds or too long. */
export const DURATION = /^(?:0|(?:(?:[0-9]{1,16}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?:ns|us|µs|μs|ms|s|m|h|d))+)$/u;

const PART = /([0-9]*)\.?([0-9]*)(ns|us|µs|μs|ms|s|m|h|d)/gu;
const UNIT_NS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  "µs": 1_000n, // U+00B5
  "μs": 1_000n, // U+03BC
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
  d: 86_400_000_000_000n,
};
const FRACTION_DIGITS = 9;
const MS_SCALED = 1_000_000n * 10n ** BigInt(FRACTION_DIGITS);

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** Largest first. Milliseconds are a fraction of a second. */
const UNITS_MS = [DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS] as const;

export function parseDuration(text: string): ParsedDuration {
  if (!DURATION.test(text)) return { ok: false, message: whyNot(text) };
  let scaledNs = 0n;
  for (const [, whole = "", fraction = "", unit = ""] of text.matchAll(PART)) {
    scaledNs += BigInt(whole + fraction.padEnd(FRACTION_DIGITS, "0")) * UNIT_NS[unit]!;
  }
  if (scaledNs % MS_SCALED !== 0n) return { ok: false, message: `"${text}" is not a whole number of milliseconds` };
  const ms = scaledNs / MS_SCALED;
  if (ms > BigInt(Number.MAX_SAFE_INTEGER)) return { ok: false, message: `"${text}" is too long` };
  return { ok: true, ms: Number(ms) };
}

/** The shortest exact form: `86400000` is `1d`, `90000` is `1m30s`, `1500` is `1.5s`, `20` is `20ms`. Takes whole milliseconds that are not negative. */
export function durationText(ms: number): string {
  if (ms === 0) return "0s";
  if (ms < SECOND_MS) return `${ms}ms`;
  const days = Math.floor(ms / DAY_MS);
  const hours = Math.floor(ms / HOUR_MS) % 24;
  const minutes = Math.floor(ms / MINUTE_MS) % 60;
  const rest = ms % MINUTE_MS;
  const fraction = String(rest % SECOND_MS).padStart(3, "0").replace(/0+$/, "");
  const seconds = `${Math.floor(rest / SECOND_MS)}${fraction === "" ? "" : `.${fraction}`}`;
  const parts = [days > 0 ? `${days}d` : "", hours > 0 ? `${hours}h` : "", minutes > 0 ? `${minutes}m` : "", rest > 0 ? `${seconds}s` : ""];
  return parts.join("");
}

export interface RoundingOptions {
  /** How many of days, hours, minutes and seconds are kept, from the largest that is there. */
  readonly units?: number;
  /** Nothing finer is kept. */
  readonly finestMs?: number;
}

/**
 * For what was measured, before it is printed: rounded down to its two largest units, so that nobody reads `3h2m1.017s`. What was written is never rounded. Any number of
 * milliseconds; those below zero, as from clocks that differ, are zero.
 */
export function rounded(ms: number, { units = 2, finestMs = 1 }: RoundingOptions = {}): number {
  const largest = UNITS_MS.findIndex((unitMs) => ms >= unitMs);
  const finest = largest === -1 ? finestMs : Math.max(finestMs, UNITS_MS[Math.min(largest + units, UNITS_MS.length) - 1]!);
  return Math.max(0, Math.floor(ms / finest) * finest);
}

function whyNot(text: string): string {
  if (/^[0-9]+(?:\.[0-9]+)?$/.test(text)) return `${text} has no unit: try ${text}s`;
  if (/^-/.test(text)) return `"${text}" is negative: a duration begins at 0s`;
  const tidy = text.replaceAll(/\s/g, "").toLowerCase();
  if (DURATION.test(tidy) && tidy !== "0") return `"${text}" is not a duration: try ${tidy}`;
  const days = /^([0-9]{1,4})days?$/.exec(tidy)?.[1];
  if (days !== undefined) return `"${text}" is not a duration: try ${days}d`;
  const [unknown] = text.match(/[a-zµμ]+/giu)?.filter((word) => !Object.hasOwn(UNIT_NS, word)) ?? [];
  const units = unknown === undefined ? "" : `; "${unknown}" is not a unit: ns us ms s m h d are`;
  return `"${text}" is not a duration, for example 10s or 1m30s${units}`;
}
