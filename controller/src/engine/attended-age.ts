/**
 * How old rows of the journal are, in attended time (ADR 24): what is removed or put away for good goes by that, never by the wall clock, which may be wrong for some seconds, or at a start. No row is younger than
 * its age says, whatever the clock said when it was written or says now; after a time in which the controller was away all is only kept for longer.
 */
import type { Instant } from "@muster/proto/ids.ts";
import type { Attended } from "../rollout/moment.ts";
import type { Journal } from "../journal/journal.ts";
import { lastWhere } from "../journal/last-where.ts";
import { statement } from "../journal/statement.ts";

/** The newest sequence that is at least so old; 0: none. Attended time rises with the sequence; where rows have gone, the next one counts. */
export function newestOfAge({ db, lastSeq }: Pick<Journal, "db" | "lastSeq">, ageMs: number, attended: Attended): number {
  const row = statement(db, "SELECT seq, attended FROM journal WHERE seq >= ? ORDER BY seq LIMIT 1");
  const upTo = attended - ageMs;
  return lastWhere(lastSeq, (from) => {
    const next = row.get(from) as { readonly seq: number; readonly attended: number } | undefined;
    return next && { key: next.seq, holds: next.attended <= upTo };
  });
}

/** The wall time at which rows were written that are at least so old as the newest was written; 0: none is. */
export function longAgo(journal: Pick<Journal, "db" | "lastSeq">, ageMs: number): Instant {
  const newest = statement(journal.db, "SELECT attended FROM journal ORDER BY seq DESC LIMIT 1").pluck().get() as Attended | undefined;
  if (newest === undefined) return 0 as Instant;
  const at = statement(journal.db, "SELECT at FROM journal WHERE seq <= ? ORDER BY seq DESC LIMIT 1").pluck().get(newestOfAge(journal, ageMs, newest)) as Instant | undefined;
  return at ?? (0 as Instant);
}
