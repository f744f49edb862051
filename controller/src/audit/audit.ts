/**
 * The audit log: who did what, from where, and how it ended. Kept in a table of its own.
 *
 * Always holds: what was done is on disk before the caller is told so. Refusals and failures are written once a second, equal ones within a minute as one row with a count,
 * so that knocking fast costs nobody the disk. There are bounds for each class of entries apart, so no number of refusals pushes out what was done.
 */
import type { Database } from "better-sqlite3";
import type { Logger } from "pino";
import { migrate } from "../journal/own-tables.ts";

export type AuditKind = "local" | "user" | "oidc" | "machine" | "unknown";
export type AuditResult = "ok" | "refused" | "failed";

export interface AuditRecord {
  /** A user's name, a machine's id, how a local caller calls themselves; empty: unknown. */
  readonly who: string;
  readonly kind: AuditKind;
  /** An address without its port; `local` for the unix socket. */
  readonly from: string;
  /** `DeploymentsService/Pause`, or what else it was. */
  readonly method: string;
  /** What it was about; never a secret. */
  readonly subject: string;
  readonly result: AuditResult;
  /** Why not; empty when it was done. */
  readonly message: string;
}

export interface AuditEntry extends AuditRecord {
  readonly seq: number;
  readonly at: number;
  /** The same again within a minute, together with this one. */
  readonly count: number;
  readonly lastAt: number;
}

export interface AuditQuery {
  readonly since: number;
  /** Empty: everybody. */
  readonly who: string;
  readonly refused: boolean;
  /** The newest so many. */
  readonly limit: number;
  /** Only what has come after this one; then the oldest so many. */
  readonly after?: number;
}

interface AuditOptions {
  readonly db: Database;
  readonly now: () => number;
  /** The wall time at which what is so old now was written, by what surely passed since; a clock that is ahead for some seconds lets nothing go. */
  readonly longAgo: (ageMs: number) => number;
  readonly logger: Logger;
}

/** Kept apart, each with its own bounds: what operators did, what machines did, and what nobody was let do. */
type Class = "operator" | "machine" | "refused";

const DAY_MS = 24 * 60 * 60_000;
const KEPT: Readonly<Record<Class, { readonly rows: number; readonly ageMs: number }>> = {
  operator: { rows: 200_000, ageMs: 400 * DAY_MS },
  machine: { rows: 100_000, ageMs: 90 * DAY_MS },
  refused: { rows: 50_000, ageMs: 90 * DAY_MS },
};
const FLUSH_EVERY_MS = 1_000;
/** Within this, the same again is the same row. */
const TOGETHER_MS = 60_000;
/** Different ones in that time; what is beyond them is counted in one row. */
const APART_MAX = 500;
/** Between two looks for what is too old or too much. */
const TRIM_EVERY_ROWS = 1_000;
const TEXT_CHARS_MAX = 500;

/** For those that are not told apart. */
const BEYOND: AuditRecord = {
  who: "",
  kind: "unknown",
  from: "many",
  method: "many",
  subject: "",
  result: "refused",
  message: `more than ${APART_MAX} different refusals or failures within a minute: these are not told apart`,
};

export const STEPS = [
  `CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    class   TEXT NOT NULL,
    at      INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    who     TEXT NOT NULL,
    kind    TEXT NOT NULL,
    origin  TEXT NOT NULL,
    method  TEXT NOT NULL,
    subject TEXT NOT NULL,
    result  TEXT NOT NULL,
    message TEXT NOT NULL
  ) STRICT;
  CREATE INDEX audit_class ON audit (class, seq);`,
];

/** Refusals or failures that are one row. */
interface Together {
  readonly record: AuditRecord;
  readonly class: Class;
  readonly since: number;
  /** Of the row, once there is one. */
  seq: number | undefined;
  /** Since it was last written. */
  fresh: number;
  lastAt: number;
}

interface Row {
  readonly seq: number;
  readonly at: number;
  readonly last_at: number;
  readonly count: number;
  readonly who: string;
  readonly kind: AuditKind;
  readonly origin: string;
  readonly method: string;
  readonly subject: string;
  readonly result: AuditResult;
  readonly message: string;
}

/** Of the entries that a query is about. */
const WANTED = "last_at >= @since AND (@who = '' OR who = @who) AND (@refused = 0 OR result = 'refused')";

export class Audit {
  readonly #db: Database;
  readonly #now: () => number;
  readonly #longAgo: (ageMs: number) => number;
  readonly #logger: Logger;
  readonly #together = new Map<string, Together>();
  readonly #listeners = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  #written = 0;

  constructor({ db, now, longAgo, logger }: AuditOptions) {
    migrate(db, "audit", STEPS);
    this.#db = db;
    this.#now = now;
    this.#longAgo = longAgo;
    this.#logger = logger;
    this.#trim();
  }

  /** Never throws: what was done has been done. */
  record(record: AuditRecord): void {
    const bounded = { ...record, who: cut(record.who), subject: cut(record.subject), message: cut(record.message) };
    if (record.result === "ok") this.#try(() => this.#insert(classOf(bounded), bounded, 1, this.#now(), this.#now()));
    else this.#collect(bounded);
  }

