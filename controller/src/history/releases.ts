/**
 * Every release, and what became of it: which machines run it now, which deployments brought it, whether its files are kept.
 */
import type { Database } from "better-sqlite3";
import { Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { ReleaseRecord } from "@muster/proto/gen/muster/v1/history.ts";

/** Of each release, the newest. */
const DEPLOYMENTS_MAX = 100;

interface ReleaseRow {
  readonly id: string;
  readonly app: string;
  readonly release: string;
  readonly created_at: number;
  readonly has_files: number;
  readonly machines: number;
  readonly healthy: number;
  readonly deployments: string;
}

/** Newest first. An empty app: of all. */
export function listReleases(db: Database, app: string, limit: number): ReleaseRecord[] {
  const rows = db
    .prepare(
      `WITH running AS (SELECT ma.app, ma.running_version AS version, count(*) AS machines, sum(ma.phase IN ('healthy', 'reverted') AND m.silent_since IS NULL AND m.drained = 0) AS healthy
         FROM machine_apps ma JOIN machines m ON m.id = ma.machine WHERE ma.running_version <> '' AND (@app = '' OR ma.app = @app) GROUP BY 1, 2),
       newest AS (SELECT * FROM releases WHERE @app = '' OR app = @app ORDER BY created_at DESC, id DESC LIMIT @limit)
       SELECT r.id, r.app, r.release, r.created_at, EXISTS (SELECT 1 FROM artifacts a WHERE a.digest = r.artifact) AS has_files, coalesce(u.machines, 0) AS machines, coalesce(u.healthy, 0) AS healthy,
         (SELECT json_group_array(id) FROM (SELECT id FROM deployments d WHERE d.app = r.app AND d.release = r.id ORDER BY number DESC LIMIT ${DEPLOYMENTS_MAX})) AS deployments
       FROM newest r LEFT JOIN running u ON u.app = r.app AND u.version = substr(r.id, length(r.app) + 2)
       ORDER BY r.created_at DESC, r.id DESC`,
    )
    .all({ app, limit }) as ReleaseRow[];
  return rows.map((row) => ({
    release: readable(row),
    createdAt: row.created_at,
    machines: row.machines,
    healthy: row.healthy,
    deploymentIds: JSON.parse(row.deployments) as string[],
    hasFiles: row.has_files === 1,
  }));
}

/** One that can't be read hides no other. */
function readable({ id, app, release }: ReleaseRow): Release {
  try {
    return JSON.parse(release) as Release;
  } catch {
    return Release.fromPartial({ app, version: id.slice(app.length + 1) });
  }
}

export function findRelease(db: Database, id: string): Release | undefined {
  const release = db.prepare("SELECT release FROM releases WHERE id = ?").pluck().get(id) as string | undefined;
  return release === undefined ? undefined : (JSON.parse(release) as Release);
}
