/** Counts what a read asks of the database in each turn of the loop: what it holds the loop up with, whatever the machine and whatever else it does. */
import type { Database, Statement } from "better-sqlite3";

export class Work {
  /** To be read through: it answers as the one that it was made of. */
  readonly db: Database;
  /** Rows that it answered, in the turn with the most. */
  rowsInTurn = 0;
  statementsInTurn = 0;
  /** The text of each statement that was asked. */
  readonly asked = new Set<string>();
  #rows = 0;
  #statements = 0;

  constructor(db: Database) {
    this.db = new Proxy(db, {
      get: (target, name) => {
        if (name === "prepare") return (sql: string) => this.#counted(target.prepare(sql), sql);
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
  }

  /** While this is done. */
  async of<T>(read: () => Promise<T> | T): Promise<T> {
    let goesOn = true;
    const look = (): void => {
      this.#endTurn();
      if (goesOn) setImmediate(look);
    };
    setImmediate(look);
    try {
      return await read();
    } finally {
      this.#endTurn();
      goesOn = false;
    }
  }

  /** Steps that look through a whole table, or through an index from its beginning, of the statements that were asked. `isLarge`: names and aliases of tables that grow with the fleet and its history. */
  scans(isLarge: RegExp): readonly string[] {
    return [...this.asked].flatMap((sql) => {
      const names = new Set([...sql.matchAll(/@(\w+)/g)].map(([, name]) => name!));
      const plan = this.db.prepare(`EXPLAIN QUERY PLAN ${sql}`);
      const rows = (names.size > 0 ? plan.all(Object.fromEntries([...names].map((name) => [name, "1"]))) : plan.all(...Array.from(sql.matchAll(/\?/g), () => "1"))) as { readonly detail: string }[];
      // The rows of a subquery are looked through when they have been found.
      const found = rows.flatMap(({ detail }) => /^(?:CO-ROUTINE|MATERIALIZE) (\S+)/.exec(detail)?.[1] ?? []);
      return rows.filter(({ detail }) => detail.startsWith("SCAN ") && isLarge.test(detail) && !found.includes(detail.split(" ")[1]!)).map(({ detail }) => `${detail}: ${sql.replaceAll(/\s+/g, " ")}`);
    });
  }

  #endTurn(): void {
    this.rowsInTurn = Math.max(this.rowsInTurn, this.#rows);
    this.statementsInTurn = Math.max(this.statementsInTurn, this.#statements);
    [this.#rows, this.#statements] = [0, 0];
  }

  #counted(statement: Statement, sql: string): Statement {
    if (sql.startsWith("EXPLAIN")) return statement;
    const begin = (): void => {
      this.asked.add(sql);
      this.#statements += 1;
    };
    const counted: Pick<Statement, "run" | "get" | "all" | "iterate" | "pluck" | "raw"> = {
      run: (...given) => {
        begin();
        return statement.run(...given);
      },
      get: (...given) => {
        begin();
        const row = statement.get(...given);
        if (row !== undefined) this.#rows += 1;
        return row;
      },
      all: (...given) => {
        begin();
        const rows = statement.all(...given);
        this.#rows += rows.length;
        return rows;
      },
      iterate: (...given) => {
        begin();
        return this.#each(statement.iterate(...given));
      },
      pluck: () => (statement.pluck(), counted as Statement),
      raw: () => (statement.raw(), counted as Statement),
    };
    return counted as Statement;
  }

  *#each(rows: IterableIterator<unknown>): Generator<unknown, void, undefined> {
    for (const row of rows) {
      this.#rows += 1;
      yield row;
    }
  }
}
