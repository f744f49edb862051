/**
 * The leaves of the deployment file: texts, numbers, durations, sizes, times, selectors. Each explains itself through explain.ts, and gives its value as it is used:
 * durations in milliseconds, times as instants, sizes and selectors read.
 */
import { parseSelector } from "@muster/proto/selector.ts";
import { z } from "zod";
import { DURATION, parseDuration } from "@muster/proto/duration.ts";
import { explainArgument, explainChoice, explainCommand, explainDuration, explainFlag, explainInstant, explainNumber, explainSize, explainText, explainWhole, shown } from "../explain.ts";
import type { Explain, TextRule } from "../explain.ts";
import { INSTANT, parseInstant } from "../instant.ts";
import { COUNT_MAX, PERCENT, PERCENT_OR_ZERO, toSize } from "../size.ts";

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
/** Timers hold 24 days. */
export const DEADLINE_MAX = 480 * HOUR;

export function says(explain: Explain): { error: (issue: { readonly input?: unknown }) => string } {
  return { error: (issue) => explain(issue.input) };
}

/**
 * When to judge the keys of a map together: beside other faults of it, too; but not beside an unknown key, which is likely the one that would be missed.
 */
export function hasKnownKeys({ value, issues }: { readonly value: unknown; readonly issues: readonly { readonly code?: string; readonly path?: readonly unknown[] | undefined }[] }): boolean {
  const isMap = typeof value === "object" && value !== null && !Array.isArray(value);
  return isMap && !issues.some(({ code, path = [] }) => code === "unrecognized_keys" && path.length === 0);
}

export function text(rule: TextRule) {
  const explain = says(explainText(rule));
  return z.string(explain).regex(rule.pattern, explain);
}

export function duration(what: string, minMs: number, maxMs: number, explain: Explain = explainDuration(what, { minMs, maxMs })) {
  const written = z.string(says(explain)).regex(DURATION, says(explain));
  // 0 is the one number that needs no unit.
  const found = minMs > 0 ? written : z.union([written, z.literal(0, says(explain))], says(explain));
  return found.transform((value, context) => {
    const parsed = parseDuration(String(value));
    if (parsed.ok && parsed.ms >= minMs && parsed.ms <= maxMs) return parsed.ms;
    context.issues.push({ code: "custom", message: explain(value), input: value });
    return z.NEVER;
  });
}

/** At least one machine, or 1%. */
export function size() {
  return sizeFrom(1, PERCENT);
}

/** As many as are put up with: none, too. */
export function tolerance() {
  return sizeFrom(0, PERCENT_OR_ZERO);
}

function sizeFrom(min: number, pattern: RegExp) {
  const explain = says(explainSize({ min, max: COUNT_MAX }));
  const count = z.int(explain).min(min, explain).max(COUNT_MAX, explain);
  return z.union([count, z.string(explain).regex(pattern, explain)], explain).transform(toSize);
}

export function whole(what: string, min: number, max: number) {
  const explain = says(explainWhole(what, { min, max }));
  return z.int(explain).min(min, explain).max(max, explain);
}

export function decimal(what: string, example: string) {
  return z.number(says(explainNumber(what, example)));
}

export function flag(what: string) {
  return z.boolean(says(explainFlag(what)));
}

export function choice<const Allowed extends readonly [string, ...string[]]>(what: string, allowed: Allowed) {
  return z.enum(allowed, says(explainChoice(what, allowed)));
}

export function instant(what: string) {
  const explain = explainInstant(what);
  return z
    .string(says(explain))
    .regex(INSTANT, says(explain))
    .transform((found, context) => {
      const parsed = parseInstant(found);
      if (parsed.ok) return parsed.at;
      context.issues.push({ code: "custom", message: parsed.message, input: found });
      return z.NEVER;
    });
}

export const NO_NUL = /^[^\u0000]*$/u;

export function command(example: string) {
  const argument = z.string(says(explainArgument)).regex(NO_NUL, says(explainArgument));
  return z.array(argument, says(explainCommand(example))).min(1, says(explainCommand(example)));
}

/** Of a label; the same pattern as proto's `isLabelKey`, which gives none away. */
export const LABEL_KEY = /^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/u;

const explainSelector = explainText({ pattern: /^/, what: "a selector of machines", example: '"role=web,env in (prod,staging)"', rule: "" });

export function selector() {
  return z.string(says((found) => selectorOfMap(found) ?? explainSelector(found))).transform((found, context) => {
    const parsed = parseSelector(found);
    if (parsed.ok) return parsed.selector;
    context.issues.push({ code: "custom", message: `not a selector: ${parsed.message}`, input: found, params: { offset: parsed.offset } });
    return z.NEVER;
  });
}

function selectorOfMap(found: unknown): string | undefined {
  if (typeof found !== "object" || found === null || Array.isArray(found)) return undefined;
  const labels = Object.entries(found).map(([key, value]) => `${key}=${String(value)}`);
  return `a map where text is wanted: write ${shown(labels.join(","))}`;
}
