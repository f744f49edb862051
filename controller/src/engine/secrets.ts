/**
 * Secrets as the engine knows them: names and versions, never values. A release takes the newest versions at the moment that it is made, and keeps them for good:
 * so going back to it brings back what it ran with, and a new value comes with a new version of the app.
 */
import type { Database } from "better-sqlite3";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { AppName, ReleaseId } from "@muster/proto/ids.ts";
import { statement } from "../journal/statement.ts";
import { NEEDED_RELEASES } from "./needed-releases.ts";
import { type Answer, conflict, granted } from "./refusal.ts";

/** Version by name. */
export type PinnedSecrets = Readonly<Record<string, number>>;

/** Whoever keeps the values. */
export interface SecretKeeper {
  newest(name: string): number | undefined;
  has(name: string, version: number): boolean;
  /** Whether releases of the app may name it. */
  admits(name: string, app: AppName): boolean;
  /** Whether an environment variable can hold it. */
  isText(name: string, version: number): boolean;
}

export const NO_SECRETS: SecretKeeper = { newest: () => undefined, has: () => false, admits: () => false, isText: () => false };

/** By name, each once. */
function secretsNamed({ secrets }: Release): readonly string[] {
  return [...new Set([...Object.values(secrets?.env ?? {}), ...(secrets?.files ?? []).map(({ secret }) => secret)])].toSorted();
}

/** `made`: what the release was made with, if it was made already. */
export function pinSecrets(app: AppName, id: ReleaseId, release: Release, made: PinnedSecrets | undefined, keeper: SecretKeeper): Answer<PinnedSecrets> {
  const pinned: Record<string, number> = {};
  for (const name of secretsNamed(release)) {
    if (!keeper.admits(name, app) && keeper.newest(name) !== undefined) {
      return conflict(`the secret ${name} is not for ${app}; an admin may say so with: muster secret set ${name} --apps …`);
    }
    const version = made === undefined ? keeper.newest(name) : made[name];
    if (version === undefined) return conflict(`there is no secret ${name}; make it with: muster secret set ${name}`);
    if (!keeper.has(name, version)) return conflict(`version ${version} of the secret ${name}, which ${id} was made with, was removed; give the app a new version`);
    pinned[name] = version;
  }
  for (const [variable, name] of Object.entries(release.secrets?.env ?? {})) {
    if (!keeper.isText(name, pinned[name]!)) return conflict(`the secret ${name} can't be the value of ${variable}: it is no UTF-8 text, or holds a NUL; let a file hold it, in run.files`);
  }
  return granted(pinned);
}

/** What whoever set a new value may not expect. */
export function staleNotes(id: ReleaseId, pinned: PinnedSecrets, keeper: SecretKeeper): readonly string[] {
  return Object.entries(pinned).flatMap(([name, version]) => {
    const newest = keeper.newest(name);
    return newest === version ? [] : [`${id} keeps version ${version} of the secret ${name}, which it was made with; version ${newest} comes with a new version of the app`];
  });
}

export interface NeedingRelease {
  /** Of the secret. */
  readonly name: string;
  readonly release: ReleaseId;
  readonly version: number;
}

/** Releases that name secrets and run, may run again without being deployed anew, or are about to; of one secret, or of all. */
export function needingReleases(db: Database, name: string | null): readonly NeedingRelease[] {
  const sql = `WITH ${NEEDED_RELEASES} SELECT s.key AS name, r.id AS release, s.value AS version FROM releases r, json_each(r.secrets) s
    WHERE (@name IS NULL OR s.key = @name) AND r.id IN (SELECT id FROM needed) ORDER BY r.created_at, r.id`;
  return statement(db, sql).all({ name }) as NeedingRelease[];
}

/** Versions of a secret that some release names whose files are kept, or that is needed: it can be deployed again as it is. */
export function namedVersions(db: Database, name: string): readonly number[] {
  const sql = `WITH ${NEEDED_RELEASES} SELECT DISTINCT s.value FROM releases r, json_each(r.secrets) s
    WHERE s.key = ? AND (r.artifact IN (SELECT digest FROM artifacts) OR r.id IN (SELECT id FROM needed))`;
  return statement(db, sql).pluck().all(name) as number[];
}
