/**
 * What a deployment file may say of the order in which machines have their turn: one key, or a list of keys of which each decides where those before it do not.
 */
import { z } from "zod";
import type { OrderKey } from "../../plan/strategy.ts";
import { explainList, shown } from "../explain.ts";
import type { Explain } from "../explain.ts";
import { LABEL_KEY, says } from "./leaf.ts";

/** More than anybody could think through. */
const KEYS_MAX = 8;

/** `-` is no part of a label's beginning, so nothing is lost by it. */
const KEY = new RegExp(`^-?${LABEL_KEY.source.slice(1)}`, "u");
/** What Ansible calls them, and what would say nothing. */
const ELSEWHERE: Readonly<Record<string, string>> = { sorted: "id", reverse_sorted: "-id", "-shuffle": "shuffle" };

const explainKey: Explain = (found) => {
  const example = "id, -id, shuffle, or a label's name such as zone or -zone";
  if (typeof found !== "string") return `${found === undefined || found === null ? "empty" : `${shown(found)} where text is wanted`}: what to order machines by: ${example}`;
  const own = Object.hasOwn(ELSEWHERE, found) ? ELSEWHERE[found] : undefined;
  if (own !== undefined) return `${shown(found)} is no order: write ${own}`;
  return `${shown(found)} is nothing to order machines by: ${example} is wanted`;
};

const Key = z
  .string(says(explainKey))
  .regex(KEY, says(explainKey))
  .transform((found, context): OrderKey => {
    if (found === "shuffle") return { kind: "shuffle" };
    if (Object.hasOwn(ELSEWHERE, found)) {
      context.issues.push({ code: "custom", message: explainKey(found), input: found });
      return z.NEVER;
    }
    const reversed = found.startsWith("-");
    const name = reversed ? found.slice(1) : found;
    return name === "id" ? { kind: "id", reversed } : { kind: "label", label: name, reversed };
  });

const explainKeys = explainList("what to order machines by", "[-zone, id]", KEYS_MAX);
const explainOrder: Explain = (found) => (Array.isArray(found) ? explainKeys(found) : explainKey(found));

export const Order = z.union([Key.transform((key) => [key]), z.array(Key, says(explainKeys)).min(1, says(explainKeys)).max(KEYS_MAX, says(explainKeys))], says(explainOrder));
