/**
 * The order that a strategy asks for among machines: by id, by labels, or by a chance that the release decides.
 *
 * Pure, and the same everywhere and every time: numbers in names compare as numbers, all else by code unit, whatever the locale; and a shuffle is drawn from the
 * release and the machine's id, so that a forecast shows what the deployment will do, and another release takes others first.
 */
import type { MachineId, ReleaseId } from "@muster/proto/ids.ts";
import type { Labels } from "@muster/proto/selector.ts";
import type { OrderKey } from "./strategy.ts";

/** Where a machine stands by each key, in their order; null: it has no such label. */
export type Ranks = readonly (string | number | null)[];

export function ranksOf(order: readonly OrderKey[], { id, labels }: { readonly id: MachineId; readonly labels: Labels }, release: ReleaseId): Ranks {
  return order.map((key) => {
    switch (key.kind) {
      case "id":
        return natural(id);
      case "label":
        return Object.hasOwn(labels, key.label) ? natural(labels[key.label]!) : null;
      case "shuffle":
        return draw(`${release}\n${id}`);
    }
  });
}

export function compareRanks(order: readonly OrderKey[], a: Ranks, b: Ranks): number {
  for (const [index, key] of order.entries()) {
    const [left, right] = [a[index]!, b[index]!];
    if (left === right) continue;
    // Whoever lacks the label comes last, whichever way it is sorted.
    if (left === null || right === null) return left === null ? 1 : -1;
    const isReversed = key.kind !== "shuffle" && key.reversed;
    return left < right !== isReversed ? -1 : 1;
  }
  return 0;
}

/** As the file says it: `-zone`. */
export function orderKeyText(key: OrderKey): string {
  if (key.kind === "shuffle") return key.kind;
  return `${key.reversed ? "-" : ""}${key.kind === "id" ? key.kind : key.label}`;
}

/** Sorts as text where the name sorts with its numbers as numbers: a longer number is a greater one. */
function natural(name: string): string {
  return name.replaceAll(/[0-9]+/g, (digits) => {
    const value = digits.replace(/^0+(?=[0-9])/, "");
    return `0${String.fromCharCode(value.length)}${value}`;
  });
}

/** FNV-1a, then the finalizer of MurmurHash3: names that differ in their last digit alone lie far apart. */
function draw(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
