/** The controller's disk: a journal in memory, or, in some runs, on a real file that each start of the controller opens anew. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Journal } from "@muster/controller/src/journal/journal.ts";

type Statement = ReturnType<Journal["db"]["prepare"]>;

let emptyJournal: Buffer | undefined;

export class Store {
  #journal: Journal;
  /** Nothing can be written. */
  isFull = false;
  readonly #directory: string | undefined;

  constructor(isOnFile = false) {
    this.#directory = isOnFile ? mkdtempSync(join(tmpdir(), "muster-sim-")) : undefined;
    this.#journal = this.#open();
  }

  get journal(): Journal {
    return this.#journal;
  }

  /** A new process: what was in the memory of the old one is gone. */
  reopen(): void {
    if (this.#directory === undefined) return;
    this.#journal.close();
    this.#journal = this.#open();
  }

  close(): void {
    this.#journal.close();
    if (this.#directory !== undefined) rmSync(this.#directory, { recursive: true });
  }

  #open(): Journal {
    const journal = this.#directory === undefined ? openInMemory() : Journal.open(join(this.#directory, "muster.db"));
    // The power never fails here: waiting for the disk would only take time.
    if (this.#directory !== undefined) journal.db.pragma("synchronous = OFF");
    this.#keepStatements(journal.db);
    return journal;
  }

  /** Each new engine asks the same questions: they are prepared once. A statement that plucks is another one. What writes fails while the disk is full. */
  #keepStatements(db: Journal["db"]): void {
    const prepare = db.prepare.bind(db);
    const kept = new Map<string, Statement>();
    const { SqliteError } = db.constructor as unknown as { readonly SqliteError: new (message: string, code: string) => Error };
    db.prepare = ((sql: string) => {
      const known = kept.get(sql);
      if (known !== undefined && !known.busy) return known;
      const statement: Statement = prepare(sql);
      let plucked: Statement | undefined;
      statement.pluck = () => (plucked ??= prepare(sql).pluck());
      if (!statement.readonly) {
        const run = statement.run.bind(statement);
        statement.run = ((...values: unknown[]) => {
          if (this.isFull) throw new SqliteError("database or disk is full", "SQLITE_FULL");
          return (run as (...bound: unknown[]) => ReturnType<typeof run>)(...values);
        }) as Statement["run"];
      }
      kept.set(sql, statement);
      return statement;
    }) as typeof db.prepare;
  }
}

/** A copy of an empty journal: cheaper than making its tables. */
function openInMemory(): Journal {
  if (emptyJournal === undefined) {
    const made = Journal.open(":memory:");
    emptyJournal = made.db.serialize();
    made.close();
  }
  // SQLite opens bytes as it opens a path.
  return Journal.open(emptyJournal as unknown as string);
}
