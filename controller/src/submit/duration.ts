/**
 * Durations as Go writes them (`1h30m`, `500ms`, `1.5s`), read into whole milliseconds and back. Pure and exact: no floating point on the way.
 * Stricter than Go in two things: nothing negative, and nothing finer than a millisecond.
 */

export type ParsedDuration = { readonly ok: true; readonly ms: number } | { readonly ok: false; readonly message: string };

/** What `parseDuration` accepts, but for results that are not whole milliseconds or too long. */
export const DURATION = /^(?:0|(?:(?:[0-9]{1,16}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?:ns|us|µs|μs|ms|s|m|h))+)$/u;

const PART = /([0-9]*)\.?([0-9]*)(ns|us|µs|μs|ms|s|m|h)/gu;
const UNIT_NS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  "µs": 1_000n, // U+00B5
  "μs": 1_000n, // U+03BC
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};
const FRACTION_DIGITS = 9;
const MS_SCALED = 1_000_000n * 10n ** BigInt(FRACTION_DIGITS);

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

/** The shortest exact form: `90000` is `1m30s`, `1500` is `1.5s`, `20` is `20ms`. Takes whole milliseconds that are not negative. */
export function formatDuration(ms: number): string {
  if (ms === 0) return "0s";
  if (ms < 1_000) return `${ms}ms`;
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor(ms / 60_000) % 60;
  const rest = ms % 60_000;
  const fraction = String(rest % 1_000).padStart(3, "0").replace(/0+$/, "");
  const seconds = `${Math.floor(rest / 1_000)}${fraction === "" ? "" : `.${fraction}`}`;
  return `${hours > 0 ? `${hours}h` : ""}${minutes > 0 ? `${minutes}m` : ""}${rest > 0 ? `${seconds}s` : ""}`;
}

function whyNot(text: string): string {
  if (/^[0-9]+(?:\.[0-9]+)?$/.test(text)) return `${text} has no unit: try ${text}s`;
  if (/^-/.test(text)) return `"${text}" is negative: a duration begins at 0s`;
  const tidy = text.replaceAll(/\s/g, "").toLowerCase();
  if (DURATION.test(tidy) && tidy !== "0") return `"${text}" is not a duration: try ${tidy}`;
  const days = /^([0-9]{1,4})d(?:ays?)?$/.exec(tidy)?.[1];
  if (days !== undefined) return `"${text}" is not a duration: there is no unit for days, try ${Number(days) * 24}h`;
  const [unknown] = text.match(/[a-zµμ]+/giu)?.filter((word) => !Object.hasOwn(UNIT_NS, word)) ?? [];
  const units = unknown === undefined ? "" : `; "${unknown}" is not a unit: ns us ms s m h are`;
  return `"${text}" is not a duration, for example 10s or 1m30s${units}`;
}
