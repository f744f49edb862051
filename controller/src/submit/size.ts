/**
 * Sizes: a count of machines, or a percentage of them. In a file, `10` and `25%`.
 */
import type { Size } from "../plan/strategy.ts";
import { explainSize } from "./explain.ts";

/** From 1% (or 0%) to 100%, with at most two decimals. */
export const PERCENT = /^(?:100(?:\.0{1,2})?|[1-9][0-9]?(?:\.[0-9]{1,2})?)%$/u;
export const PERCENT_OR_ZERO = /^(?:100(?:\.0{1,2})?|[1-9]?[0-9](?:\.[0-9]{1,2})?)%$/u;
/** More machines than any fleet that Muster is made for. */
export const COUNT_MAX = 1_000_000;

/** Takes what has passed one of the patterns, or a whole number. */
export function toSize(found: number | string): Size {
  return typeof found === "number" ? { kind: "count", count: found } : { kind: "percent", percent: Number(found.slice(0, -1)) };
}

export type ParsedSize = { readonly ok: true; readonly size: Size } | { readonly ok: false; readonly message: string };

/** A size as it is typed where there are no quotes: `10` or `25%`; at least one machine, or 1%. */
export function parseSize(text: string): ParsedSize {
  const found = /^-?[0-9]+(?:\.[0-9]+)?$/.test(text) ? Number(text) : text;
  const isSize = typeof found === "number" ? Number.isInteger(found) && found >= 1 && found <= COUNT_MAX : PERCENT.test(found);
  return isSize ? { ok: true, size: toSize(found) } : { ok: false, message: explainSize({ min: 1, max: COUNT_MAX })(found) };
}