  /** Oldest first. */
  read({ since, who, refused, limit, after }: AuditQuery): readonly AuditEntry[] {
    this.flush();
    const sql = `SELECT * FROM (SELECT * FROM audit WHERE seq > @after AND ${WANTED} ORDER BY seq ${after === undefined ? "DESC" : "ASC"} LIMIT @limit) ORDER BY seq`;
    const rows = this.#db.prepare(sql).all({ since, who, refused: refused ? 1 : 0, limit, after: after ?? 0 }) as Row[];
    return rows.map(entryOf);
  }

  /** The first of the newest so many; undefined: there is none. They are read page by page from there on. */
  firstOf({ since, who, refused, limit }: Omit<AuditQuery, "after">): number | undefined {
    this.flush();
    const first = this.#db.prepare(`SELECT min(seq) FROM (SELECT seq FROM audit WHERE ${WANTED} ORDER BY seq DESC LIMIT @limit)`).pluck().get({ since, who, refused: refused ? 1 : 0, limit });
    return (first ?? undefined) as number | undefined;
  }

  /** Called after entries were written; a row that only counted on is none. Returns how to stop. */
  onWritten(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Writes what waits. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#together.size === 0) return;
    this.#try(() => this.#db.transaction(() => this.#writeTogether())());
    const now = this.#now();
    for (const [key, { since }] of this.#together) if (now - since >= TOGETHER_MS) this.#together.delete(key);
  }

  close(): void {
    this.flush();
    clearTimeout(this.#timer);
  }

  #collect(record: AuditRecord): void {
    const now = this.#now();
    const together = this.#placeOf(record, now);
    together.fresh += 1;
    together.lastAt = now;
    this.#timer ??= setTimeout(() => this.flush(), FLUSH_EVERY_MS).unref();
  }

  #placeOf(record: AuditRecord, now: number): Together {
    // What it was about is a stranger's choice, and would make each refusal another one; what machines and operators really did is not taken together.
    const about = record.result === "refused" ? "" : record.subject;
    const key = JSON.stringify([record.who, record.from, record.method, record.result, record.message, about]);
    return this.#found(key, now) ?? (this.#together.size < APART_MAX ? this.#add(key, record, now) : (this.#found("", now) ?? this.#add("", BEYOND, now)));
  }

  #found(key: string, now: number): Together | undefined {
    const found = this.#together.get(key);
    if (found === undefined || now - found.since < TOGETHER_MS) return found;
    this.flush();
    return undefined;
  }

  #add(key: string, record: AuditRecord, now: number): Together {
    const together: Together = { record, class: classOf(record), since: now, seq: undefined, fresh: 0, lastAt: now };
    this.#together.set(key, together);
    return together;
  }

  #writeTogether(): void {
    for (const together of this.#together.values()) {
      const { record, since, seq, fresh, lastAt } = together;
      if (fresh === 0) continue;
      if (seq === undefined) together.seq = this.#insert(together.class, record, fresh, since, lastAt);
      else this.#db.prepare("UPDATE audit SET count = count + ?, last_at = ? WHERE seq = ?").run(fresh, lastAt, seq);
      together.fresh = 0;
    }
  }

  #insert(kept: Class, { who, kind, from, method, subject, result, message }: AuditRecord, count: number, at: number, lastAt: number): number {
    const sql = "INSERT INTO audit (class, at, last_at, count, who, kind, origin, method, subject, result, message) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    const { lastInsertRowid } = this.#db.prepare(sql).run(kept, at, lastAt, count, who, kind, from, method, subject, result, message);
    this.#written += 1;
    if (this.#written % TRIM_EVERY_ROWS === 0) this.#trim();
    for (const listener of this.#listeners) listener();
    return Number(lastInsertRowid);
  }

  #trim(): void {
    for (const [kept, { rows, ageMs }] of Object.entries(KEPT)) {
      const oldest = this.#db.prepare("SELECT seq FROM audit WHERE class = ? ORDER BY seq DESC LIMIT 1 OFFSET ?").pluck().get(kept, rows) as number | undefined;
      this.#db.prepare("DELETE FROM audit WHERE class = ? AND (seq <= ? OR last_at < ?)").run(kept, oldest ?? 0, Math.min(this.#now() - ageMs, this.#longAgo(ageMs)));
    }
  }

  #try(write: () => void): void {
    try {
      write();
    } catch (error) {
      this.#logger.error({ err: error }, "audit log could not be written");
    }
  }
}

function classOf({ result, kind }: AuditRecord): Class {
  if (result === "refused") return "refused";
  return kind === "machine" || kind === "unknown" ? "machine" : "operator";
}

function cut(text: string): string {
  return text.length <= TEXT_CHARS_MAX ? text : `${text.slice(0, TEXT_CHARS_MAX - 1)}…`;
}

function entryOf({ seq, at, last_at: lastAt, count, who, kind, origin, method, subject, result, message }: Row): AuditEntry {
  return { seq, at, lastAt, count, who, kind, from: origin, method, subject, result, message };
}
