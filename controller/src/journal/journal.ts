/**
 * The controller's append-only record, on SQLite. One writer; everything synchronous, so that a transaction has no await inside and nothing interleaves.
 *
 * Always holds: a row is in the tables if and only if it is in the journal; sequences rise by one and are never used again; what `transaction` returned from is
 * on disk (`synchronous=FULL`).
 */
import { dirname, join } from "node:path";
import type { Database, Statement } from "better-sqlite3";
import type { Moment } from "../rollout/moment.ts";
import { Archive, type ArchivedRow } from "./archive.ts";
import { type ArchiveError, refuseMissing } from "./archive-error.ts";
import { type ArchiveFiles, DiskFiles, MemoryFiles } from "./archive-files.ts";
import { ClockCorrections } from "./clock-corrections.ts";
import { type Entry, isRepeat, type JournalRow } from "./entry.ts";
import { pageWith } from "./pages.ts";
import { openDatabase } from "./database.ts";
import { isFaultOfDisk, JournalError } from "./disk-fault.ts";
import { createProjector, type Projector } from "./project.ts";
import { QuestionCursors } from "./question-cursors.ts";
import { ReportCursors } from "./report-cursors.ts";
import { Removals } from "./removals.ts";
import { type PartSource, Snapshots } from "./snapshot.ts";
import { partsInMemory, partsOfFile } from "./snapshot-source.ts";
import { createJournalTables, JOURNAL_VERSION, PROJECTION_SHAPE, recreateProjections } from "./schema.ts";
import { upcast } from "./upcast.ts";
import { WriteAheadLog } from "./write-ahead-log.ts";

/** Rows to read at once: bounds the memory of a replay and of one answer to a reader of events. */
const PAGE_ROWS = 500;

/** Rows, and parts of a snapshot, between two words about a rebuild: about a second. */
const REBUILD_ROWS = 100_000;
const REBUILD_PARTS = 20;
/** Of pages of the database: what 10,000 machines with 50 apps need in an hour, and no large part of the controller's memory. */
const CACHE_KIB = 65_536;
/** SQLite maps no more. */
const MAPPED_BYTES_MAX = 0x7fff0000;

/** How far the tables are rebuilt: first from a snapshot, if there is one, and then from the rows after it, if there are any. Each begins with `done` 0 and ends with all. */
export interface Rebuild {
  readonly stage: "snapshot" | "rows";
  /** 0: there was none. */
  readonly snapshotSeq: number;
  /** Parts of the snapshot, or rows. */
  readonly done: number;
  readonly total: number;
}

/** What is kept beside the database, or how it is read by others. */
interface Beside {
  readonly files: ArchiveFiles;
  readonly parts: PartSource;
}

/** A database that is given as its bytes is in memory, too. */
function besideOf(path: string, db: Database): Beside {
  if (typeof path !== "string" || path === ":memory:") return { files: new MemoryFiles(), parts: partsInMemory(db) };
  return { files: new DiskFiles(join(dirname(path), "archive")), parts: partsOfFile(path) };
}

/** A row of the table `journal`, as it is read back. */
export type StoredRow = ArchivedRow;

/** All columns of it. */
export const ROW_COLUMNS = "seq, at, attended, kind, deployment, machine, app, data";

export class Journal {
  /** For queries only: nothing but the journal writes. */
  readonly db: Database;
  /** How far reports of agents are acknowledged: written in the transaction of what they changed. */
  readonly reports: ReportCursors;
  /** How far gates and alarms have come with asking: written in the transaction in which a rollout takes that. */
  readonly questions: QuestionCursors;
  /** Where the wall clock went back: written in the transaction of the row. */
  readonly corrections: ClockCorrections;
  /** Rows that are too old for the database. */
  readonly archive: Archive;
  /** From which the tables are rebuilt, with the rows after it. */
  readonly snapshots: Snapshots;
  /** What removals of machines still owe to the tables. */
  readonly removals: Removals;
  /** Whether whoever has much to write is to wait. */
  readonly log = new WriteAheadLog();
  readonly #insert: Statement;
  readonly #page: Statement;
  readonly #pageOf: Statement;
  readonly #project: Projector;
  #lastSeq: number;
  #inTransaction = false;

