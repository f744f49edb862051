/**
 * What the schema complains of → faults with their places. One complaint may be several faults (unknown keys).
 */
import type { Fault } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { z } from "zod";
import { explainUnknownKey } from "./explain.ts";
import { homeOf, keysAt } from "./schema.ts";
import { ProcessRun } from "./schema/release.ts";
import { pathText } from "./yaml-tree.ts";
import type { Path, Place, YamlTree } from "./yaml-tree.ts";

type Issue = z.core.$ZodIssue;

export function schemaFaults(issues: readonly Issue[], tree: YamlTree): readonly Fault[] {
  return meantIssues(issues).flatMap((issue) => faultsOf(issue, tree));
}

/** Where one of several kinds may stand and a value is of one of them: what is wrong with its parts, instead of "it is none of these". */
export function meantIssues(issues: readonly Issue[]): readonly Issue[] {
  return issues.flatMap((issue) => {
    const meant = issue.code === "invalid_union" ? issue.errors.filter(isOfParts) : [];
    if (meant.length !== 1) return [issue];
    return meantIssues(meant[0]!.map((inside) => ({ ...inside, path: [...issue.path, ...inside.path] })));
  });
}

function isOfParts(issues: readonly Issue[]): boolean {
  return issues.length > 0 && issues.every(({ code, path }) => path.length > 0 || code === "unrecognized_keys" || code === "custom");
}

export function faultAt(place: Place, path: Path, message: string): Fault {
  return { line: place.line, column: place.column, path: pathText(path), message };
}

function faultsOf(issue: Issue, tree: YamlTree): readonly Fault[] {
  const path = issue.path.filter((part) => typeof part !== "symbol");
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => faultAt(tree.places.ofKey([...path, key]), [...path, key], unknownKey(path, key, tree)));
    case "invalid_key":
      return issue.issues.slice(0, 1).map(({ message }) => faultAt(tree.places.ofKey(path), path, message));
    case "custom": {
      const offset: unknown = issue.params?.["offset"];
      const place = typeof offset === "number" ? tree.places.inText(path, offset) : tree.places.ofValue(path);
      return [faultAt(place, path, issue.message)];
    }
    case "invalid_type":
    case "invalid_value":
    case "invalid_format":
    case "invalid_union":
    case "invalid_element":
    case "too_big":
    case "too_small":
    case "not_multiple_of":
      return [faultAt(tree.places.ofValue(path), path, issue.message)];
  }
}

function unknownKey(path: Path, key: string, tree: YamlTree): string {
  const driver = driverOf(tree.value);
  const allowed = keysAt(path, driver);
  if (path[0] === "run" && path.length === 1 && driver === "files" && Object.hasOwn(ProcessRun.shape, key)) {
    return `the files driver runs nothing, so it takes no ${key} (allowed here: ${allowed.join(", ")})`;
  }
  const hint = key === "<<" ? "merge keys are no part of YAML 1.2, write the keys out" : homeOf(key, path);
  return explainUnknownKey(key, allowed, hint);
}

function driverOf(file: unknown): unknown {
  const run = typeof file === "object" && file !== null && "run" in file ? file.run : undefined;
  return typeof run === "object" && run !== null && "driver" in run ? run.driver : undefined;
}
