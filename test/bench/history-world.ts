/**
 * The database of a controller that has been at work for months: machines that all run many apps, and thousands of deployments that ended long ago. Written through the
 * journal, as the controller writes it, but for the waiting and the deciding. Deterministic.
 */
import { createHash } from "node:crypto";
import type { AppName, DeploymentId, Digest, Instant, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import { Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { Entry, ReportAccepted } from "@muster/controller/src/journal/entry.ts";
import { Journal } from "@muster/controller/src/journal/journal.ts";
import { planRollout } from "@muster/controller/src/plan/plan.ts";
import type { Strategy, WaveSpec } from "@muster/controller/src/plan/strategy.ts";
import type { RolloutChange } from "@muster/controller/src/rollout/change.ts";
import type { AgentPhase } from "@muster/controller/src/rollout/state.ts";
import { attendedAlways } from "@muster/controller/src/rollout/moment.ts";

export interface Scale {
  readonly machines: number;
  readonly apps: number;
  /** That have ended; at least one for each app. */
  readonly deployments: number;
}

const ZONES = 10;
export const RACKS = 100;
/** Of an app's deployments after the first, one in so many goes to a zone, the others to a rack. */
const ZONE_EVERY = 25;
/** An app goes to the same few racks again and again. */
const RACKS_OF_APP = 10;
/** One in so many was rolled back. */
const BAD_EVERY = 20;

const DAY_MS = 24 * 3_600_000;
/** Within what retention keeps by itself, so that the files of all releases are there. */
const HISTORY_MS = 80 * DAY_MS;
const BEGIN = Date.UTC(2030, 0, 1);
/** When the history is over. */
export const HISTORY_END = (BEGIN + HISTORY_MS) as Instant;

/** Few transactions, and not so large that the write-ahead log outgrows the database. */
const ROWS_PER_TRANSACTION = 100_000;

export const machineAt = (index: number): MachineId => `m-${String(index).padStart(5, "0")}` as MachineId;
export const appAt = (index: number): AppName => `app-${index}` as AppName;
const labelsAt = (index: number) => ({ role: "web", zone: `z-${index % ZONES}`, rack: `r-${index % RACKS}` });

export function digestOf(text: string): Digest {
  return createHash("sha256").update(text).digest("hex") as Digest;
}

export function releaseOf(app: AppName, version: string): Release {
  return Release.fromPartial({
    app,
    version,
    artifact: digestOf(`${app}@${version}`),
    driver: { $case: "process", value: { command: ["./server", "--port", "${ports.http}"], env: { LOG_LEVEL: "info", REGION: "eu" }, stopTimeoutMs: 10_000 } },
    ports: { http: 0 },
  });
}

export function strategyFor(targets: string, waves: readonly number[], changes: Partial<Strategy> = {}): Strategy {
  return {
    targets,
    waves: waves.map(waveOf),
    alarms: [],
    maxUnavailable: { kind: "percent", percent: 100 },
    maxUnavailablePer: [],
    spread: null,
    order: [],
    minHealthyTimeMs: 1000,
    healthyDeadlineMs: 3_600_000,
    progressDeadlineMs: 7_200_000,
    maxFailures: { kind: "percent", percent: 100 },
    maxUnreachable: null,
    offline: { kind: "skip" },
    lateJoiners: "deploy",
    window: null,
    start: "auto",
    startAt: null,
    after: null,
    priority: 0,
    onFailure: "rollback",
    onConflict: "queue",
    ...changes,
  };
}

function waveOf(percent: number): WaveSpec {
  return { members: { kind: "size", size: { kind: "percent", percent } }, gates: [], at: null, afterMs: 0, maxFailures: null, maxUnreachable: null, successThreshold: null };
}

export function reportOf(machine: MachineId, app: AppName, generation: number, phase: AgentPhase, version: string, reportSeq: number, observedAt: Instant): ReportAccepted {
  return {
    kind: "report_accepted",
    machine,
    app,
    instance: `i-${machine}`,
    reportSeq,
    observedAt,
    generation,
    phase,
    reason: phase === "reverted" ? { code: "exited", message: "exited with code 1, 4 times in 3s; back on the release before" } : null,
    runningVersion: version,
    runningArtifact: digestOf(`${app}@${version}`),
    starts: 1,
    pid: 4000,
    ports: { http: 20_000 },
  };
}

/** Writes it. Returns the rows of the journal. */
export function buildWorld(path: string, scale: Scale): number {
  const journal = Journal.open(path);
  // Whoever pulls the plug meanwhile builds it again.
  journal.db.pragma("synchronous = OFF");
  journal.db.pragma("cache_size = -500000");
  // Made at the end, all at once, they take a fraction of the time. Those of the deployments, which are few, are asked for each assignment.
  const indexes = journal.db.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name <> 'deployments'").all() as { name: string; sql: string }[];
  for (const { name } of indexes) journal.db.exec(`DROP INDEX ${name}`);
  new Builder(journal, scale).build();
  for (const { sql } of indexes) journal.db.exec(sql);
  journal.db.pragma("wal_checkpoint(TRUNCATE)");
  const rows = journal.lastSeq;
  journal.close();
  return rows;
}

class Builder {
  readonly #journal: Journal;
  readonly #scale: Scale;
  /** What each machine runs of each app. */
  readonly #runs: Map<AppName, (ReleaseId | null)[]>;
  readonly #reportSeqs: number[];
  #at = BEGIN as Instant;
  #pending: (() => void)[] = [];
  #pendingRows = 0;

  constructor(journal: Journal, scale: Scale) {
    this.#journal = journal;
    this.#scale = scale;
    const { machines, apps } = scale;
    this.#runs = new Map(Array.from({ length: apps }, (_, app) => [appAt(app), Array.from({ length: machines }, () => null)]));
    this.#reportSeqs = Array.from({ length: machines }, () => 0);
  }

  build(): void {
    const { machines, apps, deployments } = this.#scale;
    this.#write(machines, () => {
      for (let index = 0; index < machines; index += 1) {
        const machine = machineAt(index);
        this.#append({ kind: "machine_joined", machine, instance: `i-${machine}`, labels: labelsAt(index), agentVersion: "1.0.0", hostname: machine, os: "linux", arch: "x64" });
      }
    });
    const everybody = Array.from({ length: machines }, (_, index) => index);
    for (let number = 1; number <= deployments; number += 1) {
      const app = appAt((number - 1) % apps);
      const round = Math.floor((number - 1) / apps);
      const zone = round % ZONES;
      const rack = (((number - 1) % apps) * RACKS_OF_APP + (round % RACKS_OF_APP)) % RACKS;
      const [selector, members] =
        round === 0
          ? ["role=web", everybody]
          : round % ZONE_EVERY === 0
            ? [`zone=z-${zone}`, everybody.filter((index) => index % ZONES === zone)]
            : [`rack=r-${rack}`, everybody.filter((index) => index % RACKS === rack)];
      this.#at = (BEGIN + Math.floor((number * HISTORY_MS) / (deployments + 1))) as Instant;
      this.#write(members.length * 3, () => this.#deploy(number, app, `${round}.0`, selector, members, round > 0 && number % BAD_EVERY === 7));
    }
    this.#flush();
  }

  #deploy(number: number, app: AppName, version: string, selector: string, members: readonly number[], isBad: boolean): void {
    const id = `d-${number}` as DeploymentId;
    const release = `${app}@${version}` as ReleaseId;
    const runs = this.#runs.get(app)!;
    const strategy = strategyFor(selector, [10, 100]);
    const machines = members.map((index) => ({
      id: machineAt(index),
      labels: labelsAt(index),
      silent: false,
      cordoned: false,
      unhealthy: false,
      runsRelease: false,
      runsUnconfirmed: false,
      lastGood: runs[index]!,
    }));
    const plan = planRollout(strategy, machines, release);
    this.#append({ kind: "artifact_stored", artifact: digestOf(release), fileCount: 20, sizeBytes: 1_000_000, packBytes: 300_000 });
    this.#append({ kind: "release_created", id: release, app, release: releaseOf(app, version) });
    this.#append({ kind: "deployment_submitted", deployment: id, app, release, strategy, by: "ann", note: "" });
    const change = (what: RolloutChange) => this.#append({ ...what, deployment: id, app });
    change({ kind: "rollout_started", plan });
    for (const [wave, { targets }] of plan.waves.entries()) {
      change({ kind: "wave_started", wave });
      for (const { machine } of targets) {
        const index = Number(machine.slice(2));
        const seq = change({ kind: "target_assigned", machine, purpose: "update", release, state: "updating", reason: null, previous: runs[index]! });
        this.#say(index, app, seq, isBad ? "reverted" : "healthy", isBad ? versionOf(runs[index]!) : version);
        if (isBad) change({ kind: "target_changed", machine, state: "failed", reason: { code: "exited", message: "exited with code 1" }, runs: versionOf(runs[index]!) });
        else {
          change({ kind: "target_changed", machine, state: "healthy", reason: null, runs: version });
          runs[index] = release;
        }
      }
      if (isBad) return this.#takeBack(id, app, targets.map(({ machine }) => Number(machine.slice(2))));
      change({ kind: "wave_finished", wave });
    }
    change({ kind: "phase_changed", phase: "succeeded", reason: null });
  }

  #takeBack(deployment: DeploymentId, app: AppName, members: readonly number[]): void {
    const change = (what: RolloutChange) => this.#append({ ...what, deployment, app });
    const reason = { code: "exited", message: `${members.length} machines failed in wave 1, 0 allowed` } as const;
    change({ kind: "phase_changed", phase: "rolling_back", reason });
    for (const index of members) {
      const machine = machineAt(index);
      const before = this.#runs.get(app)![index]!;
      const seq = change({ kind: "target_assigned", machine, purpose: "revert", release: before, state: "reverting", reason: { code: "exited", message: "exited with code 1" }, previous: before });
      this.#say(index, app, seq, "healthy", versionOf(before));
      change({ kind: "target_changed", machine, state: "reverted", reason: { code: "exited", message: "exited with code 1" }, runs: versionOf(before) });
    }
    change({ kind: "phase_changed", phase: "rolled_back", reason });
  }

  #say(index: number, app: AppName, generation: number, phase: AgentPhase, version: string): void {
    this.#reportSeqs[index]! += 1;
    this.#append(reportOf(machineAt(index), app, generation, phase, version, this.#reportSeqs[index]!, this.#at));
  }

  /** Returns its sequence. */
  #append(entry: Entry): number {
    return this.#journal.append(entry, attendedAlways(this.#at)).seq;
  }

  /** In one transaction with others, in this order. */
  #write(rows: number, write: () => void): void {
    const at = this.#at;
    this.#pending.push(() => {
      this.#at = at;
      write();
    });
    this.#pendingRows += rows;
    if (this.#pendingRows >= ROWS_PER_TRANSACTION) this.#flush();
  }

  #flush(): void {
    const pending = this.#pending;
    this.#pending = [];
    this.#pendingRows = 0;
    this.#journal.transaction(() => {
      for (const write of pending) write();
    });
  }
}

