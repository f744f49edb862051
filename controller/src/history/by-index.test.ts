/** What history asks of the database: by keys, whatever is asked and however long the journal is. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { deploymentAt } from "../api/deployment-at.ts";
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import { SLICE_ROWS } from "../journal/slices.ts";
import { Work } from "../journal/work.fixture.ts";
import { ALL, APPROVAL, count, wave } from "../rollout/rollout.fixture.ts";
import { Scene } from "./history.fixture.ts";
import { Why } from "./why.ts";

/** Tables that grow with the fleet and its history, and their names in statements. */
const LARGE = /^SCAN (?:journal|targets|t|machines|m|machine_apps|ma|assignments|a|releases|r|archive_\w+|u|f)\b/;

let scene: Scene;
let work: Work;
let why: Why;
beforeEach(async () => {
  scene = new Scene();
  const { journal, clock, engine } = scene;
  work = new Work(journal.db);
  why = new Why({ db: work.db, archive: journal.archive, corrections: journal.corrections, now: () => clock.now(), waiting: () => "", rollout: (id) => engine.rollout(id), present: engine });
  const wide = { waves: [ALL], maxUnavailable: count(9) };
  await scene.join("a", "b", "c");
  scene.deploy("1", wide);
  await scene.settle("a", "b", "c");
  scene.pass(3000, "a", "b", "c");
  const second = scene.deploy("2", { waves: [wave(count(1), { gates: [APPROVAL] }), ALL], maxUnavailable: count(9) });
  await scene.settle("a", "b", "c");
  scene.command(second, "rollback");
  await scene.settle("a", "b", "c");
  scene.deploy("3", wide);
  await scene.say("a", "healthy");
  scene.pass(20_000, "a", "b");
  await scene.join("c");
  await scene.settle("a", "b", "c");
  scene.pass(5000, "a", "b", "c");
  await scene.join("late");
});
afterEach(() => {
  scene.engine.stop();
  scene.journal.close();
});

test("why of deployments and machines looks through no table from its beginning", async () => {
  await work.of(async () => {
    for (const id of ["d-1", "d-2", "d-3"] as DeploymentId[]) {
      expect((await why.deployment(id)).ok).toBe(true);
      for (const machine of ["a", "c", "late"] as MachineId[]) expect((await why.machine(machine, id)).ok).toBe(true);
    }
    for (const machine of ["a", "c", "late"] as MachineId[]) expect((await why.machine(machine, undefined)).ok).toBe(true);
  });
  expect(work.scans(LARGE)).toEqual([]);
});

test("status --at looks through no table from its beginning", async () => {
  const source = { db: work.db, archive: scene.journal.archive, corrections: scene.journal.corrections };
  for (const id of ["d-1", "d-2", "d-3"]) expect((await work.of(() => deploymentAt(source, id, scene.clock.now(), true))).targets.length).toBeGreaterThan(0);
  expect(work.scans(LARGE)).toEqual([]);
});

test("status --at of a machine that has said much since asks for no more of its rows than for those that count", async () => {
  const { db } = scene.journal;
  const at = scene.clock.now();
  const say = db.prepare("INSERT INTO journal (at, attended, kind, machine, app, data) VALUES (?, 0, 'report_accepted', 'a', 'other', '{}')");
  db.transaction(() => {
    for (let row = 0; row < 20 * SLICE_ROWS; row += 1) say.run(at + 1);
  })();
  await work.of(() => deploymentAt({ db: work.db, archive: scene.journal.archive, corrections: scene.journal.corrections }, "d-1", at, true));
  expect(work.rowsInTurn).toBeLessThanOrEqual(SLICE_ROWS);
  const plans = [...work.asked].filter((sql) => /kind IN \('machine_/.test(sql)).map((sql) => (db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...Array.from(sql.matchAll(/\?/g), () => 1)) as { detail: string }[]).map(({ detail }) => detail).join());
  expect(plans.length).toBeGreaterThan(0);
  for (const plan of plans) expect(plan).toMatch(/USING (?:COVERING )?INDEX journal_(?:presence|cordons)/);
});