  private constructor(db: Database, beside: Beside) {
    this.db = db;
    this.#insert = db.prepare(`INSERT INTO journal (${ROW_COLUMNS}) VALUES (@seq, @at, @attended, @kind, @deployment, @machine, @app, @data)`);
    this.#page = db.prepare(`SELECT ${ROW_COLUMNS} FROM journal WHERE seq >= ? ORDER BY seq LIMIT ?`);
    this.#pageOf = db.prepare(`SELECT ${ROW_COLUMNS} FROM journal WHERE deployment = ? AND seq >= ? ORDER BY seq LIMIT ?`);
    this.removals = new Removals(db);
    this.#project = createProjector(db, this.removals);
    this.reports = new ReportCursors(db);
    this.questions = new QuestionCursors(db);
    this.corrections = new ClockCorrections(db);
    this.archive = new Archive(db, beside.files);
    this.snapshots = new Snapshots(db, beside.parts);
    this.#lastSeq = db.prepare("SELECT coalesce(max(seq), 0) FROM journal").pluck().get() as number;
  }

  /**
   * `path` may be `:memory:`; the archive is beside it, in `archive/`. Tables of another version or shape are rebuilt from the newest snapshot and the rows after it, which
   * `onRebuild` is told of at the beginning, from time to time and at the end. Throws JournalError.
   */
  static open(path: string, onRebuild: (progress: Rebuild) => void = () => {}): Journal {
    try {
      const db = openDatabase(path);
      db.pragma("journal_mode = WAL");
      db.pragma("synchronous = FULL");
      db.pragma("foreign_keys = ON");
      db.pragma(`cache_size = -${CACHE_KIB}`);
      createJournalTables(db);
      const kept = (key: string) => db.prepare("SELECT value FROM meta WHERE key = ?").pluck().get(key) as string | undefined;
      const journalVersion = Number(kept("journal_version") ?? 0);
      if (journalVersion > JOURNAL_VERSION) {
        throw new JournalError("NEWER", `the journal was written by a newer version (${journalVersion}; this one knows ${JOURNAL_VERSION})`, undefined);
      }
      const beside = besideOf(path, db);
      if (kept("projection_version") === PROJECTION_SHAPE) return new Journal(db, beside);
      return db.transaction(() => {
        recreateProjections(db);
        const journal = new Journal(db, beside);
        journal.#rebuild(onRebuild);
        const keep = db.prepare("INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value");
        keep.run("journal_version", String(JOURNAL_VERSION));
        keep.run("projection_version", PROJECTION_SHAPE);
        return journal;
      })();
    } catch (error) {
      throw JournalError.from(error, `cannot open the journal ${path}`);
    }
  }

