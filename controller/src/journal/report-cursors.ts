/**
 * How far the reports of each agent are acknowledged, and the newest report of each app that is over its budget on a machine.
 *
 * These are no projections: most reports leave no row in the journal. They are written in the transaction of what the report changed, and so an acknowledged report is never
 * asked for again, nor taken twice.
 */
import type { Database, Statement } from "better-sqlite3";
import type { AppName, MachineId } from "@muster/proto/ids.ts";
import type { ReportAccepted } from "./entry.ts";
import { migrate } from "./own-tables.ts";

export const STEPS = [
  `CREATE TABLE IF NOT EXISTS report_cursors (
     machine  TEXT NOT NULL,
     instance TEXT NOT NULL,
     seq      INTEGER NOT NULL,
     PRIMARY KEY (machine, instance)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE held_reports (
     machine TEXT NOT NULL,
     app     TEXT NOT NULL,
     report  TEXT NOT NULL,
     PRIMARY KEY (machine, app)
   ) STRICT, WITHOUT ROWID`,
];

/** Of one machine; the report of a further app is dropped. */
const HELD_MAX = 256;

export class ReportCursors {
  readonly #sql: Readonly<Record<"cursor" | "advance" | "forgetCursors" | "hold" | "held" | "heldOf" | "nextHolder" | "drop" | "forgetHeld" | "heldCount" | "heldBeside", Statement>>;

  constructor(db: Database) {
    migrate(db, "reports", STEPS);
    this.#sql = {
      cursor: db.prepare("SELECT seq FROM report_cursors WHERE machine = ? AND instance = ?").pluck(),
      advance: db.prepare("INSERT INTO report_cursors (machine, instance, seq) VALUES (?, ?, ?) ON CONFLICT (machine, instance) DO UPDATE SET seq = excluded.seq"),
      forgetCursors: db.prepare("DELETE FROM report_cursors WHERE machine = ?"),
      hold: db.prepare("INSERT INTO held_reports (machine, app, report) VALUES (?, ?, ?) ON CONFLICT (machine, app) DO UPDATE SET report = excluded.report"),
      held: db.prepare("SELECT machine, count(*) AS count FROM held_reports GROUP BY machine"),
      heldOf: db.prepare("SELECT report FROM held_reports WHERE machine = ? ORDER BY report ->> '$.reportSeq'").pluck(),
      nextHolder: db.prepare("SELECT machine FROM held_reports WHERE machine > ? ORDER BY machine LIMIT 1").pluck(),
      drop: db.prepare("DELETE FROM held_reports WHERE machine = ? AND app = ?"),
      forgetHeld: db.prepare("DELETE FROM held_reports WHERE machine = ?"),
      heldCount: db.prepare("SELECT count(*) FROM held_reports WHERE machine = ?").pluck(),
      heldBeside: db.prepare("SELECT count(*) FROM held_reports WHERE machine = ? AND app <> ?").pluck(),
    };
  }

  /** The newest report of an agent instance that is stored; 0: none. */
  acknowledgedSeq(machine: MachineId, instance: string): number {
    return (this.#sql.cursor.get(machine, instance) ?? 0) as number;
  }

  advance({ machine, instance, reportSeq }: ReportAccepted): void {
    this.#sql.advance.run(machine, instance, reportSeq);
  }

  /** In place of an older one of its app. False: too many are held already. */
  hold(report: ReportAccepted): boolean {
    const { machine, app } = report;
    if ((this.#sql.heldBeside.get(machine, app) as number) >= HELD_MAX) return false;
    this.#sql.hold.run(machine, app, JSON.stringify(report));
    return true;
  }

  drop(machine: MachineId, app: AppName): void {
    this.#sql.drop.run(machine, app);
  }

  /** Of one machine, the oldest first: at most 256. */
  heldOf(machine: MachineId): readonly ReportAccepted[] {
    return (this.#sql.heldOf.all(machine) as string[]).map((report) => JSON.parse(report) as ReportAccepted);
  }

  heldCount(machine: MachineId): number {
    return this.#sql.heldCount.get(machine) as number;
  }

  /** The first machine behind another one, by name, of which reports are held; undefined: there is none. */
  nextHolder(after: MachineId | ""): MachineId | undefined {
    return this.#sql.nextHolder.get(after) as MachineId | undefined;
  }

  /** How many are held of each machine that has any. O(all of them): for a list of the fleet, and not for each report. */
  held(): ReadonlyMap<MachineId, number> {
    return new Map((this.#sql.held.all() as { machine: MachineId; count: number }[]).map(({ machine, count }) => [machine, count]));
  }

  /** In the transaction that removes the machine, or in which another instance of its agent takes its place. */
  forget(machine: MachineId): void {
    this.#sql.forgetCursors.run(machine);
    this.#sql.forgetHeld.run(machine);
  }
}
