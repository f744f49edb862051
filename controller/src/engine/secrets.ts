/**
 * Secrets as the engine knows them: names and versions, never values. A release takes the newest versions at the moment that it is made, and keeps them for good:
 * so going back to it brings back what it ran with, and a new value comes with a new version of the app.
 */
import type { Database } from "better-sqlite3";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { AppName, ReleaseId } from "@muster/proto/ids.ts";
import { statement } from "../journal/statement.ts";
import { neededReleases } from "./needed-releases.ts";
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

interface NamingRelease extends NeedingRelease {
  readonly app: AppName;
  readonly isKept: 0 | 1;
}

/** Releases that name secrets and run, may run again without being deployed anew, or are about to; of one secret, or of all. */
export function needingReleases(db: Database, name: string | null): readonly NeedingRelease[] {
  const needed = neededByApp(db);
  return namingReleases(db, name)
    .filter(({ app, release }) => needed(app).has(release))
    .map((naming) => ({ name: naming.name, release: naming.release, version: naming.version }));
}

/** Versions of a secret that some release names whose files are kept, or that is needed: it can be deployed again as it is. */
export function namedVersions(db: Database, name: string): readonly number[] {
  const needed = neededByApp(db);
  const named = namingReleases(db, name).filter(({ app, release, isKept }) => isKept === 1 || needed(app).has(release));
  return [...new Set(named.map(({ version }) => version))];
}

/** Oldest first. */
function namingReleases(db: Database, name: string | null): readonly NamingRelease[] {
  const sql = `SELECT s.key AS name, r.id AS release, r.app AS app, s.value AS version, EXISTS (SELECT 1 FROM artifacts a WHERE a.digest = r.artifact) AS isKept
    FROM releases r, json_each(r.secrets) s WHERE @name IS NULL OR s.key = @name ORDER BY r.created_at, r.id`;
  return statement(db, sql).all({ name }) as NamingRelease[];
}

function neededByApp(db: Database): (app: AppName) => ReadonlySet<ReleaseId> {
  const byApp = new Map<AppName, ReadonlySet<ReleaseId>>();
  return (app) => {
    const needed = byApp.get(app) ?? neededReleases(db, app);
    byApp.set(app, needed);
    return needed;
  };
}
