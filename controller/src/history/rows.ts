/**
 * The journal as history reads it: page by page, so that the engine has its turn in between, and by index, so that a long journal costs no more than what is asked of it.
 *
 * Always holds: where rows of a deployment can't be read, it throws ArchiveError, since a story without them would be another one.
 */
import type { Database, Statement } from "better-sqlite3";
import type { DeploymentId, Instant, MachineId } from "@muster/proto/ids.ts";
import type { EntryKind, JournalRow } from "../journal/entry.ts";
import type { Archive, ArchivedRow, Under } from "../journal/archive.ts";
import type { ClockCorrections } from "../journal/clock-corrections.ts";
import { isArchived } from "../journal/archived-kinds.ts";
import { refuseMissing } from "../journal/archive-error.ts";
import { fromStored, ROW_COLUMNS, type StoredRow } from "../journal/journal.ts";
import { pageWith } from "../journal/pages.ts";
import { Slice, turn } from "../journal/slices.ts";

/** A few milliseconds of reading. */
const PAGE_ROWS = 500;
/** Rows that are looked at, and mostly passed over, in one go. */
const SPAN_ROWS = 1000;
/** Of a machine, to come to what it said last of one app of many. */
const ROWS_BACK = 8;
/** Frames of the archive that are searched for what somebody said before: 100,000 rows. What is older than that counts as not said. */
export const FRAMES_BACK_MAX = 50;
/** The same where it makes but a phrase of difference, and nobody has a turn meanwhile. */
const FRAMES_BACK_AT_ONCE = 4;

/** Between two of them stand what was said and what became of it. */
const ASSIGNMENTS_AT_ONCE = 100;
const ROWS_AN_ASSIGNMENT = 5;

/** What was told to a machine, by which deployment. */
export interface Assigned {
  readonly seq: number;
  readonly machine: string;
  readonly deployment: string;
}

/** What history needs of the journal. */
export interface Source {
  readonly db: Database;
  readonly archive: Archive;
  readonly corrections: ClockCorrections;
}

export class Rows {
  readonly #sql: Readonly<Record<"ofDeployment" | "ofMachine" | "span" | "join" | "newest" | "newestReport" | "deploymentsOf" | "assignments" | "phases" | "bounds" | "next" | "last", Statement>>;
  readonly #archive: Archive;
  readonly #corrections: ClockCorrections;

