/**
 * The single questions that the engine asks the tables, prepared once.
 */
import type { Database, Statement } from "better-sqlite3";
import type { AppName, DeploymentId, Instant, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { MachineJoined, ReportAccepted } from "../journal/entry.ts";
import type { Labels } from "@muster/proto/selector.ts";
import type { Strategy } from "../plan/strategy.ts";
import { statement as statementOf } from "../journal/statement.ts";
import type { Purpose, RolloutPhase, TargetState } from "../rollout/state.ts";

interface MachineRow {
  readonly instance: string;
  readonly labels: string;
  readonly agent_version: string;
  readonly hostname: string;
  readonly os: string;
  readonly arch: string;
}

/** A target whose rollout has ended without its answer. */
export interface OpenTarget {
  readonly deployment: DeploymentId;
  readonly state: TargetState;
  readonly purpose: Purpose;
}

/** A time in which the whole fleet is left alone. */
export interface Freeze {
  /** `f-1`, `f-2`, … */
  readonly id: string;
  readonly from: Instant;
  /** Null: until it is ended. */
  readonly until: Instant | null;
  readonly reason: string;
  readonly by: string;
}

/** Where the newest deployment of an app to some machines stands. */
export interface Forerunner {
  readonly id: DeploymentId;
  readonly release: ReleaseId;
  readonly phase: RolloutPhase;
  readonly ended_at: Instant | null;
}

/** A standing deployment, as it concerns one machine. */
export interface StandingTarget {
  readonly deployment: DeploymentId;
  readonly app: AppName;
  readonly release: ReleaseId;
  readonly selector: string;
  readonly late_joiners: Strategy["lateJoiners"];
  readonly lanes: string;
  /** Null: the machine is no target of it; removed: one of its name was. */
  readonly state: TargetState | null;
  /** What the target was told is not what the machine was told last, though it is of the same deployment: it was drained. */
  readonly was_renewed: number;
  readonly last_good: ReleaseId | null;
  /** What the machine is to run. */
  readonly assigned: ReleaseId | null;
  /** A deployment that began later has told the machine something. */
  readonly is_overtaken: number;
}

export class Facts {
  readonly #sql: ReturnType<typeof prepare>;

  constructor(db: Database) {
    this.#sql = prepare(db);
  }

  machines(): readonly { readonly id: MachineId; readonly silent_since: Instant | null }[] {
    return this.#sql.machines.all() as { id: MachineId; silent_since: Instant | null }[];
  }

  hasMachine(machine: MachineId): boolean {
    return this.#sql.hasMachine.get(machine) !== undefined;
  }

  machine(machine: MachineId): MachineJoined | undefined {
    const row = this.#sql.machine.get(machine) as MachineRow | undefined;
    if (row === undefined) return undefined;
    const { instance, hostname, os, arch } = row;
    const labels = JSON.parse(row.labels) as Record<string, string>;
    return { kind: "machine_joined", machine, instance, labels, agentVersion: row.agent_version, hostname, os, arch };
  }

  release(id: ReleaseId): Release | undefined {
    const stored = this.#sql.release.get(id) as string | undefined;
    return stored === undefined ? undefined : (JSON.parse(stored) as Release);
  }

  /** Versions of the secrets that a release was made with, by name; undefined: there is no such release. */
  secretsOf(id: ReleaseId): Readonly<Record<string, number>> | undefined {
    const stored = this.#sql.secrets.get(id) as string | undefined;
    return stored === undefined ? undefined : (JSON.parse(stored) as Record<string, number>);
  }

  hasArtifact(digest: string): boolean {
    return this.#sql.artifact.get(digest) !== undefined;
  }

  nextDeploymentId(): DeploymentId {
    return `d-${(this.#sql.newest.get() as number) + 1}` as DeploymentId;
  }

  /** A deployment that began after this one, told some of its machines something else, and was not taken back. */
  laterDeployment(id: DeploymentId): DeploymentId | undefined {
    return this.#sql.later.get(id) as DeploymentId | undefined;
  }

  openTarget({ machine, app, generation }: ReportAccepted): OpenTarget | undefined {
    return this.#sql.open.get(machine, app, generation) as OpenTarget | undefined;
  }

  /** Newest first of those of `app` to just these targets, and of just this release when there is one; `besides` itself is none of them. */
  forerunner(app: AppName, targets: string, release: ReleaseId | null, besides: DeploymentId): Forerunner | undefined {
    return this.#sql.forerunner.get({ app, targets, release, besides }) as Forerunner | undefined;
  }

  /** All of them, by app, the newest first. */
  standingFor(machine: MachineId): readonly StandingTarget[] {
    return this.#sql.standing.all({ machine }) as StandingTarget[];
  }

  /** Whether it is the newest to its selector that has succeeded. */
  isStanding(id: DeploymentId): boolean {
    return this.#sql.isStanding.get(id) !== undefined;
  }

  /** Machines that may still have to take up one of the app's standing deployments: passed over by it, or unknown to it. */
  outstandingFor(app: AppName): readonly { readonly machine: MachineId; readonly labels: Labels }[] {
    return withLabels(this.#sql.outstanding.all({ app }));
  }

  /** Succeeded deployments in which somebody was on the way, or had the turn, when the last controller ended. */
  interruptedTails(): readonly DeploymentId[] {
    return this.#sql.tails.all() as DeploymentId[];
  }

  labels(): readonly { readonly machine: MachineId; readonly labels: Labels }[] {
    return withLabels(this.#sql.labels.all());
  }

  cordons(): readonly { readonly machine: MachineId; readonly drained: boolean }[] {
    const rows = this.#sql.cordons.all() as { machine: MachineId; drained: number }[];
    return rows.map(({ machine, drained }) => ({ machine, drained: drained === 1 }));
  }

  /** The same phases as `isSick` of wellness.ts. */
  sickApps(): readonly { readonly machine: MachineId; readonly app: AppName }[] {
    return this.#sql.sick.all() as { machine: MachineId; app: AppName }[];
  }

  /** Apps that are assigned to a machine, and not for removal. */
  assignedApps(machine: MachineId): readonly AppName[] {
    return this.#sql.assigned.all(machine) as AppName[];
  }

  budgets(): readonly { readonly selector: string; readonly max_unavailable: number }[] {
    return this.#sql.budgets.all() as { selector: string; max_unavailable: number }[];
  }

  freezes(): readonly Freeze[] {
    return this.#sql.freezes.all() as Freeze[];
  }

  nextFreezeId(): string {
    return `f-${(this.#sql.newestFreeze.get() as number) + 1}`;
  }
}

function withLabels(rows: readonly unknown[]): readonly { readonly machine: MachineId; readonly labels: Labels }[] {
  return (rows as readonly { machine: MachineId; labels: string }[]).map(({ machine, labels }) => ({ machine, labels: JSON.parse(labels) as Labels }));
}

function prepare(db: Database) {
  const statement = (sql: string): Statement => statementOf(db, sql);
  return {
    machine: statement("SELECT * FROM machines WHERE id = ?"),
    hasMachine: statement("SELECT 1 FROM machines WHERE id = ?"),
    machines: statement("SELECT id, silent_since FROM machines"),
    labels: statement("SELECT id AS machine, labels FROM machines"),
    cordons: statement("SELECT id AS machine, drained FROM machines WHERE cordoned_at IS NOT NULL"),
    sick: statement("SELECT machine, app FROM machine_apps WHERE phase IN ('unhealthy', 'failed')"),
    assigned: statement("SELECT app FROM assignments WHERE machine = ? AND release IS NOT NULL ORDER BY app").pluck(),
    budgets: statement("SELECT selector, max_unavailable FROM budgets ORDER BY selector"),
    freezes: statement(`SELECT 'f-' || number AS id, from_at AS "from", until_at AS until, reason, set_by AS "by" FROM freezes ORDER BY from_at, number`),
    newestFreeze: statement("SELECT coalesce(max(number), 0) FROM freezes").pluck(),
    release: statement("SELECT release FROM releases WHERE id = ?").pluck(),
    secrets: statement("SELECT secrets FROM releases WHERE id = ?").pluck(),
    artifact: statement("SELECT 1 FROM artifacts WHERE digest = ?").pluck(),
    newest: statement("SELECT coalesce(max(number), 0) FROM deployments").pluck(),
    later: statement(
      `SELECT later.id FROM deployments this JOIN targets t ON t.deployment = this.id AND t.attempts > 0 AND t.state <> 'removed'
       JOIN assignments a ON a.machine = t.machine AND a.app = this.app JOIN deployments later ON later.id = a.deployment
       WHERE this.id = ? AND later.start_seq > this.start_seq AND later.phase <> 'rolled_back' ORDER BY later.start_seq DESC LIMIT 1`,
    ).pluck(),
    // CROSS JOIN keeps SQLite from beginning with the targets.
    open: statement(
      `SELECT t.deployment, t.state, t.purpose FROM assignments a CROSS JOIN targets t ON t.deployment = a.deployment AND t.machine = a.machine
       WHERE a.machine = ? AND a.app = ? AND a.generation = ? AND t.generation = a.generation AND t.purpose IS NOT NULL AND t.state IN ('updating', 'unreachable', 'reverting')`,
    ),
    forerunner: statement(
      `SELECT id, release, phase, ended_at FROM deployments
       WHERE app = @app AND id <> @besides AND selector = @targets AND (@release IS NULL OR release = @release) ORDER BY number DESC LIMIT 1`,
    ),
    standing: statement(
      `WITH ${STANDING}
       SELECT d.id AS deployment, d.app, d.release, d.selector, d.strategy ->> 'lateJoiners' AS late_joiners, d.lanes, t.state, t.generation IS NOT a.generation AS was_renewed, ma.last_good,
              a.release AS assigned, coalesce(o.start_seq, 0) > d.start_seq AS is_overtaken
       FROM standing s JOIN deployments d ON d.app = s.app AND d.start_seq = s.start_seq
       LEFT JOIN targets t ON t.deployment = d.id AND t.machine = @machine
       LEFT JOIN assignments a ON a.machine = @machine AND a.app = d.app
       LEFT JOIN deployments o ON o.id = a.deployment
       LEFT JOIN machine_apps ma ON ma.machine = @machine AND ma.app = d.app
       ORDER BY d.app, d.start_seq DESC`,
    ),
    isStanding: statement(
      `SELECT 1 FROM deployments this WHERE this.id = ? AND this.phase = 'succeeded' AND NOT EXISTS (
         SELECT 1 FROM deployments d WHERE d.app = this.app AND d.selector = this.selector AND d.phase = 'succeeded' AND d.start_seq > this.start_seq)`,
    ),
    outstanding: statement(
      `WITH ${STANDING}
       SELECT DISTINCT m.id AS machine, m.labels FROM standing s JOIN deployments d ON d.app = s.app AND d.start_seq = s.start_seq JOIN machines m
       LEFT JOIN targets t ON t.deployment = d.id AND t.machine = m.id
       LEFT JOIN assignments a ON a.machine = m.id AND a.app = d.app
       WHERE s.app = @app AND (t.state IN ('unreachable', 'skipped') OR coalesce(t.state, 'removed') = 'removed' AND a.release IS NOT d.release) ORDER BY m.id`,
    ),
    tails: statement(
      `SELECT d.id FROM deployments d
       WHERE d.phase = 'succeeded' AND EXISTS (SELECT 1 FROM waves w JOIN targets t ON t.deployment = w.deployment AND t.wave = w.wave
         WHERE w.deployment = d.id AND t.state IN ('pending', 'updating')) ORDER BY d.number`,
    ).pluck(),
  };
}

/** Of each app the newest deployment to each selector that has succeeded. */
const STANDING = "standing AS (SELECT app, selector, max(start_seq) AS start_seq FROM deployments WHERE phase = 'succeeded' GROUP BY app, selector)";
