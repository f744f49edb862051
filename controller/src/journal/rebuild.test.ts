/** While the tables are rebuilt the controller serves nobody: it says that it has begun, and how far it is. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { World } from "../engine/world.fixture.ts";
import { Journal } from "./journal.ts";

let folder: string;
let world: World;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "muster-rebuild-"));
  world = new World(join(folder, "muster.db"));
  await world.join("a", "b");
  world.deploy("1");
  await world.settle("a", "b");
});

afterEach(() => {
  world.journal.close();
  rmSync(folder, { recursive: true });
});

/** What is said by a controller that finds tables of another version; they are as before. */
function saidOfRebuild(): unknown[] {
  const before = world.tables();
  world.engine.stop();
  world.journal.db.exec("UPDATE meta SET value = '0' WHERE key = 'projection_version'");
  world.journal.close();
  const said: unknown[] = [];
  world.journal = Journal.open(join(folder, "muster.db"), (progress) => said.push(progress));
  expect(world.tables()).toEqual(before);
  return said;
}

const snapshot = (): Promise<number | undefined> => world.journal.snapshots.take(world.clock.now());

test("from rows alone", () => {
  const total = world.journal.lastSeq;
  expect(saidOfRebuild()).toEqual([0, total].map((done) => ({ stage: "rows", snapshotSeq: 0, done, total })));
});

test("from a snapshot, though no rows are after it", async () => {
  const snapshotSeq = await snapshot();
  expect(saidOfRebuild()).toEqual([0, 1].map((done) => ({ stage: "snapshot", snapshotSeq, done, total: 1 })));
});

test("from a snapshot and the rows after it", async () => {
  const snapshotSeq = await snapshot();
  world.deploy("2");
  const total = world.journal.lastSeq - snapshotSeq!;
  expect(saidOfRebuild()).toEqual([
    ...[0, 1].map((done) => ({ stage: "snapshot", snapshotSeq, done, total: 1 })),
    ...[0, total].map((done) => ({ stage: "rows", snapshotSeq, done, total })),
  ]);
});

test("tables of the same version that another branch gave another shape", () => {
  const before = world.tables();
  world.engine.stop();
  const { db } = world.journal;
  const version = (db.prepare("SELECT value FROM meta WHERE key = 'projection_version'").pluck().get() as string).split(".")[0];
  db.exec("ALTER TABLE targets DROP COLUMN on_trial");
  db.prepare("UPDATE meta SET value = ? WHERE key = 'projection_version'").run(version);
  world.journal.close();
  world.journal = Journal.open(join(folder, "muster.db"));
  expect(world.tables()).toEqual(before);
});
