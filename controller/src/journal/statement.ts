/**
 * Prepared statements, one for each text and database: preparing costs more than most of the questions themselves.
 */
import type { Database, Statement } from "better-sqlite3";

const PREPARED = new WeakMap<Database, Map<string, Statement>>();

/** Not for statements that are iterated while the same one is asked again. */
export function statement(db: Database, sql: string): Statement {
  let known = PREPARED.get(db);
  if (known === undefined) {
    known = new Map();
    PREPARED.set(db, known);
  }
  let prepared = known.get(sql);
  if (prepared === undefined) {
    prepared = db.prepare(sql);
    known.set(sql, prepared);
  }
  return prepared;
}