function versionOf(release: ReleaseId | null): string {
  return release === null ? "" : release.slice(release.indexOf("@") + 1);
}

/**
 * Lengthens the journal to `rows` with what agents say again and again: copies of the last reports, which project to nothing new. Returns the rows that it has then.
 */
export function padWorld(path: string, rows: number): number {
  const journal = Journal.open(path);
  const { db } = journal;
  db.pragma("synchronous = OFF");
  db.pragma("cache_size = -500000");
  const columns = (db.prepare("SELECT name FROM pragma_table_info('journal') WHERE name <> 'seq' ORDER BY cid").pluck().all() as string[]).join(", ");
  const copy = db.prepare(`
    INSERT INTO journal (seq, ${columns}) SELECT @last + row_number() OVER (), ${columns} FROM (
      SELECT * FROM journal WHERE kind = 'report_accepted' AND seq > @last - @span ORDER BY seq LIMIT @most)`);
  let last = journal.lastSeq;
  const span = Math.min(last, ROWS_PER_TRANSACTION * 3);
  while (last < rows) {
    const { changes } = copy.run({ last, span, most: rows - last });
    if (changes === 0) throw new Error("there are no reports to copy");
    last += changes;
  }
  db.pragma("wal_checkpoint(TRUNCATE)");
  journal.close();
  return last;
}
