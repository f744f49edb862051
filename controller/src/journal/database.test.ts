import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Database } from "better-sqlite3";
import { openDatabase } from "./database.ts";

let db: Database;
/** Better-sqlite3 compiles a maker of rows whenever SQLite has planned a statement anew, and at no other time. */
let plans: number;

beforeEach(() => {
  db = openDatabase(":memory:");
  db.exec("CREATE TABLE fruits (id INTEGER PRIMARY KEY, name TEXT, colour INTEGER); CREATE TABLE colours (id INTEGER PRIMARY KEY, name TEXT)");
  db.exec("INSERT INTO colours VALUES (1, 'red'), (2, 'green'); INSERT INTO fruits VALUES (1, 'cherry', 1), (2, 'apple', 2), (3, 'pear', 2)");
  plans = 0;
  vi.stubGlobal("Function", (...code: string[]) => {
    plans += 1;
    // What is stubbed, and nothing of anybody else's.
    return Reflect.construct(Object.getPrototypeOf(() => 0).constructor as FunctionConstructor, code) as unknown;
  });
});

afterEach(() => {
  vi.unstubAllGlobals();
  db.close();
});

describe("a statement is planned once, however often it is asked", () => {
  test.each([
    ["one table", "SELECT name FROM fruits WHERE id = ?", 1],
    ["a join", "SELECT f.name FROM fruits f JOIN colours c ON c.id = f.colour WHERE f.id = ?", 1],
    ["a join on the other side", "SELECT f.name FROM fruits f LEFT JOIN colours c ON c.id = f.colour WHERE f.id = ? ORDER BY f.id", 1],
    ["a limit", "SELECT name FROM fruits ORDER BY id LIMIT ?", 1],
    ["by name", "SELECT f.name FROM fruits f JOIN colours c ON c.id = f.colour WHERE f.id = @id LIMIT @id", { id: 1 }],
  ])("%s", (_what, sql, given) => {
    const asked = db.prepare(sql);
    for (let times = 0; times < 3; times += 1) expect(asked.all(given)).toEqual([{ name: "cherry" }]);
    expect(plans).toBe(1);
  });
});

test("a text or a comment that holds what looks like a parameter is left as it is", () => {
  const sql = `SELECT 'who? @me, it''s ?' AS said, ? AS given -- and @nobody?
    WHERE '' = ''`;
  expect(db.prepare(sql).get("x")).toEqual({ said: "who? @me, it's ?", given: "x" });
});

test.each([["text"], [7], [1.5], [null], [Buffer.from([0, 255])]])("a value is stored as it was given: %s", (value) => {
  db.exec("CREATE TABLE kept (value ANY) STRICT");
  db.prepare("INSERT INTO kept VALUES (?)").run(value);
  expect(db.prepare("SELECT value FROM kept WHERE value IS ?").pluck().get(value)).toEqual(value);
});

test("an index is used as it would be with the bare parameter", () => {
  const plan = db.prepare("EXPLAIN QUERY PLAN SELECT f.name FROM fruits f JOIN colours c ON c.id = f.colour WHERE f.id = ?").all(1) as { readonly detail: string }[];
  expect(plan.map(({ detail }) => detail)).toEqual(["SEARCH f USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH c USING INTEGER PRIMARY KEY (rowid=?)"]);
});
