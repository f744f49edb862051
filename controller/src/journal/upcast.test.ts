/**
 * A journal of the first version, row by row as that wrote it, opened by this one.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import SqliteDatabase from "better-sqlite3";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { Journal } from "./journal.ts";
import { loadRollout } from "./load.ts";
import { createJournalTables } from "./schema.ts";
import { upcast } from "./upcast.ts";

const STRATEGY_V1 = {
  targets: "role=web",
  waves: [{ kind: "count", count: 1 }, { kind: "percent", percent: 100 }],
  maxUnavailable: { kind: "count", count: 1 },
  minHealthyTimeMs: 1000,
  healthyDeadlineMs: 60_000,
  progressDeadlineMs: 600_000,
  maxFailures: { kind: "count", count: 0 },
  onFailure: "rollback",
  onConflict: "queue",
};
const machine = (id: string) => ({ machine: id, instance: `i-${id}`, labels: { role: "web" }, agentVersion: "0", hostname: id, os: "linux", arch: "x64" });
const of = { deployment: "d-1", app: "app" };
const ROWS_V1: readonly (readonly [kind: string, data: object])[] = [
  ["machine_joined", machine("a")],
  ["machine_joined", machine("b")],
  ["artifact_stored", { artifact: "a".repeat(64), fileCount: 1, sizeBytes: 1, packBytes: 1 }],
  ["release_created", { id: "app@1", app: "app", release: { app: "app", version: "1", artifact: "a".repeat(64), ports: {}, health: [] } }],
  ["deployment_submitted", { ...of, release: "app@1", strategy: STRATEGY_V1 }],
  [
    "rollout_started",
    {
      ...of,
      plan: {
        waves: [[{ machine: "a", previous: null }], [{ machine: "b", previous: null }]],
        unchanged: [],
        maxUnavailable: 1,
        maxFailures: [0, 0],
        notes: [],
      },
    },
  ],
  ["wave_started", { ...of, wave: 0 }],
  ["target_assigned", { ...of, machine: "a", purpose: "update", release: "app@1", state: "updating", reason: null }],
  ["target_changed", { ...of, machine: "a", state: "healthy", reason: null }],
  ["wave_finished", { ...of, wave: 0 }],
  ["wave_started", { ...of, wave: 1 }],
  ["target_assigned", { ...of, machine: "b", purpose: "update", release: "app@1", state: "unreachable", reason: { code: "silent", message: "silent" } }],
  ["command_accepted", { deployment: "d-1", command: "pause", reason: "look first" }],
  ["failures_acknowledged", { ...of, wave: 1, failures: 0 }],
  ["phase_changed", { ...of, phase: "paused", reason: { code: "operator", message: "an operator paused it" } }],
];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "muster-journal-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function writeVersion1(path: string, rows = ROWS_V1): void {
  const db = new SqliteDatabase(path);
  createJournalTables(db);
  const insert = db.prepare("INSERT INTO journal VALUES (@seq, @at, @kind, @deployment, @machine, @app, @data)");
  rows.forEach(([kind, data], index) => {
    const { deployment = null, machine: id = null, app = null } = data as Record<string, string>;
    insert.run({ seq: index + 1, at: 1000 + index, kind, deployment, machine: id, app, data: JSON.stringify(data) });
  });
  db.exec("INSERT INTO meta VALUES ('journal_version', '1'), ('projection_version', '1')");
  db.close();
}

test("the tables are built from it, and its rollouts go on", () => {
  const path = join(folder, "muster.db");
  writeVersion1(path);
  const journal = Journal.open(path);
  const state = loadRollout(journal, "d-1" as DeploymentId)!;
  expect(state.phase).toBe("paused");
  expect(state.waves.map(({ members, maxFailures, maxUnreachable, successThreshold, gates }) => ({ members, maxFailures, maxUnreachable, successThreshold, gates }))).toEqual([
    { members: "1", maxFailures: 0, maxUnreachable: null, successThreshold: null, gates: [] },
    { members: "1", maxFailures: 0, maxUnreachable: null, successThreshold: null, gates: [] },
  ]);
  expect([...state.targets.values()].map(({ machine: id, state: stands, runs }) => [id, stands, runs])).toEqual([["a", "healthy", null], ["b", "unreachable", null]]);
  expect(state.strategy).toMatchObject({ offline: { kind: "skip" }, lateJoiners: "ignore", window: null, priority: 0, maxUnreachable: null, order: [], start: "auto" });
  // Its rows are as they were.
  const before = journal.db.prepare("SELECT data FROM journal WHERE kind = 'target_changed'").pluck().get() as string;
  expect(JSON.parse(before)).not.toHaveProperty("runs");
  journal.close();
});

test("a machine that said hello again with other labels got them, until they were the controller's", () => {
  const path = join(folder, "muster.db");
  const relabelled = { ...machine("a"), labels: { role: "db" }, agentVersion: "1" };
  writeVersion1(path, [...ROWS_V1, ["machine_joined", relabelled]]);
  const journal = Journal.open(path);
  expect(journal.db.prepare("SELECT labels, agent_version, first_seen_at FROM machines WHERE id = 'a'").get()).toEqual({ labels: '{"role":"db"}', agent_version: "1", first_seen_at: 1000 });
  journal.close();
});

test("a strategy that lacks later keys gets them; one that has them stays as it is", () => {
  const submitted = { by: "", note: "", strategy: { targets: "role=web", waves: [], start: "manual" } };
  expect(upcast("deployment_submitted", submitted)["strategy"]).toEqual({ alarms: [], order: [], start: "manual", targets: "role=web", waves: [] });
  const today = { ...submitted, strategy: { order: [], ...submitted.strategy, alarms: [] } };
  expect(JSON.stringify(upcast("deployment_submitted", today))).toBe(JSON.stringify(today));
});

test("every row of it is read in today's shape", () => {
  const path = join(folder, "muster.db");
  writeVersion1(path);
  const journal = Journal.open(path);
  const byKind = new Map([...journal.read({ fromSeq: 1 })].map(({ entry }) => [entry.kind, entry]));
  expect(byKind.get("command_accepted")).toMatchObject({ by: "", detail: "" });
  expect(byKind.get("failures_acknowledged")).toMatchObject({ unreachable: 0 });
  expect(byKind.get("deployment_submitted")).toMatchObject({ by: "", note: "", strategy: { waves: [{ members: { kind: "size", size: { kind: "count", count: 1 } } }, {}] } });
  journal.close();
});

test("a wave that does not say how many are enough waits for all, and one that does is left as it is", () => {
  const rows = [
    ["deployment_submitted", "strategy"],
    ["rollout_started", "plan"],
  ] as const;
  for (const [kind, key] of rows) {
    const read = (waves: readonly object[]) => upcast(kind, { by: "", [key]: { waves } })[key];
    expect(read([{ afterMs: 0 }])).toMatchObject({ waves: [{ afterMs: 0, successThreshold: null }] });
    expect(read([{ successThreshold: 3 }])).toMatchObject({ waves: [{ successThreshold: 3 }] });
  }
});
