/** What operators read of a large fleet, counted: no turn of the loop looks at more than a slice of it, and no statement goes through a table from its beginning. */
import { beforeEach, expect, test } from "vitest";
import type { Database } from "better-sqlite3";
import type { DeploymentId } from "@muster/proto/ids.ts";
import type { Present } from "../history/present.ts";
import { Journal } from "../journal/journal.ts";
import { SLICE_ROWS } from "../journal/slices.ts";
import { Work } from "../journal/work.fixture.ts";
import { DeploymentViews } from "./views.ts";

const MACHINES = 2000;
const DEPLOYMENTS = 40;
/** One row of a target is joined to four others, and a slice ends with the page that fills it. */
const ROWS_IN_TURN_MAX = 2 * SLICE_ROWS;
const LARGE = /\b(?:targets|t|machines|m|machine_apps|ma|assignments|a|deployments|d|l|o)\b/;
/** The newest deployments are read from the end of their table. */
const isExpected = (scan: string): boolean => /^SCAN deployments: SELECT id FROM deployments ORDER BY number DESC LIMIT/.test(scan);

let work: Work;
let views: DeploymentViews;
beforeEach(() => {
  const { db } = Journal.open(":memory:");
  db.transaction(() => fill(db))();
  work = new Work(db);
  const now = { machines: MACHINES, healthy: MACHINES / 2, bad: MACHINES / 2 };
  const present: Present = { nowOf: () => now, unsound: () => undefined, isOverdue: () => false, remedies: () => Promise.resolve({ rollback: false, rollbackTo: "", retry: false }) };
  views = new DeploymentViews(work.db, () => undefined, () => undefined, present);
});

/** Half of the machines failed in each deployment, and the other half is not well now. */
function fill(db: Database): void {
  const join = db.prepare("INSERT INTO machines (id, instance, labels, agent_version, hostname, os, arch, first_seen_at) VALUES (?, '', '{}', '', '', '', '', 0)");
  const say = db.prepare("INSERT INTO machine_apps (machine, app, generation, phase, reason_code, reason_message, running_version, running_artifact, starts, pid, ports, since, said_attended) VALUES (?, 'app', 1, 'unhealthy', 'exited', 'exited with code 1', '1', '', 0, 0, '{}', 0, 0)");
  const assign = db.prepare(
    "INSERT INTO assignments (machine, app, generation, deployment, release, min_healthy_time_ms, healthy_deadline_ms, progress_deadline_ms, labels, decided_seq) VALUES (?, 'app', 1, 'd-1', 'app@1', 0, 0, 0, '{}', 1)",
  );
  const deploy = db.prepare(
    `INSERT INTO deployments (number, id, app, release, strategy, selector, phase, submitted_at, start_seq, ended_at, ended_attended, progress_attended, submitted_by, alarms, changed_attended, unchanged)
     VALUES (?, ?, 'app', 'app@1', '{"targets":"role=web","priority":0,"start":"auto","startAt":null}', 'role=web', 'succeeded', 0, ?, 1, 1, 0, '', '[]', 0, '[]')`,
  );
  const wave = db.prepare("INSERT INTO waves (deployment, wave, members, gates, after_ms, max_failures, changed_at, changed_attended) VALUES (?, 0, '', '[]', 0, 9, 0, 0)");
  const target = db.prepare("INSERT INTO targets (deployment, machine, wave, position, lane, state, purpose, generation, since, since_attended, attempts) VALUES (?, ?, 0, ?, '', ?, 'update', 1, 0, 0, 1)");
  const names = Array.from({ length: MACHINES }, (_, index) => `m-${String(index).padStart(4, "0")}`);
  for (const name of names) for (const statement of [join, assign, say]) statement.run(name);
  for (let number = 1; number <= DEPLOYMENTS; number += 1) {
    deploy.run(number, `d-${number}`, number);
    wave.run(`d-${number}`);
    // Their turns were not in the order of their names.
    names.forEach((name, index) => target.run(`d-${number}`, name, MACHINES - index, index % 2 === 0 ? "failed" : "healthy"));
  }
}

test("lists deployments of thousands of machines, whatever became of those", async () => {
  const listed = await work.of(() => views.list({ app: "", activeOnly: false, limit: 1000 }));
  expect(listed.map(({ id }) => id)).toEqual(Array.from({ length: DEPLOYMENTS }, (_, index) => `d-${DEPLOYMENTS - index}`));
  expect(listed.at(-1)).toMatchObject({ counts: { total: MACHINES, failed: MACHINES / 2 }, outstanding: { count: MACHINES / 2 } });
  expect(work.rowsInTurn).toBeLessThanOrEqual(ROWS_IN_TURN_MAX);
  expect(work.scans(LARGE).filter((scan) => !isExpected(scan))).toEqual([]);
});

test("names the first machines that are not well in the order of their turns", async () => {
  const shown = (await work.of(() => views.one("d-1")))!;
  expect(shown.now!.text).toBe(`${MACHINES / 2} of ${MACHINES} healthy: m-1999, m-1997 and m-1995 unhealthy: exited with code 1; and ${MACHINES / 2 - 3} more`);
  expect(shown.outstanding!.machines.map(({ machine }) => machine).slice(0, 3)).toEqual(["m-1998", "m-1996", "m-1994"]);
  expect(work.rowsInTurn).toBeLessThanOrEqual(ROWS_IN_TURN_MAX);
});

test("shows all targets in the order of their turns", async () => {
  const { targets } = (await work.of(() => views.withTargets("d-1" as DeploymentId)))!;
  expect(targets.map(({ machine }) => machine)).toEqual(Array.from({ length: MACHINES }, (_, index) => `m-${String(MACHINES - 1 - index).padStart(4, "0")}`));
  expect(work.rowsInTurn).toBeLessThanOrEqual(ROWS_IN_TURN_MAX);
  expect(work.scans(LARGE).filter((scan) => !isExpected(scan))).toEqual([]);
});

test("counts who has a release still that was taken back, and names the first", async () => {
  const names = Array.from({ length: MACHINES }, (_, index) => `m-${String(index).padStart(4, "0")}`);
  work.db.prepare("UPDATE targets SET state = CASE WHEN state = 'failed' THEN 'unreachable' ELSE 'reverted' END, purpose = 'revert' WHERE deployment = 'd-1'").run();
  work.db.prepare("UPDATE deployments SET phase = 'rolled_back', back_seq = 50, unchanged = ? WHERE id = 'd-1'").run(JSON.stringify(names));
  const { outcome, outstanding } = (await work.of(() => views.one("d-1")))!;
  expect(outcome).toBe(
    "rolled back, except 1000 unreachable: m-1998, m-1996, m-1994 and 997 more may still run 1, and go back when they are heard; m-0000, m-0001, m-0002 and 1997 more had 1 before it, and keep that; m-1999, m-1997, m-1995 and 997 more still run 1, which is also what they go back to",
  );
  expect(outstanding!.count).toBe(MACHINES / 2);
  expect(work.rowsInTurn).toBeLessThanOrEqual(ROWS_IN_TURN_MAX);
  expect(work.scans(LARGE).filter((scan) => !isExpected(scan))).toEqual([]);
});
