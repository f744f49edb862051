/**
 * Tables of the same database that are no projections of the journal: credentials and the like, which must be forgettable, and the journal can't forget.
 * Each area of the controller keeps its own, with its own version; rebuilding the projections never touches them.
 */
import type { Database } from "better-sqlite3";

/**
 * Brings an area's tables up to date: runs the steps that have not run in this database yet, in order, each with its version in one transaction.
 * A step that has been released is never changed (test/rules/own-steps.test.ts freezes each); a change of shape is a further step.
 */
export function migrate(db: Database, area: string, steps: readonly string[]): void {
  db.exec("CREATE TABLE IF NOT EXISTS own_versions (area TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID");
  const versionOf = db.prepare("SELECT version FROM own_versions WHERE area = ?").pluck();
  const setVersion = db.prepare("INSERT INTO own_versions (area, version) VALUES (?, ?) ON CONFLICT (area) DO UPDATE SET version = excluded.version");
  db.transaction(() => {
    const done = (versionOf.get(area) as number | undefined) ?? 0;
    if (done > steps.length) throw new Error(`the database's ${area} tables are of a newer Muster (version ${done}, known up to ${steps.length})`);
    for (const step of steps.slice(done)) db.exec(step);
    setVersion.run(area, steps.length);
  }).immediate();
}
