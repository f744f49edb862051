/**
 * Budgets and freezes in `-o json`. Once released, a key keeps its name and its meaning.
 */
import type { Budget, Freeze } from "@muster/proto/gen/muster/v1/fleet.ts";
import { isoOrNull, textOrNull, type Json } from "./json.ts";

/** `budget set` and `budget list` */
export function budgetJson({ selector, maxUnavailable, machines, unavailable }: Budget): Json {
  return { selector, max_unavailable: maxUnavailable, machines, unavailable };
}

/** `freeze add` and `freeze list` */
export function freezeJson({ id, from, until, reason, by }: Freeze): Json {
  return { id, from: isoOrNull(from), until: isoOrNull(until), reason: textOrNull(reason), by: textOrNull(by) };
}
