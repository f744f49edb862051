/**
 * Whether a release can be given to machines: its files are there, or retention has removed them. Asked by whatever gives one again: `rollback`, `rollback --to`, and what is advised.
 */
import type { ReleaseId } from "@muster/proto/ids.ts";
import type { Facts } from "./facts.ts";

export function canBeGiven(facts: Pick<Facts, "release" | "hasArtifact">, id: ReleaseId): boolean {
  const release = facts.release(id);
  return release !== undefined && facts.hasArtifact(release.artifact);
}

export function filesRemoved(id: ReleaseId): string {
  return `the files of ${id} were removed by retention`;
}
