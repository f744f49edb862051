/**
 * The state of all tables at one sequence of the journal, as records with named fields: `{"of":"machines","id":"web-1",…}`. Tables are rebuilt from the newest one and the
 * rows after it, so rows before it may leave the database.
 *
 * A record says what is known, not how a table keeps it: it is read by its fields' names, with a version of its own. A field that today's tables do not know is passed over;
 * one that they know and the record lacks gets its value from `upcastRecord`, or is null: a default of the schema is for what begins, not for what was.
 *
 * Always holds: a snapshot that is listed is whole; there is never none once there was one.
 */
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import type { Database, Statement } from "better-sqlite3";
import type { Instant } from "@muster/proto/ids.ts";
import { migrate } from "./own-tables.ts";
import { PROJECTION_TABLES } from "./schema.ts";
import { upcastRecord } from "./upcast-record.ts";

/** Of the records' shape: raised when a field is renamed or means something else, and then upcast-record.ts learns the one before. */
const SNAPSHOT_VERSION = 1;

/** What a snapshot of an older version lacks, and the other tables say. */
const FILL = `
  UPDATE deployments SET changed_attended = 0 WHERE changed_attended IS NULL
    AND (EXISTS (SELECT 1 FROM targets t WHERE t.deployment = deployments.id) OR EXISTS (SELECT 1 FROM archived_targets t WHERE t.deployment = deployments.id))`;

export interface SnapshotInfo {
  readonly seq: number;
  readonly at: Instant;
  readonly version: number;
  readonly parts: number;
}

type Fields = Readonly<Record<string, unknown>>;

/** Of JSON before it is compressed: some milliseconds of writing. */
const PART_BYTES = 512 * 1024;
/** No part is larger than its rows, and no row than a plan of 100,000 machines. */
const PART_BYTES_MAX = 64 * 1024 * 1024;
const COMPRESSION = { params: { [constants.ZSTD_c_compressionLevel]: 3 } };

export const TABLES = [
  `CREATE TABLE snapshots (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, version INTEGER NOT NULL, parts INTEGER NOT NULL) STRICT;
   CREATE TABLE snapshot_parts (seq INTEGER NOT NULL, part INTEGER NOT NULL, records BLOB NOT NULL, PRIMARY KEY (seq, part)) STRICT`,
];

/** How a snapshot is read while others write: for a file, by a thread of its own. */
export type PartSource = () => AsyncIterable<SnapshotPart>;

export interface SnapshotPart {
  /** The sequence that all parts are of. */
  readonly seq: number;
  readonly records: Uint8Array;
}

export class Snapshots {
  readonly #db: Database;
  readonly #source: PartSource;
  readonly #sql: Readonly<Record<"newest" | "addPart" | "finish" | "dropParts" | "dropOlder" | "part", Statement>>;

