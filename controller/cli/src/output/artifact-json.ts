/**
 * Artifacts in `-o json`. Once released, a key keeps its name and its meaning.
 */
import type { Artifact } from "@muster/proto/gen/muster/v1/artifacts.ts";
import { isoOrNull, type Json } from "./json.ts";

/** What `packArtifact` found out, and whether the controller took anything. */
export interface PushedArtifact {
  readonly digest: string;
  /** False when it was there already. */
  readonly created: boolean;
  readonly fileCount: number;
  readonly sizeBytes: number;
  readonly packBytes: number;
}

/** `artifact push` */
export function pushedJson({ digest, created, fileCount, sizeBytes, packBytes }: PushedArtifact): Json {
  return { digest, created, file_count: fileCount, size_bytes: sizeBytes, pack_bytes: packBytes };
}

/** `artifact list` */
export function artifactJson(artifact: Artifact): Json {
  return {
    digest: artifact.digest,
    file_count: artifact.fileCount,
    size_bytes: artifact.sizeBytes,
    pack_bytes: artifact.packBytes,
    stored_at: isoOrNull(artifact.storedAt),
    releases: artifact.releases,
  };
}
