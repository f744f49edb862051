/** What is kept of what was done and of what was refused, and that the second never pushes out the first. */
import SqliteDatabase, { type Database } from "better-sqlite3";
import pino from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Audit, type AuditEntry, type AuditQuery, type AuditRecord } from "./audit.ts";

let db: Database;
let now: number;
/** By so much the clock is ahead of the time that has passed. */
let aheadMs: number;
let audit: Audit;

const open = (): Audit => new Audit({ db, now: () => now, longAgo: (ageMs) => now - aheadMs - ageMs, logger: pino({ level: "silent" }) });

beforeEach(() => {
  db = new SqliteDatabase(":memory:");
  now = Date.UTC(2026, 0, 31, 12);
  aheadMs = 0;
  audit = open();
});
afterEach(() => {
  audit.close();
  db.close();
});

const DONE: AuditRecord = { who: "anna", kind: "user", from: "10.0.0.7", method: "DeploymentsService/Pause", subject: "id=d-7", result: "ok", message: "" };
const REFUSED: AuditRecord = { who: "", kind: "unknown", from: "10.0.0.9", method: "FleetService/AddFreeze", subject: "", result: "refused", message: "this needs a login" };
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

function read(query: Partial<AuditQuery> = {}): readonly AuditEntry[] {
  return audit.read({ since: 0, who: "", refused: false, limit: 1000, ...query });
}

const rows = (): unknown => db.prepare("SELECT count(*) FROM audit").pluck().get();

test("what was done is on disk at once, each act by itself", () => {
  audit.record(DONE);
  audit.record(DONE);
  expect(rows()).toBe(2);
  expect(read()).toEqual([
    { ...DONE, seq: 1, at: now, lastAt: now, count: 1 },
    { ...DONE, seq: 2, at: now, lastAt: now, count: 1 },
  ]);
});

test("the same refusal within a minute is one row that counts", () => {
  for (let time = 0; time < 5_000; time += 1) {
    audit.record({ ...REFUSED, subject: `id=d-${time}` });
    now += 10;
  }
  expect(read()).toMatchObject([{ from: "10.0.0.9", subject: "id=d-0", count: 5_000, lastAt: now - 10 }]);
  now += MINUTE_MS;
  audit.record(REFUSED);
  expect(read().map(({ count }) => count)).toEqual([5_000, 1]);
});

test("a row goes on counting after it was written", () => {
  audit.record(REFUSED);
  audit.flush();
  audit.record(REFUSED);
  now += 1_000;
  audit.record(REFUSED);
  audit.flush();
  expect(read()).toMatchObject([{ count: 3, at: now - 1_000, lastAt: now }]);
});

test("refusals that differ in who, from where, of what or why are kept apart", () => {
  audit.record(REFUSED);
  audit.record({ ...REFUSED, from: "10.0.0.10" });
  audit.record({ ...REFUSED, method: "FleetService/EndFreeze" });
  audit.record({ ...REFUSED, message: "token refused" });
  audit.record({ ...REFUSED, who: "bo", kind: "user" });
  expect(read()).toHaveLength(5);
});

test("beyond five hundred different refusals a minute they are not told apart, and none is lost", () => {
  for (let host = 0; host < 20_000; host += 1) audit.record({ ...REFUSED, from: `10.1.${Math.floor(host / 256)}.${host % 256}` });
  const kept = read();
  expect(kept).toHaveLength(501);
  expect(kept.reduce((sum, { count }) => sum + count, 0)).toBe(20_000);
  expect(kept.at(-1)).toMatchObject({ from: "many", count: 19_500 });
  now += MINUTE_MS;
  audit.flush();
  audit.record(REFUSED);
  expect(read()).toHaveLength(502);
});

test("a flood of refusals pushes out older refusals, and nothing that was done", () => {
  audit.record(DONE);
  const many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)";
  db.prepare(`INSERT INTO audit ${many} SELECT NULL, 'refused', @now, @now, 1, '', 'unknown', 'x', 'x', '', 'refused', '' FROM n`).run({ now });
  audit.close();
  audit = open();
  expect(rows()).toBe(50_001);
  expect(read({ who: "anna" })).toMatchObject([DONE]);
});

test("refusals go after 90 days, what was done after 400", () => {
  audit.record(DONE);
  audit.record(REFUSED);
  audit.flush();
  now += 100 * DAY_MS;
  audit.close();
  audit = open();
  expect(read()).toMatchObject([DONE]);
  now += 301 * DAY_MS;
  audit.close();
  audit = open();
  expect(read()).toEqual([]);
});

test("a clock that is ahead for some seconds lets nothing go", () => {
  audit.record(DONE);
  aheadMs = 500 * DAY_MS;
  now += aheadMs;
  audit.close();
  audit = open();
  expect(read()).toMatchObject([DONE]);
});

test("is asked by time, by name, for refusals, and for the newest or what comes after one", () => {
  audit.record(DONE);
  now += MINUTE_MS;
  audit.record({ ...DONE, who: "bo" });
  audit.record(REFUSED);
  expect(read({ since: now }).map(({ seq }) => seq)).toEqual([2, 3]);
  expect(read({ who: "bo" }).map(({ seq }) => seq)).toEqual([2]);
  expect(read({ refused: true }).map(({ seq }) => seq)).toEqual([3]);
  expect(read({ limit: 2 }).map(({ seq }) => seq)).toEqual([2, 3]);
  expect(read({ limit: 1, after: 1 }).map(({ seq }) => seq)).toEqual([2]);
});

test("says that it has written, until nobody wants to know", () => {
  let times = 0;
  const stop = audit.onWritten(() => (times += 1));
  audit.record(DONE);
  audit.record(REFUSED);
  audit.flush();
  audit.record(REFUSED);
  audit.flush();
  stop();
  audit.record(DONE);
  expect(times).toBe(2);
});

test("a text without end is cut", () => {
  audit.record({ ...REFUSED, message: "x".repeat(100_000), subject: "y".repeat(100_000) });
  expect(read()[0]!.message).toHaveLength(500);
});

test("a database that can't be written stops nobody", () => {
  db.exec("DROP TABLE audit");
  expect(() => {
    audit.record(DONE);
    audit.record(REFUSED);
    audit.flush();
  }).not.toThrow();
  db.exec("CREATE TABLE audit (seq INTEGER PRIMARY KEY, class TEXT, at, last_at, count, who, kind, origin, method, subject, result, message)");
  expect(read()).toMatchObject([REFUSED]);
});