  constructor(db: Database, source: PartSource) {
    migrate(db, "snapshots", TABLES);
    this.#db = db;
    this.#source = source;
    this.#sql = {
      newest: db.prepare("SELECT seq, at, version, parts FROM snapshots ORDER BY seq DESC LIMIT 1"),
      addPart: db.prepare("INSERT OR REPLACE INTO snapshot_parts (seq, part, records) VALUES (?, ?, ?)"),
      finish: db.prepare("INSERT OR REPLACE INTO snapshots (seq, at, version, parts) VALUES (?, ?, ?, ?)"),
      dropParts: db.prepare("DELETE FROM snapshot_parts WHERE seq <> ?"),
      dropOlder: db.prepare("DELETE FROM snapshots WHERE seq < ?"),
      part: db.prepare("SELECT records FROM snapshot_parts WHERE seq = ? AND part = ?").pluck(),
    };
  }

  newest(): SnapshotInfo | undefined {
    return this.#sql.newest.get() as SnapshotInfo | undefined;
  }

  /** Of now. Parts are written one by one, and count when the last one is there. Returns its sequence; undefined: nobody wanted the rest of it. */
  async take(at: Instant, isWanted: () => boolean = () => true): Promise<number | undefined> {
    // Of one that a controller did not finish.
    this.#sql.dropParts.run(this.newest()?.seq ?? 0);
    let seq = 0;
    let parts = 0;
    for await (const part of this.#source()) {
      if (!isWanted()) return undefined;
      seq = part.seq;
      this.#sql.addPart.run(seq, parts, part.records);
      parts += 1;
    }
    this.#db
      .transaction(() => {
        this.#sql.finish.run(seq, at, SNAPSHOT_VERSION, parts);
        this.#sql.dropOlder.run(seq);
        this.#sql.dropParts.run(seq);
      })
      .immediate();
    return seq;
  }

  /** Fills the tables, which are empty. `onProgress` is told before the first part and after each. Returns the sequence up to which that holds; 0: there is no snapshot. */
  restore(onProgress: (parts: { readonly seq: number; readonly done: number; readonly total: number }) => void): number {
    const newest = this.newest();
    if (newest === undefined) return 0;
    if (newest.version > SNAPSHOT_VERSION) throw new Error(`the snapshot is of a newer version (${newest.version}; this one knows ${SNAPSHOT_VERSION})`);
    const insert = inserter(this.#db);
    onProgress({ seq: newest.seq, done: 0, total: newest.parts });
    for (let part = 0; part < newest.parts; part += 1) {
      const stored = this.#sql.part.get(newest.seq, part) as Uint8Array;
      const raw = zstdDecompressSync(stored, { maxOutputLength: PART_BYTES_MAX }).toString("utf8");
      for (const line of raw.split("\n")) if (line !== "") insert(upcastRecord(newest.version, JSON.parse(line) as Fields & { readonly of: string }));
      onProgress({ seq: newest.seq, done: part + 1, total: newest.parts });
    }
    this.#db.exec(FILL);
    return newest.seq;
  }
}

/** In one read of the database: all parts are of one moment. The caller holds the transaction where others write. */
export function* partsOf(db: Database): Generator<SnapshotPart, void, undefined> {
  const seq = db.prepare("SELECT coalesce(max(seq), 0) FROM journal").pluck().get() as number;
  let lines: string[] = [];
  let sizeBytes = 0;
  const pack = (): SnapshotPart => {
    const records = zstdCompressSync(Buffer.from(`${lines.join("\n")}\n`), COMPRESSION);
    lines = [];
    sizeBytes = 0;
    return { seq, records };
  };
  for (const table of PROJECTION_TABLES) {
    const fields = columnsOf(db, table).map(fieldOf);
    for (const row of db.prepare(`SELECT * FROM ${table}`).raw().iterate() as IterableIterator<unknown[]>) {
      const line = JSON.stringify({ of: table, ...Object.fromEntries(fields.map((field, index) => [field, row[index]])) });
      lines.push(line);
      sizeBytes += line.length;
      if (sizeBytes >= PART_BYTES) yield pack();
    }
  }
  // At least one, so that a snapshot of nothing is one, too.
  yield pack();
}

function inserter(db: Database): (record: Fields & { readonly of: string }) => void {
  const known = new Map<string, { readonly insert: Statement; readonly names: readonly (readonly [column: string, field: string])[] }>();
  for (const table of PROJECTION_TABLES) {
    const columns = columnsOf(db, table);
    known.set(table, {
      insert: db.prepare(`INSERT INTO ${table} (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`),
      names: columns.map((column) => [column, fieldOf(column)]),
    });
  }
  return (record) => {
    const table = known.get(record.of);
    if (table === undefined) throw new Error(`a snapshot has a record of ${record.of}, which no table keeps; upcast-record.ts must say what it is now`);
    table.insert.run(table.names.map(([, field]) => record[field] ?? null));
  };
}

function columnsOf(db: Database, table: string): readonly string[] {
  return (db.pragma(`table_info(${table})`) as { name: string }[]).map(({ name }) => name);
}

/** `first_seen_at` → `firstSeenAt`. */
function fieldOf(column: string): string {
  return column.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