  constructor({ db, archive, corrections }: Source) {
    this.#archive = archive;
    this.#corrections = corrections;
    const columns = `SELECT ${ROW_COLUMNS} FROM journal`;
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
      deploymentsOf: db.prepare("SELECT id FROM deployments WHERE app = ?").pluck(),
      assignments: db.prepare(
        `SELECT seq, machine, deployment FROM journal WHERE deployment = @deployment AND seq >= @fromSeq AND seq < @toSeq AND kind = 'target_assigned' ORDER BY seq LIMIT ${ASSIGNMENTS_AT_ONCE}`,
      ),
      phases: db.prepare(`${columns} WHERE deployment = ? AND kind IN ('deployment_submitted', 'start_approved', 'phase_changed') ORDER BY seq`),
      bounds: db.prepare(
        // That its targets became counts is no part of what happened in it.
        "SELECT min(seq) AS first, (SELECT seq FROM journal WHERE deployment = @deployment AND kind <> 'targets_archived' ORDER BY seq DESC LIMIT 1) AS last FROM journal WHERE deployment = @deployment",
      ),
      next: db.prepare("SELECT seq, at FROM journal WHERE seq >= ? ORDER BY seq LIMIT 1"),
      last: db.prepare("SELECT coalesce(max(seq), 0) FROM journal").pluck(),
    };
  }

  /** All of a deployment, and each removal of a machine since the first row, in pages. */
  async *ofDeployment(deployment: DeploymentId): AsyncGenerator<readonly JournalRow[], void, undefined> {
    const isWanted = (row: ArchivedRow): boolean => row.deployment === deployment;
    yield* this.#pages((fromSeq) => this.#sql.ofDeployment.all({ deployment, fromSeq }) as StoredRow[], 1, { deployment }, isWanted);
  }

  /** All that concerns a machine by name, in pages; of what is in the archive, only from when this was under way. */
  async *ofMachine(machine: MachineId, from: number, under: Under): AsyncGenerator<readonly JournalRow[], void, undefined> {
    yield* this.#pages((fromSeq) => this.#sql.ofMachine.all({ machine, fromSeq }) as StoredRow[], from, under, (row) => row.machine === machine);
  }

  /** When something happened in a deployment: each time once, in order. */
  async timesOf(deployment: DeploymentId): Promise<readonly number[]> {
    const times = new Set<number>();
    for await (const rows of this.ofDeployment(deployment)) for (const { at, entry } of rows) if ("deployment" in entry) times.add(at);
    return [...times].sort((a, b) => a - b);
  }

  /** All of a deployment, and what agents said about its app from its submission to its last row. */
  async *withReports(deployment: DeploymentId, app: string): AsyncGenerator<readonly JournalRow[], void, undefined> {
    const bounds = this.bounds(deployment);
    if (bounds === undefined) return;
    for (let fromSeq = bounds.first; fromSeq <= bounds.last; fromSeq += SPAN_ROWS) {
      const toSeq = Math.min(fromSeq + SPAN_ROWS, bounds.last + 1);
      const live = this.#sql.span.all({ fromSeq, toSeq, deployment, app }) as StoredRow[];
      const isWanted = (row: ArchivedRow): boolean => row.deployment === deployment || (row.kind === "report_accepted" && row.app === app);
      for (let from = fromSeq; from < toSeq && from <= this.#archive.lastSeq; ) {
        const { rows, upTo } = this.#archive.read({ fromSeq: from, toSeq: toSeq - 1, under: { deployment }, isWanted, most: Infinity, onMissing: refuseMissing });
        live.push(...rows);
        from = upTo + 1;
      }
      yield live.sort((a, b) => a.seq - b.seq).map(fromStored);
      await turn();
    }
  }

  /** Its first hello; of a machine that was there before under the same name, and was removed, that is another's. Undefined: it was not there then. */
  joinOf(machine: MachineId, beforeSeq = Number.MAX_SAFE_INTEGER): JournalRow | undefined {
    return found(this.#sql.join.get({ machine, beforeSeq }));
  }

  /** The last one of these kinds about a machine. */
  newestOf(machine: MachineId, kinds: readonly EntryKind[], beforeSeq = Number.MAX_SAFE_INTEGER): JournalRow | undefined {
    const live = found(this.#sql.newest.get({ machine, beforeSeq, kinds: JSON.stringify(kinds) }));
    if (!kinds.some(isArchived)) return live;
    return this.#back(beforeSeq, live?.seq ?? 0, (row) => row.machine === machine && kinds.includes(row.kind)) ?? live;
  }

  newestReport(machine: MachineId, app: string, beforeSeq: number): JournalRow | undefined {
    return found(this.#sql.newestReport.get({ machine, app, beforeSeq })) ?? this.#back(beforeSeq, 0, (row) => row.kind === "report_accepted" && row.machine === machine && row.app === app);
  }

  /** Of many machines, in no order. */
  async *newestReports(machines: Iterable<MachineId>, app: string, beforeSeq: number): AsyncGenerator<JournalRow, void, undefined> {
    const missing = new Set<string>();
    const slice = new Slice();
    for (const machine of machines) {
      const report = found(this.#sql.newestReport.get({ machine, app, beforeSeq }));
      if (report === undefined) missing.add(machine);
      else yield report;
      await slice.took(ROWS_BACK);
    }
    let frames = 0;
    for (const rows of this.#archive.backFrom(beforeSeq)) {
      if (missing.size === 0 || frames === FRAMES_BACK_MAX) return;
      frames += 1;
      for (const row of rows) if (row.kind === "report_accepted" && row.app === app && row.machine !== null && missing.delete(row.machine)) yield fromStored(row);
      await turn();
    }
  }

  /** All that machines were assigned of an app in a stretch of sequences, in no order. */
  async *assignmentsOf(app: string, fromSeq: number, toSeq: number): AsyncGenerator<Assigned, void, undefined> {
    const isWanted = (row: ArchivedRow): boolean => row.kind === "target_assigned" && row.app === app;
    const lastArchived = Math.min(toSeq - 1, this.#archive.lastSeq);
    for (let from = fromSeq; from <= lastArchived; ) {
      const { rows, upTo } = this.#archive.read({ fromSeq: from, toSeq: lastArchived, under: { app }, isWanted, most: Infinity, onMissing: refuseMissing });
      for (const { seq, machine, deployment } of rows) yield { seq, machine: machine!, deployment: deployment! };
      from = upTo + 1;
      await turn();
    }
    const slice = new Slice();
    for (const deployment of this.#sql.deploymentsOf.all(app) as DeploymentId[]) {
      for (let from = fromSeq; ; ) {
        const rows = this.#sql.assignments.all({ deployment, fromSeq: from, toSeq }) as Assigned[];
        yield* rows;
        await slice.took(1 + rows.length * ROWS_AN_ASSIGNMENT);
        if (rows.length < ASSIGNMENTS_AT_ONCE) break;
        from = rows.at(-1)!.seq + 1;
      }
    }
  }

  /** When a deployment was submitted, when somebody started it, and each of its changes of phase but its start. */
  phasesOf(deployment: DeploymentId): readonly JournalRow[] {
    return (this.#sql.phases.all(deployment) as StoredRow[]).map(fromStored);
  }

  /** Sequences of its first and its last row. */
  bounds(deployment: DeploymentId): { readonly first: number; readonly last: number } | undefined {
    const bounds = this.#sql.bounds.get({ deployment }) as { first: number | null; last: number | null };
    if (bounds.first === null || bounds.last === null) return undefined;
    return { first: bounds.first, last: Math.max(bounds.last, this.#archive.lastSeqOf(deployment)) };
  }

  /** The sequence of the first row after a time, of all that were written up to now. */
  firstAfter(at: Instant): number {
    let toSeq = (this.#sql.last.get() as number) + 1;
    for (const run of this.#corrections.newestFirst()) {
      if (run.at <= at) return this.#firstAfterIn(at, { fromSeq: run.fromSeq, toSeq });
      toSeq = run.fromSeq;
    }
    return this.#firstAfterIn(at, { fromSeq: 1, toSeq });
  }

  /** Among rows in the order of time; `toSeq`: there is none. */
  #firstAfterIn(at: Instant, { fromSeq, toSeq }: { readonly fromSeq: number; readonly toSeq: number }): number {
    let low = fromSeq;
    let high = toSeq;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      // There is one: the newest row never leaves the database.
      const next = this.#sql.next.get(middle) as { seq: number; at: number };
      if (next.seq < toSeq && next.at <= at) low = next.seq + 1;
      else high = middle;
    }
    // Between rows of the database there may be some of the archive.
    const live = Math.min(toSeq, (this.#sql.next.get(low) as { seq: number } | undefined)?.seq ?? toSeq);
    return Math.min(live, this.#archive.firstAfter(at, { fromSeq, toSeq }) ?? live);
  }

  /** Back through the newest frames before a sequence, and no further than `afterSeq`. */
  #back(beforeSeq: number, afterSeq: number, isWanted: (row: ArchivedRow) => boolean): JournalRow | undefined {
    let frames = 0;
    for (const rows of this.#archive.backFrom(beforeSeq)) {
      if (frames === FRAMES_BACK_AT_ONCE || (rows[0]?.seq ?? 0) <= afterSeq) return undefined;
      frames += 1;
      const row = rows.find((each) => each.seq > afterSeq && isWanted(each));
      if (row !== undefined) return fromStored(row);
    }
    return undefined;
  }

  async *#pages(read: (fromSeq: number) => StoredRow[], first: number, under: Under, isWanted: (row: ArchivedRow) => boolean): AsyncGenerator<readonly JournalRow[], void, undefined> {
    for (let fromSeq = first; ; ) {
      const { rows, next } = pageWith(this.#archive, read(fromSeq), { fromSeq, most: PAGE_ROWS, under, isWanted, onMissing: refuseMissing });
      if (rows.length > 0) yield rows.map(fromStored);
      if (next === undefined) return;
      fromSeq = next;
      await turn();
    }
  }
}

function found(row: unknown): JournalRow | undefined {
  return row === undefined ? undefined : fromStored(row as StoredRow);
}
