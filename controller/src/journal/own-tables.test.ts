import SqliteDatabase from "better-sqlite3";
import { expect, test } from "vitest";
import { migrate } from "./own-tables.ts";

const FIRST = "CREATE TABLE keys (id TEXT PRIMARY KEY) STRICT";
const SECOND = "ALTER TABLE keys ADD COLUMN name TEXT";

test("steps run once, in order, and further ones later", () => {
  const db = new SqliteDatabase(":memory:");
  migrate(db, "keys", [FIRST]);
  db.exec("INSERT INTO keys (id) VALUES ('a')");
  migrate(db, "keys", [FIRST]);
  migrate(db, "keys", [FIRST, SECOND]);
  expect(db.prepare("SELECT * FROM keys").all()).toEqual([{ id: "a", name: null }]);
});

test("a step that fails leaves the tables as they were", () => {
  const db = new SqliteDatabase(":memory:");
  expect(() => migrate(db, "keys", [FIRST, "CREATE nonsense"])).toThrow(/syntax error/);
  migrate(db, "keys", [FIRST]);
  expect(db.prepare("SELECT * FROM keys").all()).toEqual([]);
});

test("a database of a newer version is refused", () => {
  const db = new SqliteDatabase(":memory:");
  migrate(db, "keys", [FIRST, SECOND]);
  expect(() => migrate(db, "keys", [FIRST])).toThrow(/newer Muster/);
});
