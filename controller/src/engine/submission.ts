/**
 * A deployment as it is handed to the engine: read and free of faults.
 */
import { isDeepStrictEqual } from "node:util";
import type { AppName, ReleaseId } from "@muster/proto/ids.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { Selector } from "@muster/proto/selector.ts";
import type { Strategy } from "../plan/strategy.ts";

export interface Submission {
  readonly app: AppName;
  readonly release: Release;
  readonly strategy: Strategy;
  readonly selector: Selector;
}

export interface Submitted {
  readonly deployment: string;
  /** What the user may not expect, in sentences. */
  readonly notes: readonly string[];
}

/** What differs between two releases of one name, in the words of the deployment file; undefined: nothing. */
export function differences(stored: Release, submitted: Release): string | undefined {
  // Who signed it is no part of what it is.
  const plain = (release: Release) => JSON.parse(JSON.stringify({ ...release, signed: undefined })) as Record<string, unknown>;
  const before = plain(stored);
  const after = plain(submitted);
  const words: Readonly<Record<string, string>> = { artifact: "its files", driver: "how it is run", secrets: "its secrets", ports: "its ports", health: "its probes" };
  const differing = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((key) => !isDeepStrictEqual(before[key], after[key]));
  return differing.length === 0 ? undefined : differing.map((key) => words[key] ?? key).join(" and ");
}

export function releaseExists(id: ReleaseId, differing: string): string {
  return `${id} exists with other content (${differing} ${differing.includes(" and ") || differing !== "how it is run" ? "differ" : "differs"}); a release never changes: give this one a new version`;
}
