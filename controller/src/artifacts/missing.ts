/**
 * At the start: says which artifacts are known but not there, as after a restore from a backup that was made without them. They can be pushed again; until then machines
 * that need one wait for it.
 */
import { type Digest, parseDigest } from "@muster/proto/ids.ts";
import type { Database } from "better-sqlite3";
import type { Logger } from "pino";
import type { ArtifactStore } from "./artifact-store.ts";

export interface MissingOptions {
  readonly db: Database;
  readonly store: Pick<ArtifactStore, "has">;
  readonly logger: Logger;
}

/** A line a log can show; the count says how many there are. */
const NAMED_MAX = 20;

export async function tellMissingArtifacts({ db, store, logger }: MissingOptions): Promise<void> {
  const known = db.prepare("SELECT digest FROM artifacts ORDER BY stored_at DESC").pluck().all() as string[];
  const missing: Digest[] = [];
  for (const text of known) {
    const digest = parseDigest(text);
    if (digest !== undefined && !(await store.has(digest))) missing.push(digest);
  }
  if (missing.length === 0) return;
  const releasesOf = db.prepare("SELECT id FROM releases WHERE artifact = ? ORDER BY created_at DESC").pluck();
  const releases = missing.slice(0, NAMED_MAX).flatMap((digest) => releasesOf.all(digest) as string[]);
  logger.warn({ count: missing.length, artifacts: missing.slice(0, NAMED_MAX), releases }, "artifacts are missing: push them again with muster artifact push");
}
