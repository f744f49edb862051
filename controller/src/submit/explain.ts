/**
 * What is wrong with one value, in a sentence: what was found, what is allowed, and the way out. Takes values as YAML gives them; `undefined` stands for
 * a key that is missing. Never knows where the value stands.
 */
import { durationText, parseDuration } from "@muster/proto/duration.ts";
import { parseInstant } from "./instant.ts";
import { suggest } from "./suggest.ts";

export type Explain = (found: unknown) => string;

export interface TextRule {
  /** With its article: `the app's name`. */
  readonly what: string;
  readonly example: string;
  /** What such a text may look like. */
  readonly rule: string;
  readonly pattern: RegExp;
  /** Something close to the found text that is allowed. */
  readonly nearest?: (found: string) => string | undefined;
}

export function explainText({ what, example, rule, pattern, nearest }: TextRule): Explain {
  return (found) => {
    if (typeof found !== "string") return notText(found, what, example, pattern);
    const better = nearest?.(found);
    return `${shown(found)} is not ${what}: ${rule}${better === undefined ? "" : ` (try ${better})`}`;
  };
}

export function explainChoice(what: string, allowed: readonly string[]): Explain {
  return (found) => {
    if (found === undefined || found === null) return absent(found, what, allowed[0]!);
    const meant = typeof found === "string" ? suggest(found, allowed) : undefined;
    return `${shown(found)} is not one of ${allowed.join(", ")}${meant === undefined ? "" : `; did you mean "${meant}"?`}`;
  };
}

export function explainWhole(what: string, range: { readonly min: number; readonly max: number }): Explain {
  return (found) => {
    if (found === undefined || found === null) return absent(found, what, String(range.min));
    const hint = typeof found === "string" && /^[0-9]+$/.test(found) ? `: write ${found} without quotes` : "";
    return `${shown(found)} is not ${what}: a whole number from ${range.min} to ${range.max} is wanted${hint}`;
  };
}

export function explainNumber(what: string, example: string): Explain {
  return (found) => {
    if (found === undefined || found === null) return absent(found, what, example);
    const percent = typeof found === "string" ? /^([0-9]+(?:\.[0-9]+)?)%$/.exec(found)?.[1] : undefined;
    const isQuoted = typeof found === "string" && /^-?[0-9]+(?:\.[0-9]+)?$/.test(found);
    const hint = percent === undefined ? (isQuoted ? `: write ${found} without quotes` : `, for example ${example}`) : `: write ${Number((Number(percent) / 100).toPrecision(12))}`;
    return `${shown(found)} is not a number${hint}`;
  };
}

export function explainFlag(what: string): Explain {
  return (found) => {
    if (found === undefined || found === null) return absent(found, what, "true");
    const meant = /^(?:yes|on|y|true)$/i.test(String(found)) ? "true" : /^(?:no|off|n|false)$/i.test(String(found)) ? "false" : undefined;
    return `${shown(found)} where true or false is wanted${meant === undefined ? "" : `: write ${meant}`}`;
  };
}

export function explainInstant(what: string): Explain {
  return (found) => {
    if (typeof found !== "string") return notText(found, what, "2026-12-01T08:00:00Z", NOTHING);
    const parsed = parseInstant(found);
    return parsed.ok ? "" : parsed.message;
  };
}

/** For durations that are out of their range, too. */
export function explainDuration(what: string, range: { readonly minMs: number; readonly maxMs: number }): Explain {
  return (found) => {
    if (found === undefined || found === null) return absent(found, what, "10s");
    if (typeof found !== "number" && typeof found !== "string") return `${shown(found)} is not a duration, for example 10s or 1m30s`;
    const parsed = parseDuration(String(found));
    if (!parsed.ok) return parsed.message;
    if (parsed.ms < range.minMs) return `${found} is too short for ${what}: at least ${durationText(range.minMs)}`;
    return `${found} is too long for ${what}: at most ${durationText(range.maxMs)}`;
  };
}

export function explainSize({ min, max }: { readonly min: number; readonly max: number }): Explain {
  return (found) => {
    const neither = (hint: string): string => `${shown(found)} is neither a count nor a percentage (try ${hint})`;
    if (found === undefined || found === null) return absent(found, "a count or a percentage", '10 or "10%"');
    if (typeof found === "number") {
      if (Number.isInteger(found) && found < min) return `${found} is too small: at least ${min}, or a percentage such as "10%"`;
      if (Number.isInteger(found)) return `${found} is too large: at most ${max}, or a percentage such as "10%"`;
      return neither(found > 0 && found < 1 ? `"${Number((found * 100).toFixed(2))}%"` : '10 or "10%"');
    }
    if (typeof found !== "string") return neither('10 or "10%"');
    if (/^[0-9]+$/.test(found)) return `${shown(found)} is text: write ${found} without quotes for a count, or "${found}%" for a percentage`;
    const percent = /^(-?[0-9]+(?:\.[0-9]+)?)\s*%$/.exec(found)?.[1];
    if (percent === undefined) return neither('10 or "10%"');
    if (Number(percent) < min || Number(percent) > 100) return `${shown(found)} is not from ${min}% to 100%`;
    if (/\s/.test(found)) return neither(`"${percent}%"`);
    return `${shown(found)} is too exact: a percentage has at most two decimals and no leading zeros`;
  };
}

