/**
 * Parts of a file that has faults: what of it can be read all the same, so that rules over several keys judge it, too.
 */
import type { Fault } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { z } from "zod";
import { durationText } from "@muster/proto/duration.ts";
import { faultAt } from "./schema-faults.ts";
import type { Path, YamlTree } from "./yaml-tree.ts";

/** What of a map can be read, defaults included, though other keys have faults. */
export function readable<Shape extends z.core.$ZodShape>(schema: z.ZodObject<Shape>, found: unknown): Partial<z.output<z.ZodObject<Shape>>> {
  const map = mapOf(found);
  const read = Object.entries(schema.def.shape).flatMap(([key, part]) => {
    const parsed = (part as z.ZodType).safeParse(map[key]);
    return parsed.success ? [[key, parsed.data]] : [];
  });
  return Object.fromEntries(read) as Partial<z.output<z.ZodObject<Shape>>>;
}

export function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((inside, part) => (typeof part === "number" ? listOf(inside)[part] : mapOf(inside)[part]), value);
}

export function mapOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function fault(tree: YamlTree, path: Path, message: string): Fault {
  return faultAt(tree.places.ofValue(path), path, message);
}

/** A duration of `rollout`, by its key: `healthy_deadline (5m, the default)`. */
export function namedDuration(tree: YamlTree, key: string, ms: number): string {
  return `${key} (${durationText(ms)}${tree.places.has(["rollout", key]) ? "" : ", the default"})`;
}
