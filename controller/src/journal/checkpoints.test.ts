import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { checkpointsBeside } from "./checkpoints.ts";
import { openDatabase } from "./database.ts";
import { Journal } from "./journal.ts";

let dir: string;
let path: string;
let journal: Journal;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "muster-checkpoints-"));
  path = join(dir, "muster.db");
  journal = Journal.open(path);
  journal.db.exec("CREATE TABLE blobs (id INTEGER PRIMARY KEY, value BLOB)");
  journal.db.pragma("wal_checkpoint(TRUNCATE)");
});

afterEach(() => {
  journal.close();
  rmSync(dir, { recursive: true });
});

/** One commit of so many pages. */
const write = (pages: number): unknown => journal.db.prepare("INSERT INTO blobs (value) VALUES (?)").run(Buffer.alloc(pages * 4096, 1));
const log = (): { readonly log: number; readonly checkpointed: number } => (journal.db.pragma("wal_checkpoint(NOOP)") as [{ log: number; checkpointed: number }])[0];
const pages = (): number => log().log;
const left = (): number => log().log - log().checkpointed;

test("a commit moves nothing into the file; the thread does, and the log is used again", async () => {
  const stop = checkpointsBeside(journal, path, pino({ level: "silent" }));
  write(3_000);
  expect(left()).toBeGreaterThan(3_000);
  await vi.waitFor(() => expect(left()).toBe(0), { timeout: 30_000 });
  const size = statSync(`${path}-wal`).size;
  write(1);
  expect([left() > 0, left() < 100, statSync(`${path}-wal`).size === size]).toEqual([true, true, true]);
  await stop();
});

test("little is left where it is", async () => {
  const stop = checkpointsBeside(journal, path, pino({ level: "silent" }));
  write(100);
  const before = left();
  await new Promise((done) => setTimeout(done, 1_000));
  expect(left()).toBe(before);
  await stop();
});

test("the log is begun anew although somebody writes all the time", { timeout: 120_000 }, async () => {
  const stop = checkpointsBeside(journal, path, pino({ level: "silent" }));
  for (let newest = 0, before = 0; newest >= before; before = newest, newest = pages()) {
    const until = performance.now() + 2;
    while (performance.now() < until) write(20);
    await new Promise((done) => setImmediate(done));
  }
  await stop();
});

test("whoever has much to write waits while a log that is long is emptied, and no longer", async () => {
  const stop = checkpointsBeside(journal, path, pino({ level: "silent" }));
  write(26_000);
  await vi.waitFor(() => expect(journal.log.isLong).toBe(true), { timeout: 30_000, interval: 1 });
  await new Promise<void>((done) => void journal.log.whenShort(done));
  expect(left()).toBe(0);
  await stop();
});

test("nobody waits for a thread that has ended", async () => {
  const stop = checkpointsBeside(journal, path, pino({ level: "silent" }));
  journal.log.isLong = true;
  await stop();
  expect(journal.log.isLong).toBe(false);
});

test("whoever reads holds it up, and it goes on when they are done", async () => {
  const reader = openDatabase(path, { readonly: true });
  reader.exec("BEGIN");
  reader.prepare("SELECT count(*) FROM blobs").get();
  const stop = checkpointsBeside(journal, path, pino({ level: "silent" }));
  write(2_000);
  await new Promise((done) => setTimeout(done, 1_000));
  expect(left()).toBeGreaterThan(1_000);
  reader.close();
  await vi.waitFor(() => expect(left()).toBe(0), { timeout: 30_000 });
  await stop();
});

test("the file can be closed, and holds everything", async () => {
  const stop = checkpointsBeside(journal, path, pino({ level: "silent" }));
  write(2_000);
  await stop();
  journal.close();
  const again = openDatabase(path);
  expect(again.prepare("SELECT count(*) FROM blobs").pluck().get()).toBe(1);
  again.close();
  journal = Journal.open(path);
});
