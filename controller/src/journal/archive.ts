/**
 * Old rows of the journal, outside of the database: in files by month, in frames of zstd, each with the rows of one stretch of sequences. An index in the database says where
 * each frame is, what it must contain, and which deployments were under way in it.
 *
 *     read rows ─▶ append frame ─▶ fsync ─▶ read back, compare ─▶ one transaction: index the frame, delete its rows
 *
 * Always holds: each row is in the database or in one indexed frame, and in none of them twice; sequences of frames rise and do not overlap; what is in a file after
 * the last indexed frame belongs to nobody. Where a frame can't be read, whoever reads is told: nothing is decided by its rows, but without them history would be another one.
 */
import { createHash } from "node:crypto";
import { constants, zstdCompress, zstdDecompressSync } from "node:zlib";
import { promisify } from "node:util";
import type { Database, Statement } from "better-sqlite3";
import type { Instant } from "@muster/proto/ids.ts";
import type { Attended } from "../rollout/moment.ts";
import { ArchiveError } from "./archive-error.ts";
import type { ArchiveFiles } from "./archive-files.ts";
import { ARCHIVED_KINDS_SQL } from "./archived-kinds.ts";
import type { EntryKind } from "./entry.ts";
import { migrate } from "./own-tables.ts";

const compress = promisify(zstdCompress);

/** A row as it is kept: the columns of the table `journal`. */
export interface ArchivedRow {
  readonly seq: number;
  readonly at: Instant;
  readonly attended: Attended;
  readonly kind: EntryKind;
  readonly deployment: string | null;
  readonly machine: string | null;
  readonly app: string | null;
  readonly data: string;
}

export interface Frame {
  readonly first_seq: number;
  readonly last_seq: number;
  readonly first_at: number;
  readonly last_at: number;
  readonly file: string;
  readonly offset: number;
  readonly size_bytes: number;
  readonly raw_bytes: number;
  readonly sha256: string;
  readonly row_count: number;
}

/** One deployment, or all of an app. */
export type Under = { readonly deployment: string } | { readonly app: string };

export interface Wanted {
  readonly fromSeq: number;
  /** The last one. */
  readonly toSeq: number;
  /** Only frames in which this was under way; undefined: all. */
  readonly under?: Under | undefined;
  readonly isWanted: (row: ArchivedRow) => boolean;
  readonly most: number;
  /** Told of each frame whose rows can't be read, at its place; it may throw. */
  readonly onMissing: (error: ArchiveError) => void;
}

/** Points at which a controller may be killed, for tests. */
export type ArchiveStep = "read" | "compressed" | "appended" | "compared" | "indexed";

/** Of each machine another page of an index is written when its row goes: more would hold the loop for too long. */
const FRAME_ROWS_MAX = 500;
/** A plan of 100,000 machines is one row of 8 MB: alone in its frame. */
const FRAME_BYTES_MAX = 2 * 1024 * 1024;
const COMPRESSION = { params: { [constants.ZSTD_c_compressionLevel]: 6 } };
/** Frames that are looked at in one go. */
const FRAMES_AT_ONCE = 4;
/** Decoded, since whoever reads one page asks for the next. */
const FRAMES_KEPT = 4;

export const TABLES = [
  `CREATE TABLE archive_frames (
     first_seq  INTEGER PRIMARY KEY,
     last_seq   INTEGER NOT NULL,
     first_at   INTEGER NOT NULL,
     last_at    INTEGER NOT NULL,
     file       TEXT NOT NULL,
     offset     INTEGER NOT NULL,
     size_bytes INTEGER NOT NULL,
     raw_bytes  INTEGER NOT NULL,
     sha256     TEXT NOT NULL,
     row_count  INTEGER NOT NULL
   ) STRICT;
   CREATE INDEX archive_frames_by_file ON archive_frames (file, offset);
   CREATE TABLE archive_deployments (
     deployment TEXT NOT NULL,
     first_seq  INTEGER NOT NULL,
     app        TEXT NOT NULL,
     PRIMARY KEY (deployment, first_seq)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX archive_deployments_by_app ON archive_deployments (app, first_seq);
   CREATE INDEX archive_deployments_by_frame ON archive_deployments (first_seq)`,
];

