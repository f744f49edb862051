/**
 * Rules over more than one key of the file. They judge every part that can be read by itself, though other parts have faults: all faults are
 * told at once.
 */
import type { Fault } from "@muster/proto/gen/muster/v1/deployments.ts";
import { durationText } from "@muster/proto/duration.ts";
import { shown } from "./explain.ts";
import { fault, listOf, mapOf, namedDuration, readable, valueAt } from "./parts.ts";
import { rolloutFaults } from "./rollout-rules.ts";
import { CHECKS, Probe } from "./schema/release.ts";
import { Rollout } from "./schema/rollout.ts";
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
    ...samePaths(listOf(run["files"]).map(mapOf), tree),
    ...emptyPrograms([["run", "command"], ...probes.map((_, index) => ["health", index, "exec"])], tree),
    ...templateFaults(templatedTexts(run, probes), Object.keys(ports), tree),
    ...hopelessProbes(probes, tree),
    ...rolloutFaults(tree),
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

/** Two files of one path, or one that would stand where the folder of another is. */
function samePaths(files: readonly Readonly<Record<string, unknown>>[], tree: YamlTree): readonly Fault[] {
  const paths = files.map(({ path }) => path);
  return paths.flatMap((path, index) => {
    if (typeof path !== "string") return [];
    const other = paths.slice(0, index).find((before) => typeof before === "string" && (before === path || before.startsWith(`${path}/`) || path.startsWith(`${before}/`)));
    if (other === undefined) return [];
    const message = other === path ? `${shown(path)} stands twice: each file needs a path of its own` : `${shown(path)} and ${shown(other)}: one of them would be a folder`;
    return [fault(tree, ["run", "files", index, "path"], message)];
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

/** A target must be able to become healthy before its deadline. */
function hopelessProbes(probes: readonly unknown[], tree: YamlTree): readonly Fault[] {
  const { min_healthy_time: minHealthyMs, healthy_deadline: deadlineMs } = readable(Rollout, mapOf(tree.value)["rollout"]);
  if (minHealthyMs === undefined || deadlineMs === undefined || minHealthyMs >= deadlineMs) return [];
  return probes.flatMap((found, index) => {
    const probe = readable(Probe, found);
    if (!CHECKS.some((check) => probe[check] !== undefined)) return [];
    const { interval: intervalMs, healthy_after: successes } = probe;
    if (intervalMs === undefined || successes === undefined || successes * intervalMs + minHealthyMs < deadlineMs) return [];
    const streak = `healthy_after × interval (${successes} × ${durationText(intervalMs)} = ${durationText(successes * intervalMs)})`;
    const together = `${streak} and ${namedDuration(tree, "min_healthy_time", minHealthyMs)} together`;
    const message = `can never be healthy in time: ${together} must be shorter than ${namedDuration(tree, "healthy_deadline", deadlineMs)}`;
    return [fault(tree, ["health", index], message)];
  });
}
