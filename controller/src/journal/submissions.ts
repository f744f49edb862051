/** When deployments were submitted, by the order of rows: a wall clock may have been wrong. */
import type { Database } from "better-sqlite3";
import { statement } from "./statement.ts";

/** The number of the newest deployment that was submitted by then; 0: none was. Submissions are never archived. O(log deployments). */
export function newestSubmitted(db: Database, seq: number): number {
  const next = statement(db, "SELECT number, (SELECT min(seq) FROM journal WHERE deployment = id) AS seq FROM deployments WHERE number >= ? ORDER BY number LIMIT 1");
  let low = 1;
  let high = ((statement(db, "SELECT max(number) FROM deployments").pluck().get() as number | null) ?? 0) + 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const found = next.get(middle) as { readonly number: number; readonly seq: number } | undefined;
    if (found !== undefined && found.seq <= seq) low = found.number + 1;
    else high = middle;
  }
  return low - 1;
}