  /** Into empty tables. What went to the archive is in the snapshot. */
  #rebuild(onRebuild: (progress: Rebuild) => void): void {
    const from = this.snapshots.restore(({ seq: snapshotSeq, done, total }) => {
      if (done % REBUILD_PARTS === 0 || done === total) onRebuild({ stage: "snapshot", snapshotSeq, done, total });
    });
    this.removals.finishAll();
    const total = this.db.prepare("SELECT count(*) FROM journal WHERE seq > ?").pluck().get(from) as number;
    if (total > 0) onRebuild({ stage: "rows", snapshotSeq: from, done: 0, total });
    let done = 0;
    for (let after = from; ; ) {
      const rows = this.#page.all(after + 1, PAGE_ROWS) as StoredRow[];
      for (const stored of rows) {
        const row = fromStored(stored);
        this.#project(row);
        if (row.entry.kind === "machine_removed") this.removals.finishAll();
      }
      const last = rows.at(-1);
      if (last === undefined) return;
      after = last.seq;
      done += rows.length;
      if (done % REBUILD_ROWS === 0 || done === total) onRebuild({ stage: "rows", snapshotSeq: from, done, total });
    }
  }

  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** Runs `work` in one transaction; what it appended is kept whole or not at all. Throws JournalError for faults of the disk, and what `work` throws. */
  transaction<T>(work: () => T): T {
    const before = this.#lastSeq;
    this.#inTransaction = true;
    try {
      return this.db.transaction(work).immediate();
    } catch (error) {
      this.#lastSeq = before;
      this.corrections.reload();
      this.removals.undone();
      if (isFaultOfDisk(error)) throw JournalError.from(error, "cannot write the journal");
      throw error;
    } finally {
      this.#inTransaction = false;
    }
  }

  /** Reads much at once, in half the time: the file is mapped meanwhile, and not longer, since what is mapped counts as the controller's memory. */
  mapped<T>(read: () => T): T {
    this.db.pragma(`mmap_size = ${MAPPED_BYTES_MAX}`);
    try {
      return read();
    } finally {
      this.db.pragma("mmap_size = 0");
    }
  }

  /** Only within `transaction`. What says nothing new gets no row of its own: it has the place of the newest one. */
  append(entry: Entry, { at, attended }: Moment): JournalRow {
    if (!this.#inTransaction) throw new Error(`append of ${entry.kind} outside a transaction`);
    if (isRepeat(entry)) return { seq: this.#lastSeq, at, attended, entry };
    // What has a column of its own is not written twice.
    const { kind, deployment = null, machine = null, app = null, ...data } = entry as Entry & { readonly deployment?: string; readonly machine?: string; readonly app?: string };
    this.#lastSeq += 1;
    const row: JournalRow = { seq: this.#lastSeq, at, attended, entry };
    this.#insert.run({
      seq: row.seq,
      at,
      attended,
      kind,
      deployment,
      machine,
      app,
      data: JSON.stringify(data),
    });
    this.corrections.note(row);
    this.#project(row);
    return row;
  }

  /** One page, at most `limit` rows and never more than 500. Where rows of the archive can't be read it throws ArchiveError, unless `onMissing` takes it. */
  page(from: { readonly fromSeq: number; readonly deployment?: string | undefined; readonly onMissing?: (error: ArchiveError) => void }, limit = PAGE_ROWS): readonly JournalRow[] {
    const most = Math.min(limit, PAGE_ROWS);
    const { deployment, onMissing = refuseMissing } = from;
    const isWanted = (row: { readonly deployment: string | null }): boolean => deployment === undefined || row.deployment === deployment;
    for (let fromSeq = from.fromSeq; ; ) {
      const live = deployment === undefined ? this.#page.all(fromSeq, most) : this.#pageOf.all(deployment, fromSeq, most);
      const { rows, next } = pageWith(this.archive, live as StoredRow[], { fromSeq, most, under: deployment === undefined ? undefined : { deployment }, isWanted, onMissing });
      if (rows.length > 0 || next === undefined) return rows.map(fromStored);
      fromSeq = next;
    }
  }

  *read(from: { readonly fromSeq: number }): Generator<JournalRow> {
    for (let fromSeq = from.fromSeq; ; ) {
      const rows = this.page({ fromSeq });
      yield* rows;
      const last = rows.at(-1);
      if (last === undefined) return;
      fromSeq = last.seq + 1;
    }
  }

  close(): void {
    this.db.close();
  }
}

/** Rows were written by this program alone, from checked values. */
export function fromStored({ seq, at, attended, kind, data, deployment, machine, app }: StoredRow): JournalRow {
  const columns = { ...(deployment === null ? {} : { deployment }), ...(machine === null ? {} : { machine }), ...(app === null ? {} : { app }) };
  return { seq, at, attended, entry: { kind, ...columns, ...upcast(kind, JSON.parse(data) as Record<string, unknown>) } as Entry };
}
