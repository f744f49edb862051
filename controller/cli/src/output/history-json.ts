/**
 * Releases, what differs between them, why, replay and retention in `-o json`. Once released, a key keeps its name and its meaning.
 */
import type {
  DiffReleasesRequest,
  DiffReleasesResponse,
  FileDifference,
  ReleaseRecord,
  ReplayResponse,
  Retention,
  WhyRequest,
  WhyResponse,
} from "@muster/proto/gen/muster/v1/history.ts";
import { deploymentJson } from "./deployment-json.ts";
import { isoOrNull, textOrNull, type Json } from "./json.ts";

/** `releases` */
export function releaseJson({ release, createdAt, machines, healthy, deploymentIds, hasFiles }: ReleaseRecord): Json {
  return {
    app: release?.app ?? "",
    version: release?.version ?? "",
    artifact: release?.artifact ?? "",
    created_at: isoOrNull(createdAt),
    machines,
    healthy,
    deployment_ids: deploymentIds,
    has_files: hasFiles,
  };
}

export type FileChange = "added" | "removed" | "changed" | "mode";

export function fileChange({ beforeBytes, afterBytes, modeOnly }: FileDifference): FileChange {
  if (beforeBytes === undefined) return "added";
  if (afterBytes === undefined) return "removed";
  return modeOnly ? "mode" : "changed";
}

/** `diff` */
export function differenceJson({ app, fromVersion, toVersion }: DiffReleasesRequest, difference: DiffReleasesResponse): Json {
  return {
    app,
    from: fromVersion,
    to: toVersion,
    fields: difference.fields.map(({ path, before, after }) => ({ path, before: textOrNull(before), after: textOrNull(after) })),
    files: difference.files.map((file) => ({
      path: file.path,
      change: fileChange(file),
      before_bytes: file.beforeBytes ?? null,
      after_bytes: file.afterBytes ?? null,
    })),
    unchanged_files: difference.unchangedFiles,
    files_unknown: textOrNull(difference.filesUnknown),
  };
}

/** `why` */
export function whyJson({ machine }: WhyRequest, { deploymentId, summary, now, decisions }: WhyResponse): Json {
  return {
    machine: textOrNull(machine),
    deployment_id: textOrNull(deploymentId),
    summary,
    now,
    decisions: decisions.map(({ seq, at, kind, machine: about, text }) => ({ seq, at: isoOrNull(at), kind, machine: textOrNull(about), text })),
  };
}

/** `replay`, a line each */
export function pictureJson({ at, deployment, happened }: ReplayResponse): Json {
  return { at: isoOrNull(at), happened, deployment: deployment === undefined ? null : deploymentJson(deployment) };
}

/** `retention show` */
export function retentionJson({ keep, keepForMs, stepsForMs }: Retention): { readonly [key: string]: Json } {
  return { keep, keep_for_ms: keepForMs, steps_for_ms: stepsForMs };
}
