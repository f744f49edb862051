/**
 * The single questions that the engine asks the tables, prepared once.
 */
import type { Database, Statement } from "better-sqlite3";
import type { AppName, DeploymentId, Generation, Instant, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { MachineJoined, ReportAccepted } from "../journal/entry.ts";
import type { Labels } from "@muster/proto/selector.ts";
import type { Strategy } from "../plan/strategy.ts";
import type { Attended } from "../rollout/moment.ts";
import { statement as statementOf } from "../journal/statement.ts";
import { Decisions } from "./decisions.ts";
import type { Deadlines } from "./overdue.ts";
import { type Giver, wayBack, type WayBackTo } from "../journal/last-good.ts";
import { newestStanding, stands, startsAgain, wentBack } from "../journal/standing.ts";
import { StandingMemory } from "../journal/standing-memory.ts";
import { takenBackAfter, type TakenBackRow } from "../journal/taken-back.ts";
import type { AgentPhase, Purpose, RolloutPhase, RolloutReason, TargetState } from "../rollout/state.ts";

interface MachineRow {
  readonly instance: string;
  readonly labels: string;
  readonly agent_version: string;
  readonly hostname: string;
  readonly os: string;
  readonly arch: string;
}

/** A target whose rollout has ended without its answer, or before it got over its failure. */
export interface OpenTarget {
  readonly deployment: DeploymentId;
  readonly state: TargetState;
  readonly purpose: Purpose;
  readonly previous: ReleaseId | null;
  /** Its rollout has gone back, and takes it back, too. */
  readonly goesBack: 0 | 1;
  /** Which it was told there; a drain has renewed it since, where it goes back. */
  readonly generation: Generation;
  readonly reason: string | null;
  readonly message: string | null;
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
  readonly ended_attended: Attended | null;
}

/** What a deployment is for, and for whom. */
export interface Given {
  readonly selector: string;
  readonly release: ReleaseId;
}

/** A deployment that has succeeded, and changed somebody. */
export interface StandingRow {
  readonly id: DeploymentId;
  readonly app: AppName;
  readonly release: ReleaseId;
  readonly selector: string;
  readonly strategy: string;
  readonly lanes: string;
  readonly startSeq: number;
}

/** What is assigned to a machine, and what it answered to that. */
export interface AssignmentRow extends Deadlines {
  readonly machine: MachineId;
  readonly app: AppName;
  readonly generation: Generation;
  readonly deployment: DeploymentId;
  readonly release: ReleaseId | null;
  readonly phase: AgentPhase | null;
  /** The deployment that had given it the release; null: its own. */
  readonly broughtBy: DeploymentId | null;
  /** Since when its final answer is awaited; null: it was given. */
  readonly awaitedSince: Attended | null;
}

export class Facts {
  readonly decisions: Decisions;
  readonly #db: Database;
  readonly #standingMemory: StandingMemory;
  readonly #sql: ReturnType<typeof prepare>;

  constructor(db: Database) {
    this.#db = db;
    this.#standingMemory = new StandingMemory(db);
    this.decisions = new Decisions(db);
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

  /** On some machine, at some time. */
  wasHealthy(id: ReleaseId): boolean {
    return this.#sql.wasHealthy.get(id) !== undefined;
  }

  hasArtifact(digest: string): boolean {
    return this.#sql.artifact.get(digest) !== undefined;
  }

  nextDeploymentId(): DeploymentId {
    return `d-${(this.#sql.newest.get() as number) + 1}` as DeploymentId;
  }

  openTarget({ machine, app, generation }: ReportAccepted): OpenTarget | undefined {
    return this.#sql.open.get(machine, app, generation) as OpenTarget | undefined;
  }

  /** Newest first of those of `app` to just these targets, and of just this release when there is one; `besides` itself is none of them. */
  forerunner(app: AppName, targets: string, release: ReleaseId | null, besides: DeploymentId): Forerunner | undefined {
    return this.#sql.forerunner.get({ app, targets, release, besides }) as Forerunner | undefined;
  }

  /** Of an app: of each selector the newest, the newest of all first. */
  standing(app: AppName): readonly StandingRow[] {
    return this.#sql.standing.all({ app }) as StandingRow[];
  }

  /** After this row of the journal. */
  takenBack(app: AppName, release: ReleaseId, after: number): readonly TakenBackRow[] {
    return takenBackAfter(this.#db, app, release, after);
  }

  appsDeployed(): readonly AppName[] {
    return this.#sql.appsDeployed.all() as AppName[];
  }

  deployment(id: DeploymentId): { readonly id: DeploymentId; readonly app: AppName; readonly release: ReleaseId; readonly strategy: Strategy } | undefined {
    const row = this.#sql.deployment.get(id) as { app: AppName; release: ReleaseId; strategy: string } | undefined;
    return row === undefined ? undefined : { id, app: row.app, release: row.release, strategy: JSON.parse(row.strategy) as Strategy };
  }

  /** By selector: how many machines failed or were lost with the release, have left the fleet since, and were not excused: by a person, or by a newer deployment of it to the same selector that had somebody to change. */
  leftWith(app: AppName, release: ReleaseId): ReadonlyMap<string, number> {
    return new Map(this.#sql.leftWith.all({ app, release }) as [string, number][]);
  }

  /** A target of a deployment that has ended: drained with the release, or on its way back, and nothing has come of it since. Undefined: it is none, or that is known. */
  drainedTarget(id: DeploymentId, machine: MachineId): { readonly state: "skipped" | "reverted"; readonly reason: RolloutReason } | undefined {
    const row = this.#sql.drainedTarget.get(id, machine) as { readonly state: "skipped" | "reverted"; readonly message: string } | undefined;
    return row === undefined ? undefined : { state: row.state, reason: { code: "cordoned", message: row.message } };
  }

  /** When the machine came to where it stands with the release of a deployment that it took; undefined: it has not, it failed, or `assigned` is another one, which something else than a drain has given it. */
  takenAt(id: DeploymentId, machine: MachineId, assigned: ReleaseId | null): { readonly attended: Attended; readonly generation: Generation; /** A drain has given it something else since. */ readonly isGivenBack: boolean } | undefined {
    const row = this.#sql.takenAt.get(id, machine, assigned) as { attended: Attended; generation: Generation; isGivenBack: 0 | 1 } | undefined;
    return row === undefined ? undefined : { ...row, isGivenBack: row.isGivenBack === 1 };
  }

  /** Machines that said something new of the app after a moment, or were heard again after a silence, with when they did so last. */
  changedAfter(app: AppName, after: Attended): ReadonlyMap<MachineId, Attended> {
    return new Map(this.#sql.changedAfter.all({ app, after }) as [MachineId, Attended][]);
  }

  /** When the machine fell silent last; undefined: it never did. */
  silentAt(machine: MachineId): Attended | undefined {
    return (this.#sql.silentAt.get(machine) ?? undefined) as Attended | undefined;
  }

  /** Since when the machine says that the app is not healthy; undefined: it says that it is, or nothing. */
  unwellAt(machine: MachineId, app: AppName): Attended | undefined {
    return (this.#sql.unwellAt.get(machine, app) ?? undefined) as Attended | undefined;
  }

  givenBy(id: DeploymentId): Given | undefined {
    return this.#sql.givenBy.get(id) as Given | undefined;
  }

  /** A rollback gave the machine what it runs, which stood for machines like it, or a drain left it nothing, since nothing was good there. */
  isAsLate(machine: MachineId, app: AppName): boolean {
    return this.#sql.asLate.get(machine, app) !== undefined;
  }

  /** The deployment that had given the machine what it went back to, or was given back; null: its own, or nobody knows. */
  broughtBy(machine: MachineId, app: AppName): DeploymentId | null {
    return (this.#sql.broughtBy.get(machine, app) ?? null) as DeploymentId | null;
  }

  /** Or has begun to. */
  hasGoneBack(id: DeploymentId): boolean {
    return this.#sql.goneBack.get(id) !== undefined;
  }

  /** Machines that are to run something of an app. */
  machinesOf(app: AppName): readonly { readonly machine: MachineId; readonly labels: Labels }[] {
    return withLabels(this.#sql.machinesOf.all(app));
  }

  /** Whether it is the newest to its selector that has succeeded and changed somebody. */
  isStanding(id: DeploymentId): boolean {
    return this.#sql.isStanding.get(id) !== undefined;
  }

  /** From what the deployment is to give it now. */
  wayBack(machine: MachineId, app: AppName, by: Giver, asLate: boolean): WayBackTo {
    return wayBack(this.#db, this.#standingMemory, machine, app, by, asLate);
  }

  /** Another deployment of the app may stand by now. */
  forgetStanding(app: AppName): void {
    this.#standingMemory.forget(app);
  }

  /** What the machine said last that is wrong with the app as it is assigned now. */
  reason(machine: MachineId, app: AppName): RolloutReason | null {
    return (this.#sql.reason.get(machine, app) ?? null) as RolloutReason | null;
  }

  /** Those that were told, and have their turn again. */
  startingAgain(): readonly { readonly machine: MachineId; readonly deployment: DeploymentId }[] {
    return this.#sql.startingAgain.all() as { machine: MachineId; deployment: DeploymentId }[];
  }

  /** Of every app on every machine. */
  *assignments(): Generator<AssignmentRow> {
    // Both in the order in which they lie, side by side: a join would look each answer up.
    const answers = this.#sql.answers.iterate() as IterableIterator<readonly [machine: MachineId, app: AppName, generation: Generation, phase: AgentPhase]>;
    try {
      let answer = answers.next().value;
      for (const row of this.#sql.assignments.iterate() as IterableIterator<Omit<AssignmentRow, "phase">>) {
        const { machine, app, generation } = row;
        while (answer !== undefined && (answer[0] < machine || (answer[0] === machine && answer[1] < app))) answer = answers.next().value;
        const isOfIt = answer !== undefined && answer[0] === machine && answer[1] === app && answer[2] === generation;
        yield { ...row, phase: isOfIt ? answer![3] : null };
      }
    } finally {
      answers.return?.();
    }
  }

  /** Ended deployments in which somebody was on the way, or was to start, when the last controller ended. */
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

  /** Apps that are assigned to a machine, and not for removal. */
  assignedApps(machine: MachineId): readonly AppName[] {
    return this.#sql.assigned.all(machine) as AppName[];
  }

  /** By app, the version that runs there as the machine has said in answer to what it was assigned last; empty: nothing. */
  answeredRunning(machine: MachineId): Readonly<Record<AppName, string>> {
    return Object.fromEntries(this.#sql.answeredRunning.raw().all(machine) as [AppName, string][]);
  }

  deadlines(machine: MachineId, app: AppName): Deadlines {
    return this.#sql.deadlines.get(machine, app) as Deadlines;
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
  // Machines of a fleet share few sets of labels.
  const known = new Map<string, Labels>();
  return (rows as readonly { machine: MachineId; labels: string }[]).map(({ machine, labels: text }) => {
    const labels = known.get(text) ?? (JSON.parse(text) as Labels);
    known.set(text, labels);
    return { machine, labels };
  });
}

function prepare(db: Database) {
  const statement = (sql: string): Statement => statementOf(db, sql);
  return {
    machine: statement("SELECT * FROM machines WHERE id = ?"),
    hasMachine: statement("SELECT 1 FROM machines WHERE id = ?"),
    machines: statement("SELECT id, silent_since FROM machines"),
    labels: statement("SELECT id AS machine, labels FROM machines"),
    cordons: statement("SELECT id AS machine, drained FROM machines WHERE cordoned_at IS NOT NULL"),
    assigned: statement("SELECT app FROM assignments WHERE machine = ? AND release IS NOT NULL ORDER BY app").pluck(),
    answeredRunning: statement(`SELECT a.app, CASE s.phase WHEN 'removed' THEN '' ELSE s.running_version END FROM assignments a JOIN machine_apps s ON s.machine = a.machine AND s.app = a.app AND s.generation = a.generation
      WHERE a.machine = ? AND s.phase IN ('healthy', 'unhealthy', 'reverted', 'removed')`),
    deadlines: statement("SELECT healthy_deadline_ms AS healthyDeadlineMs, progress_deadline_ms AS progressDeadlineMs, stop_timeout_ms AS stopTimeoutMs FROM assignments WHERE machine = ? AND app = ?"),
    budgets: statement("SELECT selector, max_unavailable FROM budgets ORDER BY selector"),
    freezes: statement(`SELECT 'f-' || number AS id, from_at AS "from", until_at AS until, reason, set_by AS "by" FROM freezes ORDER BY from_at, number`),
    newestFreeze: statement("SELECT coalesce(max(number), 0) FROM freezes").pluck(),
    release: statement("SELECT release FROM releases WHERE id = ?").pluck(),
    secrets: statement("SELECT secrets FROM releases WHERE id = ?").pluck(),
    wasHealthy: statement("SELECT 1 FROM releases WHERE id = ? AND healthy_at IS NOT NULL"),
    artifact: statement("SELECT 1 FROM artifacts WHERE digest = ?").pluck(),
    newest: statement("SELECT coalesce(max(number), 0) FROM deployments").pluck(),
    // CROSS JOIN keeps SQLite from beginning with the targets.
    open: statement(
      `SELECT t.deployment, t.state, t.purpose, t.previous, t.generation, t.reason_code AS reason, t.reason_message AS message, ${wentBack("d")} AS goesBack
       FROM assignments a CROSS JOIN targets t ON t.deployment = a.deployment AND t.machine = a.machine CROSS JOIN deployments d ON d.id = t.deployment
       WHERE a.machine = ? AND a.app = ? AND a.generation = ? AND t.purpose IS NOT NULL
         AND (t.state IN ('updating', 'unreachable', 'reverting', 'failed') OR (t.state = 'reverted' AND t.previous IS NOT NULL AND (t.reason_code = 'cordoned' OR t.runs = ''))) AND a.release IS CASE t.purpose WHEN 'update' THEN d.release ELSE t.previous END`,
    ),
    forerunner: statement(
      `SELECT id, release, phase, ended_at, ended_attended FROM deployments
       WHERE app = @app AND id <> @besides AND selector = @targets AND (@release IS NULL OR release = @release) ORDER BY number DESC LIMIT 1`,
    ),
    standing: statement(newestStanding("d.id, d.app, d.release, d.selector, d.strategy, d.lanes, d.start_seq AS startSeq")),
    deployment: statement("SELECT app, release, strategy FROM deployments WHERE id = ?"),
    // Without the names of the indexes SQLite takes primary keys, and looks at all targets.
    leftWith: statement(
      `WITH given AS (SELECT id, selector, changed_attended FROM deployments INDEXED BY deployments_given WHERE app = @app AND release = @release AND changed_attended IS NOT NULL),
       newest AS MATERIALIZED (SELECT selector, max(changed_attended) AS attended FROM given GROUP BY selector),
       gone AS (
         SELECT n.selector, w.gone_failed - w.gone_known + w.gone_lost AS count FROM newest n CROSS JOIN given g ON g.selector = n.selector AND g.changed_attended = n.attended JOIN waves w ON w.deployment = g.id
         UNION ALL SELECT g.selector, 1 FROM newest n CROSS JOIN given g ON g.selector = n.selector CROSS JOIN targets t INDEXED BY targets_left ON t.deployment = g.id
           WHERE t.left_as IS NOT NULL AND (t.left_as = 'lost' OR (t.left_as = 'failed' AND NOT t.is_known)) AND t.since_attended >= n.attended)
       SELECT selector, sum(count) AS gone FROM gone GROUP BY selector HAVING gone > 0`,
    ).raw(),
    changedAfter: statement(
      `SELECT machine, max(attended) FROM (
         SELECT machine, said_attended AS attended FROM machine_apps WHERE app = @app AND said_attended > @after
         UNION ALL SELECT id, heard_attended FROM machines WHERE heard_attended > @after) GROUP BY machine`,
    ).raw(),
    silentAt: statement("SELECT silent_attended FROM machines WHERE id = ?").pluck(),
    unwellAt: statement("SELECT unwell_attended FROM machine_apps WHERE machine = ? AND app = ?").pluck(),
    takenAt: statement(
      `SELECT since_attended AS attended, CASE state WHEN 'skipped' THEN first_told ELSE generation END AS generation, state = 'skipped' AS isGivenBack FROM targets WHERE deployment = ? AND machine = ?
         AND ((purpose = 'update' AND state IN ('updating', 'healthy') AND (SELECT release FROM deployments WHERE id = deployment) = ?) OR (state = 'skipped' AND reason_code = 'cordoned' AND first_told > 0))`,
    ),
    drainedTarget: statement(
      `SELECT t.state, coalesce(t.reason_message, '') AS message FROM targets t JOIN deployments d ON d.id = t.deployment
       WHERE t.deployment = ? AND t.machine = ? AND d.ended_at IS NOT NULL AND t.reason_code = 'cordoned' AND t.left_as IS NULL AND t.attempts > 0
         AND ((t.state = 'skipped' AND t.first_told > 0 AND d.back_seq IS NULL) OR (t.state = 'reverted' AND d.back_seq IS NOT NULL))`,
    ),
    givenBy: statement("SELECT selector, release FROM deployments WHERE id = ?"),
    asLate: statement("SELECT 1 FROM assignments WHERE machine = ? AND app = ? AND as_late = 1"),
    broughtBy: statement("SELECT brought_by FROM assignments WHERE machine = ? AND app = ?").pluck(),
    goneBack: statement("SELECT 1 FROM deployments WHERE id = ? AND back_seq IS NOT NULL"),
    machinesOf: statement("SELECT a.machine, m.labels FROM assignments a JOIN machines m ON m.id = a.machine WHERE a.app = ? AND a.release IS NOT NULL"),
    isStanding: statement(
      `SELECT 1 FROM deployments this WHERE this.id = ? AND ${stands("this")} AND NOT EXISTS (
         SELECT 1 FROM deployments d WHERE d.app = this.app AND d.selector = this.selector AND d.start_seq > this.start_seq AND ${stands("d")})`,
    ),
    appsDeployed: statement("SELECT DISTINCT app FROM deployments").pluck(),
    reason: statement(
      `SELECT s.reason_code AS code, s.reason_message AS message FROM assignments a JOIN machine_apps s ON s.machine = a.machine AND s.app = a.app AND s.generation = a.generation
       WHERE a.machine = ? AND a.app = ? AND s.reason_code IS NOT NULL`,
    ),
    assignments: statement(
      `SELECT machine, app, generation, deployment, release, brought_by AS broughtBy, healthy_deadline_ms AS healthyDeadlineMs, progress_deadline_ms AS progressDeadlineMs, stop_timeout_ms AS stopTimeoutMs, awaited_attended AS awaitedSince FROM assignments ORDER BY machine, app`,
    ),
    startingAgain: statement(
      `SELECT t.machine, t.deployment FROM deployments d CROSS JOIN waves w ON w.deployment = d.id
       CROSS JOIN targets t ON t.deployment = w.deployment AND t.wave = w.wave AND ${startsAgain("t", "d")}`,
    ),
    answers: statement("SELECT machine, app, generation, phase FROM machine_apps ORDER BY machine, app").raw(),
    tails: statement(
      `SELECT d.id FROM deployments d
       WHERE (d.phase = 'succeeded' AND EXISTS (SELECT 1 FROM waves w JOIN targets t ON t.deployment = w.deployment AND t.wave = w.wave
           WHERE w.deployment = d.id AND t.state IN ('pending', 'updating')))
         OR (${wentBack("d")} AND EXISTS (SELECT 1 FROM waves w JOIN targets t ON t.deployment = w.deployment AND t.wave = w.wave
           WHERE w.deployment = d.id AND (t.state IN ('reverting', 'healthy', 'updating') OR (t.state = 'failed' AND d.phase <> 'failed')))) ORDER BY d.number`,
    ).pluck(),
  };
}
