/**
 * SQLite, so that a statement is planned once and not each time it is asked.
 *
 * SQLite lets the plan of a join, and of what has a LIMIT, depend on the values that are bound to it, and throws the plan away whenever a value is bound. Planning takes ten times as long as most of the
 * questions themselves. What it offers against that (its query planner stability guarantee) can only be turned on in C. A parameter behind a unary plus has the same value, uses the same indexes, and is
 * nothing that a plan may depend on. https://www.sqlite.org/qpsg.html
 */
import SqliteDatabase, { type Database, type Options } from "better-sqlite3";

export function openDatabase(path: string, options: Options = {}): Database {
  const db = new SqliteDatabase(path, options);
  const prepare = db.prepare.bind(db);
  return Object.assign(db, { prepare: (sql: string) => prepare(plannedOnce(sql)) });
}

/** A text, a comment, or a parameter; a text may hold what looks like one. */
const TOKENS = /'(?:[^']|'')*'|--[^\n]*|[?@]\w*/g;

function plannedOnce(sql: string): string {
  return sql.replaceAll(TOKENS, (token) => (token.startsWith("?") || token.startsWith("@") ? `+${token}` : token));
}
