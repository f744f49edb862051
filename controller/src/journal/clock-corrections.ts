/**
 * Where the wall clock went back from one row of the journal to the next, so that a time of day means one place in the order of rows.
 *
 *     10:05 11:05 11:05 │ 10:06 10:07        it was ahead: the rows before the correction are of 10:06 at the latest
 *     10:05 │ 9:05 9:05 10:06 10:07          it was behind: the rows after the correction are of 10:05 at the earliest
 *
 * It was behind where the rows that this makes wrong are of a shorter time, in attended time, than those that would be wrong if it had been ahead: a clock is wrong for seconds, as when a host starts, and right
 * for days. While that is not known yet, it was ahead: the newest time is believed. This is no projection, since it says nothing of what happened; it is written in the transaction of the row.
 *
 * Always holds: between two corrections times never fall.
 */
import type { Database, Statement } from "better-sqlite3";
import type { Instant } from "@muster/proto/ids.ts";
import type { Moment } from "../rollout/moment.ts";
import { migrate } from "./own-tables.ts";

export const STEPS = [
  `CREATE TABLE clock_corrections (
     seq       INTEGER PRIMARY KEY,
     at        INTEGER NOT NULL,
     behind_at INTEGER NOT NULL,
     attended  INTEGER NOT NULL,
     ahead_ms  INTEGER NOT NULL,
     behind_ms INTEGER
   ) STRICT`,
];

/** A year of a clock that is set back each hour. Of a time before them, the first row that is later is looked for as if there had been none. */
const KEPT_MAX = 10_000;

/** The rows from a correction to the next one. */
export interface Run {
  readonly fromSeq: number;
  /** When it began. */
  readonly at: Instant;
}

interface Row extends Moment {
  readonly seq: number;
}

/** While it is not known for how long the clock would have been behind. */
interface Open extends Row {
  /** When it was at the earliest, if the clock was behind: the time of the row before it, and what was attended since. */
  readonly behind_at: Instant;
  /** For how long the clock would have been ahead. */
  readonly ahead_ms: number;
}

export class ClockCorrections {
  readonly #sql: Readonly<Record<"last" | "open" | "since" | "next" | "add" | "forget" | "close" | "newestFirst", Statement>>;
  #last: Row | undefined;
  /** The newest last: a clock that was corrected may be corrected again soon after, by a little. */
  #open: Open[] = [];

  constructor(db: Database) {
    migrate(db, "clock", STEPS);
    this.#sql = {
      last: db.prepare("SELECT seq, at, attended FROM journal ORDER BY seq DESC LIMIT 1"),
      open: db.prepare("SELECT seq, at, attended, behind_at, ahead_ms FROM clock_corrections WHERE behind_ms IS NULL ORDER BY seq"),
      since: db.prepare("SELECT coalesce(max(seq), 1) FROM clock_corrections").pluck(),
      next: db.prepare("SELECT seq, at, attended FROM journal WHERE seq >= ? ORDER BY seq LIMIT 1"),
      add: db.prepare("INSERT INTO clock_corrections (seq, at, behind_at, attended, ahead_ms) VALUES (@seq, @at, @behindAt, @attended, @aheadMs)"),
      forget: db.prepare(`DELETE FROM clock_corrections WHERE seq <= (SELECT seq FROM clock_corrections ORDER BY seq DESC LIMIT 1 OFFSET ${KEPT_MAX})`),
      close: db.prepare("UPDATE clock_corrections SET behind_ms = @behindMs WHERE seq = @seq"),
      newestFirst: db.prepare("SELECT seq AS fromSeq, CASE WHEN behind_ms < ahead_ms THEN behind_at ELSE at END AS at FROM clock_corrections ORDER BY seq DESC"),
    };
    this.reload();
  }

  /** After a transaction that failed. */
  reload(): void {
    this.#last = this.#sql.last.get() as Row | undefined;
    this.#open = this.#sql.open.all() as Open[];
  }

  /** In the transaction that appends the row. O(1), and O(log n) where the clock went back. */
  note({ seq, at, attended }: Row): void {
    const last = this.#last;
    this.#last = { seq, at, attended };
    if (last === undefined) return;
    if (this.#open.length > 0) this.#open = this.#open.filter((open) => !this.#close(open, at, last.attended));
    if (at >= last.at) return;
    const correction = { seq, at, behindAt: (last.at + attended - last.attended) as Instant, attended, aheadMs: last.attended - this.#firstAfter(at, seq).attended };
    this.#sql.add.run(correction);
    this.#sql.forget.run();
    this.#open.push({ seq, at, attended, behind_at: correction.behindAt, ahead_ms: correction.aheadMs });
  }

  /** False: the clock has not come to the time from which it would have been behind, and has not been on its way there for longer than it would have been ahead. */
  #close({ seq, attended, behind_at: behindAt, ahead_ms: aheadMs }: Open, at: Instant, lastAttended: number): boolean {
    const behindMs = lastAttended - attended;
    if (at < behindAt && behindMs < aheadMs) return false;
    this.#sql.close.run({ seq, behindMs });
    return true;
  }

  /** One for each correction; the rows before the oldest are not among them. */
  newestFirst(): readonly Run[] {
    return this.#sql.newestFirst.all() as Run[];
  }

  /** The first row of the newest run that is later than its correction, as far as the database has it. */
  #firstAfter(at: Instant, correctionSeq: number): Row {
    let low = this.#sql.since.get() as number;
    let high = correctionSeq;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const next = this.#sql.next.get(middle) as Row;
      if (next.at <= at && next.seq < correctionSeq) low = next.seq + 1;
      else high = middle;
    }
    return this.#sql.next.get(low) as Row;
  }
}