export function explainList(what: string, example: string, max: number): Explain {
  return (found) => {
    if (found === undefined || found === null) return absent(found, what, example);
    if (Array.isArray(found)) return found.length === 0 ? `an empty list: ${what}, for example ${example}` : `${found.length} entries: at most ${max} are allowed`;
    const hint = typeof found === "object" ? `: ${what}, for example ${example}` : `: write [${asListed(String(found))}]`;
    return `${shown(found)} where a list is wanted${hint}`;
  };
}

/** A program and its arguments: people who come from shells write one text. */
export function explainCommand(example: string): Explain {
  const explain = explainList("the program and its arguments", example, Infinity);
  return (found) => {
    if (typeof found !== "string") return explain(found);
    const isShell = /["'\\|&;<>()*?~`]|\$(?!\{)/.test(found);
    const words = found.split(/\s+/).filter((word) => word !== "");
    const list = isShell ? `[sh, -c, ${JSON.stringify(found)}]` : words.length === 0 ? example : `[${words.map(asListed).join(", ")}]`;
    return `${shown(found)} is text where a list is wanted: write ${list}`;
  };
}

export function explainMap(what: string, example: string): Explain {
  return (found) => {
    if (found === undefined || found === null) return absent(found, what, example);
    return `${shown(found)} where a map is wanted: ${what}, for example ${example}`;
  };
}

export function explainPort(found: unknown): string {
  if (found === undefined || found === null) return absent(found, "a port", "8080 or auto");
  if (typeof found === "string" && /^[0-9]+$/.test(found)) return `${shown(found)} is text: write ${found} without quotes`;
  return `${shown(found)} is not a port: a number from 1 to 65535, or auto for a free one`;
}

export function explainEnvValue(found: unknown): string {
  if (found === undefined || found === null) return 'empty: write "" for an empty value';
  if (typeof found === "string") return `${shown(found)} holds a NUL character, which no environment can hold`;
  return `${shown(found)} where text, a number, true, false or { secret: NAME } is wanted`;
}

/** Of a command. */
export function explainArgument(found: unknown): string {
  if (typeof found === "string") return `${shown(found)} holds a NUL character, which no argument can hold`;
  return notText(found, "an argument", '"--verbose"', /^/);
}

/** `hint` says where a key belongs that is right elsewhere: it is hardly a slip for another one. */
export function explainUnknownKey(key: string, allowed: readonly string[], hint: string | undefined): string {
  const meant = suggest(key, allowed);
  const way = hint ?? (meant === undefined ? undefined : `did you mean "${meant}"?`);
  return `unknown key ${shown(key)}${way === undefined ? "" : `; ${way}`} (allowed here: ${allowed.join(", ")})`;
}

/** A value as a person would name it. */
export function shown(found: unknown): string {
  if (found === undefined || found === null) return "nothing";
  if (Array.isArray(found)) return "a list";
  if (typeof found === "string") return JSON.stringify(found.length > 60 ? `${found.slice(0, 60)}…` : found);
  return typeof found === "object" ? "a map" : String(found);
}

/** In a YAML list, without quotes where none are needed. */
function asListed(word: string): string {
  const isPlain = /^(?:[0-9.]+%|(?:-{1,2}|\.{0,2}\/)?[A-Za-z_][A-Za-z0-9_./=-]*)$/.test(word) && !/^(?:true|false|null)$/i.test(word);
  return isPlain ? word : JSON.stringify(word);
}

const NOTHING = /^(?!)/;

function notText(found: unknown, what: string, example: string, pattern: RegExp): string {
  if (found === undefined || found === null) return absent(found, what, example);
  if (typeof found === "object") return `${shown(found)} where text is wanted: ${what}, for example ${example}`;
  const kind = typeof found === "number" ? "a number" : "a boolean";
  return `${String(found)} is ${kind} where text is wanted: ${pattern.test(String(found)) ? `write "${String(found)}"` : `${what}, for example ${example}`}`;
}

function absent(found: undefined | null, what: string, example: string): string {
  return `${found === undefined ? "missing" : "empty"}: ${what}, for example ${example}`;
}
