/**
 * The journal as history reads it: page by page, so that the engine has its turn in between, and by index, so that a long journal costs no more than what is asked of it.
 */
import type { Database, Statement } from "better-sqlite3";
import type { DeploymentId, Instant, MachineId } from "@muster/proto/ids.ts";
import type { EntryKind, JournalRow } from "../journal/entry.ts";
import { fromStored, type StoredRow } from "../journal/journal.ts";

/** A few milliseconds of reading. */
const PAGE_ROWS = 500;
/** Rows that are looked at, and mostly passed over, in one go. */
const SPAN_ROWS = 5000;

export class Rows {
  readonly #sql: Readonly<Record<"ofDeployment" | "ofMachine" | "span" | "join" | "newest" | "newestReport" | "phases" | "bounds" | "at" | "last", Statement>>;

  constructor(db: Database) {
    const columns = "SELECT seq, at, kind, data FROM journal";
    this.#sql = {
      // Two indexes, each read in order.
      ofDeployment: db.prepare(
        `SELECT * FROM (
           SELECT * FROM (${columns} WHERE deployment = @deployment AND seq >= @fromSeq ORDER BY seq LIMIT ${PAGE_ROWS})
           UNION ALL SELECT * FROM (${columns} WHERE kind = 'machine_removed' AND seq >= @fromSeq ORDER BY seq LIMIT ${PAGE_ROWS})
         ) ORDER BY seq LIMIT ${PAGE_ROWS}`,
      ),
      ofMachine: db.prepare(`${columns} WHERE machine = @machine AND seq >= @fromSeq ORDER BY seq LIMIT ${PAGE_ROWS}`),
      // The unary plus keeps SQLite from the index by deployment, which knows nothing of reports.
      span: db.prepare(`${columns} WHERE seq >= @fromSeq AND seq < @toSeq AND (+deployment = @deployment OR (kind = 'report_accepted' AND app = @app) OR kind = 'machine_removed') ORDER BY seq`),
      join: db.prepare(
        `${columns} WHERE machine = @machine AND seq < @beforeSeq AND kind = 'machine_joined'
           AND seq > coalesce((SELECT max(seq) FROM journal WHERE machine = @machine AND seq < @beforeSeq AND kind = 'machine_removed'), 0) ORDER BY seq LIMIT 1`,
      ),
      newest: db.prepare(`${columns} WHERE machine = @machine AND seq < @beforeSeq AND kind IN (SELECT value FROM json_each(@kinds)) ORDER BY seq DESC LIMIT 1`),
      newestReport: db.prepare(`${columns} WHERE machine = @machine AND seq < @beforeSeq AND kind = 'report_accepted' AND app = @app ORDER BY seq DESC LIMIT 1`),
      phases: db.prepare("SELECT seq, at, kind, data FROM journal WHERE deployment = ? AND kind IN ('deployment_submitted', 'start_approved', 'phase_changed') ORDER BY seq"),
      bounds: db.prepare("SELECT min(seq) AS first, max(seq) AS last FROM journal WHERE deployment = ?"),
      at: db.prepare("SELECT at FROM journal WHERE seq = ?").pluck(),
      last: db.prepare("SELECT coalesce(max(seq), 0) FROM journal").pluck(),
    };
  }

  /** All of a deployment, and each removal of a machine since the first row, in pages. */
  async *ofDeployment(deployment: DeploymentId): AsyncGenerator<readonly JournalRow[], void, undefined> {
    yield* pages((fromSeq) => this.#sql.ofDeployment.all({ deployment, fromSeq }), 1);
  }

  /** All that concerns a machine by name, in pages. */
  async *ofMachine(machine: MachineId, from: number): AsyncGenerator<readonly JournalRow[], void, undefined> {
    yield* pages((fromSeq) => this.#sql.ofMachine.all({ machine, fromSeq }), from);
  }

  /** All of a deployment, and what agents said about its app from its submission to its last row. */
  async *withReports(deployment: DeploymentId, app: string): AsyncGenerator<readonly JournalRow[], void, undefined> {
    const bounds = this.bounds(deployment);
    if (bounds === undefined) return;
    for (let fromSeq = bounds.first; fromSeq <= bounds.last; fromSeq += SPAN_ROWS) {
      const toSeq = Math.min(fromSeq + SPAN_ROWS, bounds.last + 1);
      yield (this.#sql.span.all({ fromSeq, toSeq, deployment, app }) as StoredRow[]).map(fromStored);
      await turn();
    }
  }

  /** Its first hello; of a machine that was there before under the same name, and was removed, that is another's. Undefined: it was not there then. */
  joinOf(machine: MachineId, beforeSeq = Number.MAX_SAFE_INTEGER): JournalRow | undefined {
    return found(this.#sql.join.get({ machine, beforeSeq }));
  }

  /** The last one of these kinds about a machine. */
  newestOf(machine: MachineId, kinds: readonly EntryKind[], beforeSeq = Number.MAX_SAFE_INTEGER): JournalRow | undefined {
    return found(this.#sql.newest.get({ machine, beforeSeq, kinds: JSON.stringify(kinds) }));
  }

  newestReport(machine: MachineId, app: string, beforeSeq: number): JournalRow | undefined {
    return found(this.#sql.newestReport.get({ machine, app, beforeSeq }));
  }

  /** When a deployment was submitted, when somebody started it, and each of its changes of phase but its start. */
  phasesOf(deployment: DeploymentId): readonly JournalRow[] {
    return (this.#sql.phases.all(deployment) as StoredRow[]).map(fromStored);
  }

  /** Sequences of its first and its last row. */
  bounds(deployment: DeploymentId): { readonly first: number; readonly last: number } | undefined {
    const bounds = this.#sql.bounds.get(deployment) as { first: number | null; last: number | null };
    return bounds.first === null || bounds.last === null ? undefined : { first: bounds.first, last: bounds.last };
  }

  /** The sequence of the first row after a time. Rows stand in the order of time, but for corrections of the clock. */
  firstAfter(at: Instant): number {
    let low = 1;
    let high = (this.#sql.last.get() as number) + 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((this.#sql.at.get(middle) as number) <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Others have their turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function* pages(read: (fromSeq: number) => unknown, first: number): AsyncGenerator<readonly JournalRow[], void, undefined> {
  for (let fromSeq = first; ; ) {
    const rows = (read(fromSeq) as StoredRow[]).map(fromStored);
    const last = rows.at(-1);
    if (last === undefined) return;
    yield rows;
    if (rows.length < PAGE_ROWS) return;
    fromSeq = last.seq + 1;
    await turn();
  }
}

function found(row: unknown): JournalRow | undefined {
  return row === undefined ? undefined : fromStored(row as StoredRow);
}
