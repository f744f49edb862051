/**
 * Rules over more than one key of the file. They judge every part that can be read by itself, though other parts have faults: all faults are
 * told at once.
 */
import type { Fault } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { z } from "zod";
import type { Size } from "../plan/strategy.ts";
import { formatDuration } from "./duration.ts";
import { CHECKS, Probe, Rollout } from "./schema.ts";
import { faultAt } from "./schema-faults.ts";
import { formatSize } from "./size.ts";
import { templateFaults } from "./template-rules.ts";
import type { TemplatedText } from "./template-rules.ts";
import type { Path, YamlTree } from "./yaml-tree.ts";

export function crossFaults(tree: YamlTree): readonly Fault[] {
  const file = mapOf(tree.value);
  const run = mapOf(file["run"]);
  const ports = mapOf(run["ports"]);
  const probes = listOf(file["health"]).map(mapOf);
  return [
    ...samePorts(ports, tree),
    ...emptyPrograms([["run", "command"], ...probes.map((_, index) => ["health", index, "exec"])], tree),
    ...templateFaults(templatedTexts(run, probes), Object.keys(ports), tree),
    ...deadlineOrder(tree),
    ...hopelessProbes(probes, tree),
    ...waveOrder(tree),
  ];
}

/** Another port's number; both would be bound on one machine. */
function samePorts(ports: Readonly<Record<string, unknown>>, tree: YamlTree): readonly Fault[] {
  const names = new Map<number, string>();
  return Object.entries(ports).flatMap(([name, port]) => {
    if (typeof port !== "number") return [];
    const other = names.get(port);
    names.set(port, other ?? name);
    return other === undefined ? [] : [fault(tree, ["run", "ports", name], `${port} is the port of "${other}" already: each name needs its own`)];
  });
}

function emptyPrograms(paths: readonly Path[], tree: YamlTree): readonly Fault[] {
  return paths.flatMap((path) => {
    const isEmpty = String(listOf(valueAt(tree.value, path))[0] ?? "program").trim() === "";
    return isEmpty ? [fault(tree, [...path, 0], "the program's name is empty")] : [];
  });
}

function templatedTexts(run: Readonly<Record<string, unknown>>, probes: readonly Readonly<Record<string, unknown>>[]): readonly TemplatedText[] {
  const texts: TemplatedText[] = [];
  const add = (path: Path, text: unknown, kind: TemplatedText["kind"] = "text"): void => {
    if (typeof text === "string") texts.push({ path, text, kind });
  };
  for (const [index, argument] of listOf(run["command"]).entries()) add(["run", "command", index], argument);
  for (const [name, value] of Object.entries(mapOf(run["env"]))) add(["run", "env", name], value);
  for (const [index, probe] of probes.entries()) {
    add(["health", index, "http"], probe["http"], Probe.shape.http.safeParse(probe["http"]).success ? "url" : "text");
    add(["health", index, "tcp"], probe["tcp"], Probe.shape.tcp.safeParse(probe["tcp"]).success ? "address" : "text");
    for (const [place, argument] of listOf(probe["exec"]).entries()) add(["health", index, "exec", place], argument);
  }
  return texts;
}

const DEADLINES = ["min_healthy_time", "healthy_deadline", "progress_deadline"] as const;

function deadlineOrder(tree: YamlTree): readonly Fault[] {
  const rollout = readable(Rollout, mapOf(tree.value)["rollout"]);
  return DEADLINES.slice(1).flatMap((longer, index) => {
    const shorter = DEADLINES[index]!;
    const shorterMs = rollout[shorter];
    const longerMs = rollout[longer];
    if (shorterMs === undefined || longerMs === undefined || shorterMs < longerMs) return [];
    const at = tree.places.has(["rollout", longer]) ? longer : shorter;
    return [fault(tree, ["rollout", at], `${named(tree, shorter, shorterMs)} must be shorter than ${named(tree, longer, longerMs)}`)];
  });
}

function named(tree: YamlTree, key: (typeof DEADLINES)[number], ms: number): string {
  return `${key} (${formatDuration(ms)}${tree.places.has(["rollout", key]) ? "" : ", the default"})`;
}

/** A target must be able to become healthy before its deadline. */
function hopelessProbes(probes: readonly unknown[], tree: YamlTree): readonly Fault[] {
  const { min_healthy_time: minHealthyMs, healthy_deadline: deadlineMs } = readable(Rollout, mapOf(tree.value)["rollout"]);
  if (minHealthyMs === undefined || deadlineMs === undefined || minHealthyMs >= deadlineMs) return [];
  return probes.flatMap((found, index) => {
    const probe = readable(Probe, found);
    if (!CHECKS.some((check) => probe[check] !== undefined)) return [];
    const { interval: intervalMs, healthy_after: successes } = probe;
    if (intervalMs === undefined || successes === undefined || successes * intervalMs + minHealthyMs < deadlineMs) return [];
    const streak = `healthy_after × interval (${successes} × ${formatDuration(intervalMs)} = ${formatDuration(successes * intervalMs)})`;
    const together = `${streak} and ${named(tree, "min_healthy_time", minHealthyMs)} together`;
    const message = `can never be healthy in time: ${together} must be shorter than ${named(tree, "healthy_deadline", deadlineMs)}`;
    return [fault(tree, ["health", index], message)];
  });
}

/** Counts and percentages can't be compared before the fleet is known; each must rise among its own. */
function waveOrder(tree: YamlTree): readonly Fault[] {
  const found = listOf(mapOf(mapOf(tree.value)["rollout"])["waves"]);
  const sizes = found.map((wave) => readable(Rollout, { waves: [wave] }).waves?.[0]);
  const faults: Fault[] = [];
  const highest: Partial<Record<Size["kind"], Size>> = {};
  for (const [index, size] of sizes.entries()) {
    if (size === undefined) continue;
    const before = highest[size.kind];
    if (before !== undefined && amount(size) <= amount(before)) {
      faults.push(fault(tree, ["rollout", "waves", index], `${formatSize(size)} is not more than ${formatSize(before)} before it: waves are cumulative and rise`));
    } else {
      highest[size.kind] = size;
    }
  }
  const last = sizes.at(-1);
  if (last !== undefined && !(last.kind === "percent" && last.percent === 100)) {
    faults.push(fault(tree, ["rollout", "waves", sizes.length - 1], `the last wave is ${formatSize(last)}: it must be 100%, so that no machine is left out`));
  }
  return faults;
}

function amount(size: Size): number {
  return size.kind === "count" ? size.count : size.percent;
}

/** What of a map can be read, defaults included, though other keys have faults. */
function readable<Shape extends z.core.$ZodShape>(schema: z.ZodObject<Shape>, found: unknown): Partial<z.output<z.ZodObject<Shape>>> {
  const map = mapOf(found);
  const read = Object.entries(schema.def.shape).flatMap(([key, part]) => {
    const parsed = (part as z.ZodType).safeParse(map[key]);
    return parsed.success ? [[key, parsed.data]] : [];
  });
  return Object.fromEntries(read) as Partial<z.output<z.ZodObject<Shape>>>;
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((inside, part) => (typeof part === "number" ? listOf(inside)[part] : mapOf(inside)[part]), value);
}

function mapOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function fault(tree: YamlTree, path: Path, message: string): Fault {
  return faultAt(tree.places.ofValue(path), path, message);
}
