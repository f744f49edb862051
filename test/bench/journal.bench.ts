/**
 * A controller of years: 10 million rows in its journal, 10,000 machines with 50 apps each, 5,000 deployments that have ended. How long it takes to start, to rebuild its tables, and for how long archiving
 * and the removal of a machine hold the loop.
 *
 * The database is written directly: making it with the engine would take hours, and what is measured only reads its shapes.
 */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setImmediate as nextTurn } from "node:timers/promises";
import { Engine } from "@muster/controller/src/engine/engine.ts";
import { systemClock } from "@muster/controller/src/engine/clock.ts";
import { Fleet } from "@muster/controller/src/fleet/fleet.ts";
import { Schedule } from "@muster/controller/src/gates/schedule.ts";
import { checkpointsBeside } from "@muster/controller/src/journal/checkpoints.ts";
import { Journal } from "@muster/controller/src/journal/journal.ts";
import type { Generation, MachineId } from "@muster/proto/ids.ts";
import type { Database } from "better-sqlite3";
import pino from "pino";
import type { Figure } from "./fleet.bench.ts";

const MACHINES = 10_000;
const APPS = 50;
const DEPLOYMENTS = 5000;
const TARGETS = 200;
const ROWS = 10_000_000;
const DAY_MS = 86_400_000;
/** Deployments are spread over so long. */
const SPAN_MS = 60 * DAY_MS;
const RESOLUTION_MS = 1;
const LOGGER = pino({ level: "silent" });

