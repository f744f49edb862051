/** When deployments were submitted, by the order of rows: a wall clock may have been wrong. */
import type { Database } from "better-sqlite3";
import { lastWhere } from "./last-where.ts";
import { statement } from "./statement.ts";

/** The number of the newest deployment that was submitted by then; 0: none was. Submissions are never archived. O(log deployments). */
export function newestSubmitted(db: Database, seq: number): number {
  const next = statement(db, "SELECT number, (SELECT min(seq) FROM journal WHERE deployment = id) AS seq FROM deployments WHERE number >= ? ORDER BY number LIMIT 1");
  const newest = statement(db, "SELECT coalesce(max(number), 0) FROM deployments").pluck().get() as number;
  return lastWhere(newest, (from) => {
    const found = next.get(from) as { readonly number: number; readonly seq: number } | undefined;
    return found && { key: found.number, holds: found.seq <= seq };
  });
}
