/**
 * Which crons and time zones a window may have, and in words why another may not. Knows no clock and no network: the same text is judged the
 * same for ever. What passes here never makes `Schedule` throw.
 *
 * The language is Vixie cron's five fields (lists, ranges, steps, names of months and days), with two additions that maintenance windows live
 * on: `L`, the last day of the month, and `TUE#2` or `FRI#L`, the second Tuesday and the last Friday. Where both days are restricted, either
 * will do, as ever in cron.
 */
import { Cron } from "croner";
import { counted } from "@muster/proto/text.ts";

interface Field {
  readonly name: string;
  readonly article: "a" | "an";
  readonly min: number;
  readonly max: number;
  /** Of the values from `min` on. */
  readonly names: readonly string[];
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: readonly Field[] = [
  { name: "minute", article: "a", min: 0, max: 59, names: [] },
  { name: "hour", article: "an", min: 0, max: 23, names: [] },
  { name: "day of month", article: "a", min: 1, max: 31, names: [] },
  { name: "month", article: "a", min: 1, max: 12, names: MONTHS },
  { name: "day of week", article: "a", min: 0, max: 7, names: DAYS },
];
const FORM = "five fields are expected (minute, hour, day of month, month, day of week), for example 0 22 * * MON-FRI";

/** Longer than any that a person wrote. */
const CRON_LENGTH_MAX = 256;

/** Five fields have no year, so what does not fire after this day never does. */
const ANY_DAY = new Date("2000-01-01T00:00:00Z");

/** What is wrong with it; undefined: nothing. */
export function validateCron(text: string): string | undefined {
  if (text.length > CRON_LENGTH_MAX) return `the cron has ${text.length} characters, at most ${CRON_LENGTH_MAX} are allowed`;
  const fields = text.split(/\s+/).filter((field) => field !== "");
  if (fields.length !== FIELDS.length) return `"${text}" has ${counted(fields.length, "field")}: ${FORM}`;
  for (const [index, field] of FIELDS.entries()) {
    for (const part of fields[index]!.split(",")) {
      const fault = partFault(part, field);
      if (fault !== undefined) return `"${text}" is not a cron: ${fault}`;
    }
  }
  try {
    return new Cron(text, { mode: "5-part", timezone: "UTC" }).nextRun(ANY_DAY) === null ? `"${text}" never comes: no month has such a day` : undefined;
  } catch (error) {
    return `"${text}" is not a cron: ${error instanceof Error ? error.message.replace(/^CronPattern: /, "") : String(error)}`;
  }
}

/** What is wrong with it; undefined: nothing. Offsets are refused: they are wrong for half of the year in most places. */
export function validateTimeZone(text: string): string | undefined {
  const expected = "an IANA name is expected, for example Europe/Berlin or UTC";
  if (/^[+-]/.test(text)) return `"${text}" is an offset, not a time zone: ${expected}`;
  try {
    new Intl.DateTimeFormat("en", { timeZone: text });
    return undefined;
  } catch {
    return `"${text}" is not a time zone: ${expected}`;
  }
}

function partFault(part: string, field: Field): string | undefined {
  if (isSpecial(part, field)) return undefined;
  const [, from, to, step] = /^(?:\*|([0-9a-z]+)(?:-([0-9a-z]+))?)(?:\/([0-9]+))?$/i.exec(part) ?? [];
  if (part !== "*" && from === undefined && step === undefined) {
    return `"${part}" is not understood as ${field.article} ${field.name}: *, ${allowed(field)}, ranges such as ${example(field)}, steps such as */2, and lists of these with commas are`;
  }
  if (step !== undefined && from !== undefined && to === undefined) return `${part} has a step but no range: try ${from}-${field.max}/${step}`;
  const span = field.max - field.min + (field === FIELDS[4] ? 0 : 1); // Sunday is 0 and 7
  if (step !== undefined && (Number(step) < 1 || Number(step) > span)) return `the step of ${part} is not from 1 to ${span}`;
  return from === undefined ? undefined : rangeFault(part, from, to, field);
}

function rangeFault(part: string, from: string, to: string | undefined, field: Field): string | undefined {
  const [first, second] = [valueOf(from, field), valueOf(to ?? from, field)];
  if (first === undefined) return `${from} is not ${field.article} ${field.name}: ${allowed(field)} are allowed`;
  if (second === undefined) return `${to} is not ${field.article} ${field.name}: ${allowed(field)} are allowed`;
  const last = to?.toLowerCase() === "sun" ? 7 : second;
  if (first <= last) return undefined;
  const isNamed = Number.isNaN(Number(from)) && field.names.length > 0;
  const [lowest, highest] = isNamed ? [field.names[0]!.toUpperCase(), field.names.at(-1)!.toUpperCase()] : [field.min, field === FIELDS[4] ? 6 : field.max];
  return `${part} runs backwards: try ${from}-${highest},${lowest}-${to}`;
}

/** `L` in the day of month; `TUE#2`, `2#2`, `FRI#L` in the day of week. */
function isSpecial(part: string, field: Field): boolean {
  if (field.name === "day of month") return part.toUpperCase() === "L";
  const day = /^([0-9a-z]+)#[1-5L]$/i.exec(part)?.[1];
  return field.name === "day of week" && day !== undefined && valueOf(day, field) !== undefined;
}

function valueOf(text: string, field: Field): number | undefined {
  const place = field.names.indexOf(text.toLowerCase());
  if (place >= 0) return field.min + place;
  const value = /^[0-9]{1,2}$/.test(text) ? Number(text) : Number.NaN;
  return value >= field.min && value <= field.max ? value : undefined;
}

function allowed(field: Field): string {
  const names = field.names.length === 0 ? "" : ` and ${field.names[0]!.toUpperCase()} to ${field.names.at(-1)!.toUpperCase()}`;
  return `${field.min} to ${field.max}${names}`;
}

function example(field: Field): string {
  return field.names.length === 0 ? `${field.min + 1}-${field.min + 5}` : `${field.names[1]!.toUpperCase()}-${field.names[5]!.toUpperCase()}`;
}