export async function benchJournal(rows = ROWS): Promise<readonly Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), "muster-bench-journal-"));
  const path = join(folder, "muster.db");
  const figures: Figure[] = [];
  const say = (name: string, value: number, unit: Figure["unit"]): void => void figures.push({ name, value, unit });
  try {
    write(path, rows);
    say("size of the database", statSync(path).size / 2 ** 20, "MiB");
    let begun = performance.now();
    const first = start(path);
    say("start", performance.now() - begun, "ms");

    const snapshot = await watched(() => first.journal.snapshots.take(systemClock.now()));
    say("snapshot", snapshot.ms, "ms");
    say("… the loop blocked, longest", snapshot.blockedMs, "ms");

    const { engine, journal } = first;
    // Nothing goes on after a start before the machines have been heard.
    for (let index = 0; index < MACHINES; index += 1) engine.heartbeat(machineOf(index) as MachineId, 1 as Generation);
    const removal = await watched(async () => {
      const answer = engine.orders.removeMachine("web-00001" as MachineId, { by: "", reason: "" });
      if (!answer.ok) throw new Error(answer.refusal.message);
      while (journal.removals.isOwed) await nextTurn();
    });
    say("a machine removed", removal.ms, "ms");
    say("… the loop blocked, longest", removal.blockedMs, "ms");

    // A day of sixty.
    await engine.retention.set({ ...engine.retention.rule(), stepsForMs: SPAN_MS - DAY_MS }, "");
    const before = journal.lastSeq;
    const archiving = await watched(() => engine.archiving.sweep());
    const moved = journal.archive.extent();
    say("archived", moved.rows / (archiving.ms / 1000), "rows/s");
    say("… the loop blocked, longest", archiving.blockedMs, "ms");
    say("… a row in the archive", moved.sizeBytes / moved.rows, "bytes");
    say("… targets folded", journal.lastSeq - before, "rows");

    journal.db.exec("UPDATE meta SET value = '0' WHERE key = 'projection_version'");
    await first.stop();
    begun = performance.now();
    const rebuilt = start(path);
    say("tables rebuilt, and start", performance.now() - begun, "ms");
    await rebuilt.stop();
    return figures;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Running {
  readonly journal: Journal;
  readonly engine: Engine;
  stop(): Promise<void>;
}

function start(path: string): Running {
  const journal = Journal.open(path);
  const endCheckpoints = checkpointsBeside(journal, path, LOGGER);
  const engine = new Engine({
    journal,
    fleet: new Fleet(30_000),
    clock: systemClock,
    logger: LOGGER,
    schedule: new Schedule(),
    tell: () => {},
    distrusts: () => undefined,
    ask: () => new Promise(() => {}),
  });
  engine.start();
  const stop = async (): Promise<void> => {
    engine.stop();
    await endCheckpoints();
    journal.close();
  };
  return { journal, engine, stop };
}

async function watched(work: () => Promise<unknown>): Promise<{ readonly ms: number; readonly blockedMs: number }> {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  await new Promise((resolve) => setTimeout(resolve, 100));
  delays.enable();
  await new Promise((resolve) => setTimeout(resolve, 10));
  delays.reset();
  const begun = performance.now();
  await work();
  const ms = performance.now() - begun;
  await new Promise((resolve) => setTimeout(resolve, 10));
  delays.disable();
  return { ms, blockedMs: delays.max / 1e6 - RESOLUTION_MS };
}

/** Every row of the journal and every table that a start reads. */
function write(path: string, rows: number): void {
  const journal = Journal.open(path);
  const { db } = journal;
  db.pragma("synchronous = OFF");
  const inOne = (work: () => void): void => db.transaction(work)();
  inOne(() => writeFleet(db));
  const perDeployment = Math.floor(rows / DEPLOYMENTS);
  for (let number = 1; number <= DEPLOYMENTS; number += 1) inOne(() => writeDeployment(db, number, perDeployment));
  db.pragma("wal_checkpoint(TRUNCATE)");
  db.exec("ANALYZE");
  journal.close();
}

const machineOf = (index: number): string => `web-${String(index % MACHINES).padStart(5, "0")}`;
const appOf = (index: number): string => `app-${index % APPS}`;
const endedAt = (number: number): number => Date.now() - SPAN_MS + Math.floor((number / DEPLOYMENTS) * (SPAN_MS - DAY_MS));

function writeFleet(db: Database): void {
  const machine = db.prepare("INSERT INTO machines (id, instance, labels, agent_version, hostname, os, arch, first_seen_at) VALUES (?, 'i', '{\"role\":\"web\",\"zone\":\"a\"}', '1', 'host', 'linux', 'x64', 1)");
  const said = db.prepare(`INSERT INTO machine_apps (machine, app, generation, phase, running_version, running_artifact, starts, pid, ports, since, said_attended)
    VALUES (?, ?, 1, 'healthy', '1', '${"a".repeat(64)}', 1, 4711, '{"http":31000}', 1, 1)`);
  // What runs is of the newest deployment of each app: the last fifty.
  const assigned = db.prepare(`INSERT INTO assignments (machine, app, generation, deployment, release, min_healthy_time_ms, healthy_deadline_ms, progress_deadline_ms, labels, last_good, decided_seq)
    VALUES (?, ?, 1, ?, ?, 1000, 60000, 600000, '{}', ?, 1)`);
  for (let app = 0; app < APPS; app += 1) {
    db.prepare(`INSERT INTO releases (id, app, artifact, release, secrets, created_at) VALUES (?, ?, '${"a".repeat(64)}', ?, '{}', 1)`).run(`${appOf(app)}@1`, appOf(app), JSON.stringify({ app: appOf(app), version: "1", artifact: "a".repeat(64) }));
  }
  for (let index = 0; index < MACHINES; index += 1) {
    machine.run(machineOf(index));
    for (let app = 0; app < APPS; app += 1) {
      said.run(machineOf(index), appOf(app));
      assigned.run(machineOf(index), appOf(app), `d-${DEPLOYMENTS - APPS + 1 + ((app + APPS - 1) % APPS)}`, `${appOf(app)}@1`, `${appOf(app)}@1`);
    }
  }
}

const STRATEGY = JSON.stringify({
  targets: "role=web", waves: [], alarms: [], order: [], maxUnavailable: { kind: "count", count: 1 }, maxUnavailablePer: [], spread: null, minHealthyTimeMs: 1000, healthyDeadlineMs: 60_000,
  progressDeadlineMs: 600_000, maxFailures: { kind: "count", count: 0 }, maxUnreachable: null, offline: { kind: "skip" }, lateJoiners: "ignore", window: null, start: "auto", startAt: null, after: null,
  priority: 0, onFailure: "rollback", onConflict: "queue",
});

function writeDeployment(db: Database, number: number, rows: number): void {
  const id = `d-${number}`;
  const app = appOf(number);
  const at = endedAt(number);
  const firstSeq = (number - 1) * rows + 1;
  const row = db.prepare("INSERT INTO journal (seq, at, attended, kind, deployment, machine, app, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
  const report = JSON.stringify({
    instance: "0b6f9d3e-6a1c-4c55-9d8e-2f8f7a1b3c4d", reportSeq: number, observedAt: at, generation: firstSeq, phase: "probing", reason: null, runningVersion: "1", runningArtifact: "a".repeat(64), starts: 1, pid: 4711,
    ports: { http: 31_000 },
  });
  const changed = JSON.stringify({ state: "healthy", reason: null, runs: "1" });
  for (let index = 0; index < rows; index += 1) {
    const machine = machineOf(number * TARGETS + index);
    if (index === 0) row.run(firstSeq, at, at, "deployment_submitted", id, null, app, JSON.stringify({ release: `${app}@1`, strategy: JSON.parse(STRATEGY) as object, by: "ada", note: "" }));
    else if (index === rows - 1) row.run(firstSeq + index, at, at, "phase_changed", id, null, app, '{"phase":"succeeded","reason":null}');
    else if (index % 7 < 2) row.run(firstSeq + index, at, at, "target_changed", id, machine, app, changed);
    else row.run(firstSeq + index, at, at, "report_accepted", null, machine, app, report);
  }
  db.prepare(
    `INSERT INTO deployments (number, id, app, release, strategy, selector, phase, submitted_at, started_at, start_seq, ended_at, ended_attended, progress_attended, changed_attended, wave, max_unavailable, unchanged, notes, submitted_by, lanes, alarms, start_approved, promoted)
     VALUES (?, ?, ?, ?, ?, 'role=web', 'succeeded', ?, ?, ?, ?, ?, 1, 1, 0, 1, '[]', '[]', 'ada', '[]', '[]', 0, 0)`,
  ).run(number, id, app, `${app}@1`, STRATEGY, at, at, firstSeq + 1, at, at);
  db.prepare(
    `INSERT INTO waves (deployment, wave, members, gates, after_ms, max_failures, started_at, finished_at, finished_attended, finished_seq, changed_at, changed_attended, gone_failed, gone_lost)
     VALUES (?, 0, '100%', '[]', 0, 0, ?, ?, 1, ?, ?, 1, 0, 0)`,
  ).run(id, at, at, firstSeq + rows - 2, at);
  const target = db.prepare("INSERT INTO targets (deployment, machine, wave, position, lane, state, purpose, generation, since, since_attended, attempts, on_trial) VALUES (?, ?, 0, ?, '', 'healthy', 'update', 1, ?, 1, 1, 0)");
  // One machine is in all of them.
  for (let position = 0; position < TARGETS; position += 1) target.run(id, position === 0 ? "web-00001" : `web-${String(2 + ((number * TARGETS + position) % (MACHINES - 2))).padStart(5, "0")}`, position, at);
}
