/** A disk that is full: for one transaction, or until it is freed. */
import SqliteDatabase from "better-sqlite3";
import type { World } from "./world.fixture.ts";

/** What SQLite says of a full disk. */
export function diskFull(): Error {
  return new SqliteDatabase.SqliteError("disk is full", "SQLITE_FULL");
}

/** The next transaction is done, and not committed. */
export function failCommitOnce(world: World, when: () => boolean = () => true): { failed: number } {
  const seen = { failed: 0 };
  const transaction = world.journal.transaction;
  world.journal.transaction = function (this: never, work: () => unknown) {
    return transaction.call(world.journal, () => {
      const done = work();
      if (when() && seen.failed === 0) {
        seen.failed += 1;
        world.journal.transaction = transaction;
        throw diskFull();
      }
      return done;
    });
  } as never;
  return seen;
}

/** No transaction begins, and the attended time is not taken. Returns what frees it. */
export function fillDisk(world: World): () => void {
  const full = (): never => {
    throw diskFull();
  };
  const { transaction } = world.journal;
  world.journal.transaction = full as never;
  const statements = Object.getPrototypeOf(world.journal.db.prepare("SELECT 1")) as { run: (...args: unknown[]) => unknown };
  const { run } = statements;
  statements.run = function (this: { readonly source: string }, ...args: unknown[]) {
    return this.source.includes("attended_ms") ? full() : run.apply(this, args);
  };
  return () => {
    world.journal.transaction = transaction;
    statements.run = run;
  };
}

/** A disk that can't grow the database, which is filled to its last page; what fits into the pages that it has is written. Returns what frees it. */
export function fillDatabase({ journal: { db } }: World): () => void {
  db.exec("CREATE TABLE filler (bytes BLOB)");
  db.pragma(`max_page_count = ${String(db.pragma("page_count", { simple: true }))}`);
  for (let bytes = 65_536; bytes >= 1; bytes = Math.floor(bytes / 2)) fill(() => db.prepare("INSERT INTO filler VALUES (zeroblob(?))").run(bytes));
  return () => void db.pragma("max_page_count = 1000000");
}

function fill(once: () => void): void {
  try {
    for (;;) once();
  } catch (error) {
    if ((error as { code?: string }).code !== "SQLITE_FULL") throw error;
  }
}
