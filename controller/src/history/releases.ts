/**
 * Every release, and what became of it: which machines run it now, which deployments brought it, whether its files are kept.
 */
import type { Database } from "better-sqlite3";
import { Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { ReleaseRecord } from "@muster/proto/gen/muster/v1/history.ts";
import { Slice, SLICE_ROWS } from "../journal/slices.ts";
import { statement } from "../journal/statement.ts";

/** Of each release, the newest. */
const DEPLOYMENTS_MAX = 100;

const RELEASE = `
  SELECT r.id, r.app, r.release, r.created_at, EXISTS (SELECT 1 FROM artifacts a WHERE a.digest = r.artifact) AS has_files,
    (SELECT json_group_array(id) FROM (SELECT id FROM deployments d WHERE d.app = r.app AND d.release = r.id ORDER BY number DESC LIMIT ${DEPLOYMENTS_MAX})) AS deployments
  FROM releases r WHERE r.id = ?`;
/** The next machines that run it, in the order of their names. */
const RUNNING = `
  SELECT count(*) AS machines, coalesce(sum(is_healthy), 0) AS healthy, max(machine) AS last FROM (
    SELECT ma.machine, ma.phase IN ('healthy', 'reverted') AND m.silent_since IS NULL AND m.drained = 0 AS is_healthy
    FROM machine_apps ma JOIN machines m ON m.id = ma.machine WHERE ma.app = @app AND ma.running_version = @version AND ma.machine > @after ORDER BY ma.machine LIMIT ${SLICE_ROWS})`;

interface ReleaseRow {
  readonly id: string;
  readonly app: string;
  readonly release: string;
  readonly created_at: number;
  readonly has_files: number;
  readonly deployments: string;
}

/** Newest first, in slices; one that is made meanwhile is missing. A machine that goes from one to another meanwhile may count for both, or for neither. An empty app: of all. */
export async function listReleases(db: Database, app: string, limit: number): Promise<ReleaseRecord[]> {
  const slice = new Slice();
  const newest = `SELECT id FROM releases ${app === "" ? "" : "WHERE app = @app"} ORDER BY created_at DESC, id DESC LIMIT @limit`;
  const records: ReleaseRecord[] = [];
  for (const id of statement(db, newest).pluck().all(app === "" ? { limit } : { app, limit }) as string[]) {
    // Releases are never removed.
    const row = statement(db, RELEASE).get(id) as ReleaseRow;
    const deploymentIds = JSON.parse(row.deployments) as string[];
    await slice.took(1 + deploymentIds.length);
    records.push({ release: readable(row), createdAt: row.created_at, ...(await running(db, row, slice)), deploymentIds, hasFiles: row.has_files === 1 });
  }
  return records;
}

async function running(db: Database, { id, app }: ReleaseRow, slice: Slice): Promise<{ machines: number; healthy: number }> {
  const all = { machines: 0, healthy: 0 };
  const version = id.slice(app.length + 1);
  for (let after = ""; ; ) {
    const { machines, healthy, last } = statement(db, RUNNING).get({ app, version, after }) as { machines: number; healthy: number; last: string };
    all.machines += machines;
    all.healthy += healthy;
    await slice.took(1 + machines);
    if (machines < SLICE_ROWS) return all;
    after = last;
  }
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
