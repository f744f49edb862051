/**
 * From one journal row to the tables. Reads nothing but the row and the tables that it writes, so that replaying the journal into empty tables yields
 * the same tables.
 */
import type { Database, Statement } from "better-sqlite3";
import { isEnded } from "../rollout/state.ts";
import type { JournalRow, MachineJoined, ReportAccepted, RolloutEntry } from "./entry.ts";

export type Projector = (row: JournalRow) => void;

/** `progressAt` and the counters follow the same rules as `apply` of rollout/change.ts; a test holds both together. */
export function createProjector(db: Database): Projector {
  const sql = prepare(db);

  function projectMachine(entry: MachineJoined, at: number): void {
    const { machine, instance, labels, agentVersion, hostname, os, arch } = entry;
    sql.joinMachine.run({ machine, instance, labels: JSON.stringify(labels), agentVersion, hostname, os, arch, at });
  }

  function projectReport(entry: ReportAccepted, at: number): void {
    const { machine, app, instance, reportSeq, generation, phase, reason } = entry;
    sql.moveCursor.run(machine, instance, reportSeq);
    sql.reportApp.run({
      machine,
      app,
      generation,
      phase,
      reasonCode: reason?.code ?? null,
      reasonMessage: reason?.message ?? null,
      runningVersion: entry.runningVersion,
      runningArtifact: entry.runningArtifact,
      starts: entry.starts,
      pid: entry.pid,
      ports: JSON.stringify(entry.ports),
      at,
    });
    if (phase === "healthy") sql.keepLastGood.run({ machine, app, generation });
    if (phase === "removed") sql.forgetLastGood.run(machine, app);
  }

  function projectRollout(entry: RolloutEntry, seq: number, at: number): void {
    const id = entry.deployment;
    switch (entry.kind) {
      case "rollout_started": {
        const { waves, unchanged, maxUnavailable, maxFailures, notes } = entry.plan;
        sql.startDeployment.run({ id, at, maxUnavailable, unchanged: JSON.stringify(unchanged), notes: JSON.stringify(notes) });
        waves.forEach((targets, wave) => {
          sql.addWave.run(id, wave, maxFailures[wave]);
          targets.forEach(({ machine, previous }, position) => sql.addTarget.run(id, machine, wave, position, previous, at));
        });
        return;
      }
      case "wave_started":
        sql.startWave.run(entry.wave, id);
        return;
      case "wave_finished":
        sql.finishWave.run(id, entry.wave);
        return;
      case "target_assigned":
        sql.assign.run({ machine: entry.machine, app: entry.app, seq, id, release: entry.release });
        sql.assignTarget.run({ id, machine: entry.machine, purpose: entry.purpose, seq, state: entry.state, at, ...reasonColumns(entry.reason) });
        return;
      case "target_changed":
        if (entry.state === "healthy" || entry.state === "reverted") sql.progress.run(at, id);
        sql.changeTarget.run({ id, machine: entry.machine, state: entry.state, at, ...reasonColumns(entry.reason) });
        return;
      case "failures_acknowledged":
        sql.acknowledge.run(entry.failures, id, entry.wave);
        return;
      case "phase_changed":
        sql.changePhase.run({ id, phase: entry.phase, at, endedAt: isEnded(entry.phase) ? at : null, ...reasonColumns(entry.reason) });
        return;
    }
  }

  return ({ seq, at, entry }) => {
    switch (entry.kind) {
      case "machine_joined":
        return projectMachine(entry, at);
      case "machine_silent":
        return void sql.silence.run(at, entry.machine);
      case "machine_heard":
        return void sql.silence.run(null, entry.machine);
      case "artifact_stored":
        return void sql.storeArtifact.run(entry.artifact, entry.fileCount, entry.sizeBytes, entry.packBytes, at);
      case "release_created":
        return void sql.createRelease.run(entry.id, entry.app, entry.release.artifact, JSON.stringify(entry.release), at);
      case "deployment_submitted":
        return void sql.submit.run({
          number: Number(entry.deployment.slice("d-".length)),
          id: entry.deployment,
          app: entry.app,
          release: entry.release,
          strategy: JSON.stringify(entry.strategy),
          at,
        });
      case "command_accepted":
        return;
      case "report_accepted":
        return projectReport(entry, at);
      case "rollout_started":
      case "wave_started":
      case "wave_finished":
      case "target_assigned":
      case "target_changed":
      case "failures_acknowledged":
      case "phase_changed":
        return projectRollout(entry, seq, at);
    }
  };
}

