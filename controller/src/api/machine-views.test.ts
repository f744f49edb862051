import { afterEach, beforeEach, expect, test } from "vitest";
import type { Machine } from "@muster/proto/gen/muster/v1/fleet.ts";
import type { MachineId } from "@muster/proto/ids.ts";
import { parseSelector, type Selector } from "@muster/proto/selector.ts";
import { World } from "../engine/world.fixture.ts";
import { Fleet } from "../fleet/fleet.ts";
import { SLICE_ROWS } from "../journal/slices.ts";
import { Work } from "../journal/work.fixture.ts";
import { MachineViews } from "./machine-views.ts";

const MACHINES = 600;
const APPS = 20;

let world: World;
let work: Work;
let views: MachineViews;
beforeEach(() => {
  world = new World();
  const { journal, engine } = world;
  journal.db.transaction(() => {
    const join = journal.db.prepare("INSERT INTO machines (id, instance, labels, agent_version, hostname, os, arch, first_seen_at) VALUES (?, '', ?, '', '', '', '', 0)");
    const assign = journal.db.prepare(
      "INSERT INTO assignments (machine, app, generation, deployment, release, min_healthy_time_ms, healthy_deadline_ms, progress_deadline_ms, labels, decided_seq) VALUES (?, ?, 1, 'd-1', ?, 0, 0, 0, '{}', 1)",
    );
    for (let index = 0; index < MACHINES; index += 1) {
      join.run(nameOf(index), JSON.stringify({ rack: `r-${index % 100}` }));
      for (let app = 0; app < APPS; app += 1) assign.run(nameOf(index), `app-${app}`, `app-${app}@1`);
    }
  })();
  work = new Work(journal.db);
  views = new MachineViews({ db: work.db, engine, fleet: new Fleet(15_000), isRevoked: () => false });
});
afterEach(() => world.engine.stop());

test("lists a fleet and all that it runs in slices", async () => {
  const listed = await work.of(() => all(""));
  expect(listed.map(({ id }) => id)).toEqual(Array.from({ length: MACHINES }, (_, index) => nameOf(index)));
  expect(listed.every(({ apps }) => apps.length === APPS)).toBe(true);
  expect(work.rowsInTurn).toBeLessThanOrEqual(3 * SLICE_ROWS);
  expect(work.statementsInTurn).toBeLessThanOrEqual(SLICE_ROWS);
});

test("sends no more apps in one message than are encoded in some milliseconds", async () => {
  for await (const machines of views.selected(selectorOf(""), true)) expect(machines.length * APPS).toBeLessThanOrEqual(SLICE_ROWS + APPS);
});

test("reads what machines run of those alone that are selected", async () => {
  const listed = await work.of(() => all("rack=r-1"));
  expect(listed.map(({ id }) => id)).toEqual([1, 101, 201, 301, 401, 501].map(nameOf));
  expect(work.statementsInTurn).toBeLessThanOrEqual(2 * listed.length + 3);
  expect(work.scans(/machines|machine_apps|assignments|\ba\b|\bma\b/)).toEqual([]);
});

test("leaves out what they run where nobody asks for it", async () => {
  const [first] = await work.of(() => all("rack=r-1", false));
  expect(first).toMatchObject({ id: nameOf(1), apps: [] });
  expect([...work.asked].join()).not.toContain("assignments");
});

test("a machine that gets other labels while the list is made is not shown with labels that do not match", async () => {
  const listing = all("rack=r-1");
  world.journal.db.prepare("UPDATE machines SET labels = '{}' WHERE id = ?").run(nameOf(501));
  world.journal.db.prepare("DELETE FROM machines WHERE id = ?").run(nameOf(401));
  expect((await listing).map(({ id }) => id)).toEqual([1, 101, 201, 301].map(nameOf));
});

async function all(selector: string, withApps = true): Promise<readonly Machine[]> {
  const listed: Machine[] = [];
  for await (const machines of views.selected(selectorOf(selector), withApps)) listed.push(...machines);
  return listed;
}

function selectorOf(text: string): Selector {
  const parsed = parseSelector(text);
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.selector;
}

function nameOf(index: number): MachineId {
  return `m-${String(index).padStart(4, "0")}` as MachineId;
}

test("what runs on a machine that was removed and has joined again is shown, though nobody has assigned it", async () => {
  const scene = new World();
  await scene.join("a");
  scene.deploy("1");
  await scene.say("a", "healthy", scene.generation("a"), "app", "1");
  scene.pass(3000, "a");
  const generation = scene.generation("a");
  const seen = new MachineViews({ db: scene.journal.db, engine: scene.engine, fleet: scene.fleet, isRevoked: () => false });
  expect(seen.one("a")!.apps).toMatchObject([{ app: "app", wantedVersion: "1", runningVersion: "1", deploymentId: "d-1" }]);
  scene.remove("a");
  await scene.joinAs({ role: "other" }, "a");
  await scene.saySeq("a", "healthy", generation, 9, "app", "1");
  expect(seen.one("a")!.apps).toMatchObject([{ app: "app", wantedVersion: "", runningVersion: "1", deploymentId: "", generation: 0 }]);
  await scene.saySeq("a", "removed", generation, 10, "app", "");
  expect(seen.one("a")!.apps).toEqual([]);
  scene.engine.stop();
});
