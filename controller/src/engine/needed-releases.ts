/**
 * Which releases of an app somebody depends on: said once, for the files and for the secrets of releases.
 *
 * O(machines that have the app, and targets of its deployments that stand or have not ended); some milliseconds with 10,000 machines.
 */
import type { Database } from "better-sqlite3";
import type { AppName, Digest, ReleaseId } from "@muster/proto/ids.ts";
import { newestStanding } from "../journal/standing.ts";
import { statement } from "../journal/statement.ts";

/** Releases that ran last, are to run, or are what a rollback would go back to: of the newest deployment to each selector that changed somebody, since one that only repeats it is not rolled back. CROSS JOIN keeps SQLite from reading the targets of every deployment that ever was. */
const NEEDED = `
  WITH counting AS (
      SELECT id, release FROM deployments WHERE app = @app AND ended_at IS NULL
      UNION ALL SELECT id, release FROM (${newestStanding("d.id, d.release")}))
  SELECT release FROM counting
  UNION SELECT t.previous FROM counting c CROSS JOIN targets t ON t.deployment = c.id
  UNION SELECT release FROM assignments WHERE app = @app
  UNION SELECT last_good FROM assignments WHERE app = @app`;

/** Machine by machine, since an index of what runs would have to be written with each report. */
const RUNNING = `
  SELECT m.id AS machine, ma.running_artifact AS artifact FROM (SELECT id FROM machines WHERE id > @after ORDER BY id LIMIT @most) m
  LEFT JOIN machine_apps ma ON ma.machine = m.id AND ma.app = @app ORDER BY m.id`;

export function neededReleases(db: Database, app: AppName): ReadonlySet<ReleaseId> {
  return new Set(statement(db, NEEDED).pluck().all({ app }) as ReleaseId[]);
}

/** What agents say that they run, whatever the release: of so many machines after one. `last` undefined: there are no more. */
export function runningArtifacts(db: Database, app: AppName, after: string, most: number): { readonly artifacts: readonly Digest[]; readonly last: string | undefined } {
  const rows = statement(db, RUNNING).all({ app, after, most }) as { machine: string; artifact: Digest | null }[];
  const artifacts = new Set(rows.flatMap(({ artifact }) => (artifact === null ? [] : [artifact])));
  return { artifacts: [...artifacts], last: rows.length < most ? undefined : rows.at(-1)!.machine };
}