function reasonColumns(reason: { readonly code: string; readonly message: string } | null) {
  return { reasonCode: reason?.code ?? null, reasonMessage: reason?.message ?? null };
}

function prepare(db: Database) {
  const statement = (sql: string): Statement => db.prepare(sql);
  return {
    joinMachine: statement(`INSERT INTO machines VALUES (@machine, @instance, @labels, @agentVersion, @hostname, @os, @arch, @at, NULL)
      ON CONFLICT (id) DO UPDATE SET instance = @instance, labels = @labels, agent_version = @agentVersion, hostname = @hostname, os = @os, arch = @arch`),
    silence: statement("UPDATE machines SET silent_since = ? WHERE id = ?"),
    moveCursor: statement(`INSERT INTO report_cursors VALUES (?, ?, ?) ON CONFLICT (machine, instance) DO UPDATE SET seq = excluded.seq`),
    reportApp: statement(`INSERT INTO machine_apps VALUES
        (@machine, @app, @generation, @phase, @reasonCode, @reasonMessage, @runningVersion, @runningArtifact, @starts, @pid, @ports, @at, NULL)
      ON CONFLICT (machine, app) DO UPDATE SET generation = @generation, phase = @phase, reason_code = @reasonCode, reason_message = @reasonMessage,
        running_version = @runningVersion, running_artifact = @runningArtifact, starts = @starts, pid = @pid, ports = @ports, since = @at`),
    keepLastGood: statement(`UPDATE machine_apps SET last_good = (SELECT release FROM assignments a WHERE a.machine = @machine AND a.app = @app AND a.generation = @generation)
      WHERE machine = @machine AND app = @app AND EXISTS (SELECT 1 FROM assignments a WHERE a.machine = @machine AND a.app = @app AND a.generation = @generation AND a.release IS NOT NULL)`),
    forgetLastGood: statement("UPDATE machine_apps SET last_good = NULL WHERE machine = ? AND app = ?"),
    storeArtifact: statement("INSERT INTO artifacts VALUES (?, ?, ?, ?, ?)"),
    createRelease: statement("INSERT INTO releases VALUES (?, ?, ?, ?, ?)"),
    submit: statement(`INSERT INTO deployments VALUES
      (@number, @id, @app, @release, @strategy, 'pending', NULL, NULL, @at, NULL, NULL, @at, 0, 1, '[]', '[]')`),
    startDeployment: statement(`UPDATE deployments SET phase = 'rolling', reason_code = NULL, reason_message = NULL, started_at = @at, progress_at = @at,
      max_unavailable = @maxUnavailable, unchanged = @unchanged, notes = @notes WHERE id = @id`),
    addWave: statement("INSERT INTO waves VALUES (?, ?, ?, 0, 0)"),
    addTarget: statement("INSERT INTO targets VALUES (?, ?, ?, ?, ?, 'pending', NULL, 0, ?, 0, NULL, NULL)"),
    startWave: statement("UPDATE deployments SET wave = ? WHERE id = ?"),
    finishWave: statement("UPDATE waves SET finished = 1 WHERE deployment = ? AND wave = ?"),
    assign: statement(`INSERT INTO assignments
      SELECT @machine, @app, @seq, @id, @release, strategy ->> 'minHealthyTimeMs', strategy ->> 'healthyDeadlineMs' FROM deployments WHERE id = @id
      ON CONFLICT (machine, app) DO UPDATE SET generation = excluded.generation, deployment = excluded.deployment, release = excluded.release,
        min_healthy_time_ms = excluded.min_healthy_time_ms, healthy_deadline_ms = excluded.healthy_deadline_ms`),
    assignTarget: statement(`UPDATE targets SET purpose = @purpose, generation = @seq, attempts = attempts + 1, state = @state, since = @at,
      reason_code = @reasonCode, reason_message = @reasonMessage WHERE deployment = @id AND machine = @machine`),
    changeTarget: statement(`UPDATE targets SET state = @state, since = @at, reason_code = @reasonCode, reason_message = @reasonMessage
      WHERE deployment = @id AND machine = @machine`),
    progress: statement("UPDATE deployments SET progress_at = ? WHERE id = ?"),
    acknowledge: statement("UPDATE waves SET acknowledged_failures = ? WHERE deployment = ? AND wave = ?"),
    changePhase: statement(`UPDATE deployments SET phase = @phase, progress_at = @at, ended_at = @endedAt, reason_code = @reasonCode, reason_message = @reasonMessage
      WHERE id = @id`),
  };
}
