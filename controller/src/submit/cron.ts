/**
 * Cron lines of five fields, as crontab has them, with names of months and days, and `L`, `W` and `#`. The library that later finds the next time judges them, so
 * nothing is accepted that it would not understand; what is wrong is found by giving it one field at a time.
 */
import { Cron } from "croner";

/** Five words; what each may be, `cronFault` knows. */
export const CRON = /^\s*(?:\S+\s+){4}\S+\s*$/u;

const FIELDS = [
  { name: "minute", allowed: "0-59" },
  { name: "hour", allowed: "0-23" },
  { name: "day of month", allowed: "1-31" },
  { name: "month", allowed: "1-12 or JAN-DEC" },
  { name: "day of week", allowed: "0-7 or SUN-SAT" },
] as const;
const NAMES = FIELDS.map(({ name }) => name).join(", ");

/** Every field as a list of some values; each entry is read several times. */
const LENGTH_MAX = 256;

/** The library takes more signs, `?` among them, which is whatever time it is. */
const SIGNS = /^[0-9A-Z*,/#-]+$/iu;

/** A leap year follows, so that 29 February comes soon. */
const FROM = new Date("1999-12-31T00:00:00Z");

/** What is wrong with a line; undefined: nothing. */
export function cronFault(text: string): string | undefined {
  const shown = JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
  if (text.length > LENGTH_MAX) return `${shown} is too long for a cron line: at most ${LENGTH_MAX} characters`;
  const fields = text.trim().split(/\s+/).filter((field) => field !== "");
  if (fields.length !== FIELDS.length) {
    return `${shown} has ${fields.length} ${fields.length === 1 ? "field" : "fields"} where 5 are wanted: ${NAMES}, for example "0 2 * * 1-5"`;
  }
  for (const [index, { name, allowed }] of FIELDS.entries()) {
    const alone = FIELDS.map((_, other) => (other === index ? fields[index]! : "*")).join(" ");
    if (!SIGNS.test(fields[index]!) || firstTime(alone) === "not cron") {
      return `${shown} is not a cron line: "${fields[index]!}" can't be its ${name} (${allowed}, *, lists, ranges and steps such as */15)`;
    }
  }
  return firstTime(fields.join(" ")) === null ? `${shown} never comes: none of its months has such a day` : undefined;
}

function firstTime(line: string): Date | null | "not cron" {
  try {
    return new Cron(line, { mode: "5-part", timezone: "UTC", paused: true }).nextRun(FROM);
  } catch {
    return "not cron";
  }
}
