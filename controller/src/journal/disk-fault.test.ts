import SqliteDatabase from "better-sqlite3";
import { describe, expect, test } from "vitest";
import { isFaultOfDisk, JournalError } from "./disk-fault.ts";

describe("what SQLite says", () => {
  test.each(["SQLITE_FULL", "SQLITE_IOERR", "SQLITE_IOERR_WRITE", "SQLITE_BUSY_SNAPSHOT", "SQLITE_CANTOPEN", "SQLITE_CORRUPT_INDEX", "SQLITE_NOTADB", "SQLITE_READONLY_DBMOVED", "SQLITE_NOMEM"])("is a fault of the disk, and everybody's: %s", (code) => {
    const error = new SqliteDatabase.SqliteError("", code);
    expect([isFaultOfDisk(error), isFaultOfDisk(JournalError.from(error, "cannot write the journal"))]).toEqual([true, true]);
  });

  test.each(["SQLITE_ERROR", "SQLITE_CONSTRAINT_NOTNULL", "SQLITE_CONSTRAINT_DATATYPE", "SQLITE_MISMATCH", "SQLITE_RANGE", "SQLITE_TOOBIG", "SQLITE_MISUSE"])("is a bug of whoever asked: %s", (code) => {
    expect(isFaultOfDisk(new SqliteDatabase.SqliteError("", code))).toBe(false);
  });
});

test("what is no word of SQLite is no fault of the disk, whatever it is called", () => {
  for (const error of [new Error("disk is full"), Object.assign(new Error(""), { code: "SQLITE_FULL" }), undefined, "SQLITE_FULL"]) expect(isFaultOfDisk(error)).toBe(false);
});