export class Archive {
  readonly #db: Database;
  readonly #files: ArchiveFiles;
  readonly #sql: ReturnType<typeof prepare>;
  readonly #kept = new Map<number, readonly ArchivedRow[]>();
  /** Frames that could not be read, so that each is said once. */
  readonly #unreadable = new Set<number>();
  #lastSeq: number;
  /** Told of each frame that can't be read, once, whoever wanted it. */
  onUnreadable: (frame: Frame, error: unknown) => void = () => {};
  /** For tests: called after each step, and may throw as a kill would end it. */
  onStep: (step: ArchiveStep) => void = () => {};

  constructor(db: Database, files: ArchiveFiles) {
    migrate(db, "archive", TABLES);
    this.#db = db;
    this.#files = files;
    this.#sql = prepare(db);
    this.#lastSeq = this.#sql.lastSeq.get() as number;
  }

  /** Rows up to this one that can be archived, have been. 0: none. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** How much of it there is. */
  extent(): { readonly rows: number; readonly sizeBytes: number; readonly firstAt: number | null } {
    return this.#sql.extent.get() as { rows: number; sizeBytes: number; firstAt: number | null };
  }

  /** Files that are gone, or end too early: what a look at their ends tells. */
  faults(): readonly ArchiveError[] {
    return (this.#sql.lastFrames.all() as Frame[]).flatMap((last) => {
      const fault = this.#faultAtEnd(last);
      if (fault === undefined) return [];
      return [ArchiveError.of({ ...last, first_seq: this.#firstFaulty(last).first_seq }, fault)];
    });
  }

  /** Where a file ends too early, all frames after that are missing, too. */
  #firstFaulty(last: Frame): Frame {
    let faulty = last;
    for (let from = 0; from < faulty.offset; ) {
      const between = this.#sql.frameAt.get(last.file, Math.floor((from + faulty.offset) / 2)) as Frame;
      if (this.#faultAtEnd(between) === undefined) from = between.offset + between.size_bytes;
      else faulty = between;
    }
    return faulty;
  }

  #faultAtEnd({ file, offset, size_bytes: sizeBytes }: Frame): unknown {
    try {
      this.#files.read(file, offset + sizeBytes - 1, 1);
      return undefined;
    } catch (error) {
      return error;
    }
  }

  /**
   * Moves the oldest rows of at most this age and sequence, one frame of them. Returns how many; 0: none are left. `under`: deployments that were under way in a stretch of time.
   * Not to be called again before it has returned.
   */
  async moveOldest(upToSeq: number, under: (first: ArchivedRow, lastSeq: number) => readonly string[]): Promise<number> {
    const rows = this.#oldest(upToSeq);
    const first = rows[0];
    const last = rows.at(-1);
    if (first === undefined || last === undefined) return 0;
    this.onStep("read");
    const raw = Buffer.from(rows.map(lineOf).join(""));
    const bytes = await compress(raw, COMPRESSION);
    this.onStep("compressed");
    const times = rows.map(({ at }) => at);
    const frame: Frame = {
      first_seq: first.seq,
      last_seq: last.seq,
      first_at: Math.min(...times),
      last_at: Math.max(...times),
      ...this.#placeFor(first.at),
      size_bytes: bytes.length,
      raw_bytes: raw.length,
      sha256: createHash("sha256").update(raw).digest("hex"),
      row_count: rows.length,
    };
    await this.#files.append(frame.file, frame.offset, bytes);
    this.onStep("appended");
    if (this.#decode(frame).length !== rows.length) throw new Error(`${frame.file} does not hold what was written to it`);
    this.onStep("compared");
    const deployments = new Set([...rows.flatMap(({ deployment }) => (deployment === null ? [] : [deployment])), ...under(first, frame.last_seq)]);
    this.#db
      .transaction(() => {
        this.#sql.addFrame.run(frame);
        for (const deployment of deployments) this.#sql.addDeployment.run({ deployment, firstSeq: frame.first_seq });
        const { changes } = this.#sql.forget.run(this.#lastSeq, frame.last_seq);
        if (changes !== rows.length) throw new Error(`${rows.length} rows were archived, and ${changes} would be deleted`);
      })
      .immediate();
    this.#lastSeq = frame.last_seq;
    this.onStep("indexed");
    return rows.length;
  }

  /** Whether there are rows up to this one that can be archived. */
  hasOlder(upToSeq: number): boolean {
    return this.#sql.oldest.get(this.#lastSeq, upToSeq) !== undefined;
  }

  /** In the order of sequences, `most` of them. Complete up to `upTo`, which is at most `toSeq`. */
  read({ fromSeq, toSeq, under, isWanted, most, onMissing }: Wanted): { readonly rows: readonly ArchivedRow[]; readonly upTo: number } {
    const { frames: all, framesOf, framesOfApp } = this.#sql;
    const statement = under === undefined ? all : "app" in under ? framesOfApp : framesOf;
    const frames = statement.all({ ...under, fromSeq, toSeq }) as Frame[];
    const found: ArchivedRow[] = [];
    for (const frame of frames) {
      for (const row of this.#rowsOf(frame, onMissing)) {
        if (row.seq < fromSeq || row.seq > toSeq || !isWanted(row)) continue;
        found.push(row);
        if (found.length === most) return { rows: found, upTo: row.seq };
      }
    }
    return { rows: found, upTo: frames.length < FRAMES_AT_ONCE ? toSeq : Math.min(toSeq, frames.at(-1)!.last_seq) };
  }

  /** One frame after another, back from a sequence. One that can't be read is passed over: what somebody said before makes but a phrase. */
  *backFrom(beforeSeq: number): Generator<readonly ArchivedRow[], void, undefined> {
    for (let before = beforeSeq; ; ) {
      const frame = this.#sql.before.get(before) as Frame | undefined;
      if (frame === undefined) return;
      yield this.#rowsOf(frame).filter(({ seq }) => seq < beforeSeq).toReversed();
      before = frame.first_seq;
    }
  }

  /** The last row of a deployment may be in a frame that ends here; 0: it is in none. */
  lastSeqOf(deployment: string): number {
    return this.#sql.lastOf.get(deployment) as number;
  }

  /** Of rows in the order of time, from one sequence up to another: the first after a time, as far as frames know; undefined: none of theirs. */
  firstAfter(at: Instant, { fromSeq, toSeq }: { readonly fromSeq: number; readonly toSeq: number }): number | undefined {
    const frame = this.#sql.after.get({ at, fromSeq, toSeq }) as Frame | undefined;
    if (frame === undefined) return undefined;
    return this.#rowsOf(frame).find((row) => row.seq >= fromSeq && row.seq < toSeq && row.at > at)?.seq ?? frame.last_seq + 1;
  }

  /** Rows that can be archived, the oldest first: never the newest of all, by which sequences go on. */
  #oldest(upToSeq: number): readonly ArchivedRow[] {
    const rows: ArchivedRow[] = [];
    let bytes = 0;
    for (const row of this.#sql.oldest.iterate(this.#lastSeq, upToSeq) as IterableIterator<ArchivedRow>) {
      bytes += row.data.length;
      if (rows.length > 0 && bytes > FRAME_BYTES_MAX) break;
      rows.push(row);
    }
    return rows;
  }

  #placeFor(at: Instant): Pick<Frame, "file" | "offset"> {
    const file = `${new Date(at).toISOString().slice(0, 7)}.jsonl.zst`;
    return { file, offset: this.#sql.endOf.get(file) as number };
  }

  #rowsOf(frame: Frame, onMissing: (error: ArchiveError) => void = () => {}): readonly ArchivedRow[] {
    const known = this.#kept.get(frame.first_seq);
    if (known !== undefined) return known;
    let rows: readonly ArchivedRow[];
    try {
      rows = this.#decode(frame);
    } catch (error) {
      if (!this.#unreadable.has(frame.first_seq)) this.onUnreadable(frame, error);
      this.#unreadable.add(frame.first_seq);
      onMissing(ArchiveError.of(frame, error));
      return [];
    }
    if (this.#kept.size >= FRAMES_KEPT) this.#kept.delete(this.#kept.keys().next().value!);
    this.#kept.set(frame.first_seq, rows);
    return rows;
  }

  /** Throws when it is not what was written. */
  #decode({ file, offset, size_bytes: sizeBytes, raw_bytes: rawBytes, sha256 }: Frame): readonly ArchivedRow[] {
    const raw = zstdDecompressSync(this.#files.read(file, offset, sizeBytes), { maxOutputLength: rawBytes });
    // Node's zstd returns less than there was when the end is missing.
    if (raw.length !== rawBytes || createHash("sha256").update(raw).digest("hex") !== sha256) throw new Error(`a frame of ${file} at ${offset} does not match its checksum`);
    return raw.toString("utf8").split("\n").slice(0, -1).map(rowOf);
  }
}

const DATA = ',"data":';

/** `data` is JSON already, and stands as such. */
function lineOf({ data, ...columns }: ArchivedRow): string {
  return `${JSON.stringify(columns).slice(0, -1)}${DATA}${data}}\n`;
}

function rowOf(line: string): ArchivedRow {
  // Columns are names and numbers: none of them holds what the mark is.
  const at = line.indexOf(DATA);
  return { ...(JSON.parse(`${line.slice(0, at)}}`) as Omit<ArchivedRow, "data">), data: line.slice(at + DATA.length, -1) };
}

/** Of a frame `f` that is listed as `u`. Of those that begin before the stretch, only the last one may go on in it. */
const IN_STRETCH = "u.first_seq >= coalesce((SELECT max(first_seq) FROM archive_frames WHERE first_seq <= @fromSeq), 0) AND f.last_seq >= @fromSeq AND u.first_seq <= @toSeq";

function prepare(db: Database) {
  const statement = (sql: string): Statement => db.prepare(sql);
  return {
    lastSeq: statement("SELECT coalesce(max(last_seq), 0) FROM archive_frames").pluck(),
    extent: statement("SELECT coalesce(sum(row_count), 0) AS rows, coalesce(sum(size_bytes), 0) AS sizeBytes, min(first_at) AS firstAt FROM archive_frames"),
    // From one file to the next, and not through all frames.
    lastFrames: statement(
      `WITH RECURSIVE files (file) AS (SELECT min(file) FROM archive_frames UNION ALL SELECT (SELECT min(file) FROM archive_frames f WHERE f.file > files.file) FROM files WHERE file IS NOT NULL)
       SELECT f.* FROM files CROSS JOIN archive_frames f ON f.file = files.file AND f.offset = (SELECT max(offset) FROM archive_frames l WHERE l.file = files.file) ORDER BY f.first_seq`,
    ),
    frameAt: statement("SELECT * FROM archive_frames WHERE file = ? AND offset <= ? ORDER BY offset DESC LIMIT 1"),
    endOf: statement("SELECT coalesce(max(offset + size_bytes), 0) FROM archive_frames WHERE file = ?").pluck(),
    oldest: statement(
      `SELECT * FROM journal WHERE seq > ? AND seq <= ? AND seq < (SELECT max(seq) FROM journal) AND kind IN (${ARCHIVED_KINDS_SQL}) ORDER BY seq LIMIT ${FRAME_ROWS_MAX}`,
    ),
    forget: statement(`DELETE FROM journal WHERE seq > ? AND seq <= ? AND kind IN (${ARCHIVED_KINDS_SQL})`),
    addFrame: statement(
      `INSERT INTO archive_frames (first_seq, last_seq, first_at, last_at, file, offset, size_bytes, raw_bytes, sha256, row_count)
       VALUES (@first_seq, @last_seq, @first_at, @last_at, @file, @offset, @size_bytes, @raw_bytes, @sha256, @row_count)`,
    ),
    addDeployment: statement("INSERT INTO archive_deployments (deployment, first_seq, app) VALUES (@deployment, @firstSeq, coalesce((SELECT app FROM deployments WHERE id = @deployment), ''))"),
    frames: statement(
      `SELECT * FROM archive_frames WHERE first_seq >= coalesce((SELECT max(first_seq) FROM archive_frames WHERE first_seq <= @fromSeq), 0)
       AND last_seq >= @fromSeq AND first_seq <= @toSeq ORDER BY first_seq LIMIT ${FRAMES_AT_ONCE}`,
    ),
    framesOf: statement(
      `SELECT f.* FROM archive_deployments u CROSS JOIN archive_frames f ON f.first_seq = u.first_seq
       WHERE u.deployment = @deployment AND ${IN_STRETCH} ORDER BY u.first_seq LIMIT ${FRAMES_AT_ONCE}`,
    ),
    framesOfApp: statement(
      `SELECT f.* FROM archive_deployments u CROSS JOIN archive_frames f ON f.first_seq = u.first_seq
       WHERE u.app = @app AND ${IN_STRETCH} GROUP BY u.first_seq ORDER BY u.first_seq LIMIT ${FRAMES_AT_ONCE}`,
    ),
    before: statement("SELECT * FROM archive_frames WHERE first_seq < ? ORDER BY first_seq DESC LIMIT 1"),
    lastOf: statement("SELECT coalesce(max(f.last_seq), 0) FROM archive_frames f WHERE f.first_seq = (SELECT max(first_seq) FROM archive_deployments WHERE deployment = ?)").pluck(),
    // The last one may end after them, with rows of another order.
    after: statement("SELECT * FROM archive_frames WHERE last_seq >= @fromSeq AND first_seq < @toSeq AND (last_at > @at OR last_seq >= @toSeq) ORDER BY first_seq LIMIT 1"),
  };
}
