/**
 * What was decided about an app on a machine, and what is still to come of it: told by now, to be told, to be taken back. The questions behind ADR 25, asked of the tables.
 */
import type { Database, Statement } from "better-sqlite3";
import type { AppName, DeploymentId, Generation, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import { isToCome, leavesOut, stands, wentBack } from "../journal/standing.ts";
import { statement as statementOf } from "../journal/statement.ts";
import type { LeftAs, Purpose, RolloutPhase, TargetState } from "../rollout/state.ts";

/** A target of a deployment that has ended, for which something is still to come. */
export interface OutstandingTarget {
  readonly deployment: DeploymentId;
  readonly app: AppName;
  readonly phase: RolloutPhase;
  readonly state: TargetState;
  readonly purpose: Purpose | null;
  readonly generation: Generation;
  readonly reason: string | null;
  /** Its rollout has gone back, or begun to. */
  readonly goesBack: 0 | 1;
  readonly leftAs: LeftAs | null;
  readonly attempts: number;
}

/** A decision about an app on a machine. */
export interface Decision {
  readonly deployment: DeploymentId;
  /** When it was made: an update when its deployment began, going back when its rollback began, whenever the machine is told. */
  readonly seq: number;
}

/** The newest that a machine was told. */
export interface Told extends Decision {
  /** Of the decision that gave it its last good release; null: none did. */
  readonly goodSeq: number | null;
}

/** A decision that the machine is still to be told. */
export interface Intention extends Decision {
  readonly phase: RolloutPhase;
  /** It is to be taken back. */
  readonly isBack: 0 | 1;
}

/** What a newer deployment has decided about a machine. */
export interface LaterTarget {
  readonly machine: MachineId;
  readonly deployment: DeploymentId;
  readonly release: ReleaseId;
}

/** Older releases that are tried: the files of some may be gone. */
const BEFORE_MAX = 5;
/** Of a deployment `d`: it gives its release to machines, or still may. */
const GIVES = "d.phase IN ('rolling', 'paused', 'succeeded')";

export class Decisions {
  readonly #db: Database;
  readonly #sql: ReturnType<typeof prepare>;

  constructor(db: Database) {
    this.#db = db;
    this.#sql = prepare(db);
  }

  /** A deployment that began after this one, told some of its machines something else, and was not taken back to what this one left there. */
  laterDeployment(id: DeploymentId): DeploymentId | undefined {
    return this.#sql.later.get(id) as DeploymentId | undefined;
  }

  /** What machines that are assigned this deployment's release ran before it, what most of them ran first; where nothing is kept of that, what went to the same selector before. */
  releasesBefore(id: DeploymentId): readonly ReleaseId[] {
    const own = this.#sql.before.all(id) as ReleaseId[];
    return own.length > 0 ? own : (this.#sql.deployedBefore.all(id) as ReleaseId[]);
  }

  /** Which row of the journal asked for a deployment that has not begun: its submission, or that somebody let it begin. */
  askedForAt(id: DeploymentId): number {
    return statementOf(this.#db, "SELECT max(seq) FROM journal WHERE deployment = ? AND kind IN ('deployment_submitted', 'start_approved')").pluck().get(id) as number;
  }

  told(machine: MachineId, app: AppName): Told | undefined {
    return this.#sql.decision.get(machine, app) as Told | undefined;
  }

  /** The release that a deployment takes back, or took, unless a person ended that: then every machine stays as it is. */
  takenBackBy(id: DeploymentId): ReleaseId | undefined {
    return this.#sql.takenBackBy.get(id) as ReleaseId | undefined;
  }

  /** What it is still to be told, being away or cordoned: by deployments that have it as a target, or that take it back. */
  intentions(machine: MachineId, app: AppName): readonly Intention[] {
    return this.#sql.intentions.all({ machine, app }) as Intention[];
  }

  /** Something is still to come for the machine in another deployment that has ended. */
  isOutstandingBeside(id: DeploymentId, machine: MachineId): boolean {
    return this.#sql.outstandingBeside.get(machine, id) !== undefined;
  }

  /** A deployment that began after this one, and has still to tell machines on which this one failed. */
  laterToTell(id: DeploymentId): DeploymentId | undefined {
    return this.#sql.laterToTell.get(id) as DeploymentId | undefined;
  }

  /** Targets of deployments that began after this one: those that were told something which stands, and those that are still to be. Of one machine the newest comes last. */
  laterTargets(id: DeploymentId): readonly LaterTarget[] {
    return this.#sql.laterTargets.all(id) as LaterTarget[];
  }

  /** Machines that deployments which began after this one, and stand, left out, since they ran their release already. */
  leftOutSince(id: DeploymentId): readonly LaterTarget[] {
    return this.#sql.leftOutSince.all(id) as LaterTarget[];
  }

  /** A deployment that stands, began after this row of the journal, and left the machine out, since it ran this release of it already; the newest. Not one of its name that was removed. Undefined: there is none. */
  leftOutAfter(seq: number, machine: MachineId, app: AppName, release: ReleaseId): DeploymentId | undefined {
    return this.#sql.leftOutAfter.get({ seq, machine, app, release }) as DeploymentId | undefined;
  }

  /** Machines that the deployment has told anything. */
  toldIn(id: DeploymentId): readonly MachineId[] {
    return this.#sql.toldIn.all(id) as MachineId[];
  }

  startSeq(id: DeploymentId): number {
    return this.#sql.startSeq.get(id) as number;
  }

  /** The deployment that has decided about the machine since this one began to go back; undefined: none has. */
  decidedAfterRollback(id: DeploymentId, machine: MachineId, app: AppName): DeploymentId | undefined {
    return this.#sql.decidedAfter.get({ id, machine, app }) as DeploymentId | undefined;
  }

  /** Of ended deployments in which something is still to come for the machine, the newest first. */
  outstandingIn(machine: MachineId): readonly OutstandingTarget[] {
    return this.#sql.outstandingIn.all(machine) as OutstandingTarget[];
  }

  outstandingTarget(id: DeploymentId, machine: MachineId): OutstandingTarget | undefined {
    return this.#sql.outstandingTarget.get(id, machine) as OutstandingTarget | undefined;
  }

  /** A machine of its name may have been one, and was removed. */
  isTarget(id: DeploymentId, machine: MachineId): boolean {
    return this.#sql.isTarget.get(id, machine) !== undefined;
  }
}

const OUTSTANDING = `SELECT d.id AS deployment, d.app, d.phase, t.state, t.purpose, t.generation, t.reason_code AS reason, t.left_as AS leftAs, t.attempts, ${wentBack("d")} AS goesBack
  FROM targets t JOIN deployments d ON d.id = t.deployment`;

function prepare(db: Database) {
  const statement = (sql: string): Statement => statementOf(db, sql);
  return {
    later: statement(
      // Those that are back by a rollback that was ended, and those that it has left to a newer deployment, stay as they are when it is asked for again.
      `SELECT later.id FROM deployments this JOIN targets t ON t.deployment = this.id AND t.attempts > 0 AND t.state <> 'removed' AND NOT (this.phase = 'aborted' AND this.back_seq IS NOT NULL AND (t.state = 'reverted' OR (t.state = 'skipped' AND t.reason_code IS 'superseded')))
       JOIN assignments a ON a.machine = t.machine AND a.app = this.app JOIN deployments later ON later.id = a.deployment
       WHERE this.id = ? AND later.start_seq > this.start_seq
         AND (later.phase <> 'rolled_back' OR (a.release IS NOT this.release AND a.release IS NOT t.previous
           AND NOT EXISTS (SELECT 1 FROM targets l WHERE l.deployment = later.id AND l.machine = t.machine AND l.state = 'unreachable' AND l.previous IS this.release))) ORDER BY later.start_seq DESC LIMIT 1`,
    ).pluck(),
    before: statement(
      `SELECT t.previous FROM deployments this CROSS JOIN targets mine ON mine.deployment = this.id AND mine.attempts > 0 AND mine.state <> 'removed'
       JOIN assignments a ON a.machine = mine.machine AND a.app = this.app AND a.release = this.release
       JOIN deployments d ON d.app = this.app AND d.release = this.release AND d.number <= this.number
       JOIN targets t ON t.deployment = d.id AND t.machine = mine.machine
       WHERE this.id = ? AND t.previous <> this.release GROUP BY d.number, t.previous ORDER BY d.number DESC, count(*) DESC LIMIT ${BEFORE_MAX}`,
    ).pluck(),
    deployedBefore: statement(
      `SELECT d.release FROM deployments this JOIN deployments d ON d.app = this.app AND d.selector = this.selector AND d.number < this.number AND d.release <> this.release AND d.phase = 'succeeded'
       WHERE this.id = ? AND EXISTS (SELECT 1 FROM assignments a WHERE a.app = this.app AND a.release = this.release) ORDER BY d.number DESC LIMIT ${BEFORE_MAX}`,
    ).pluck(),
    decision: statement("SELECT deployment, decided_seq AS seq, good_seq AS goodSeq FROM assignments WHERE machine = ? AND app = ?"),
    takenBackBy: statement("SELECT release FROM deployments WHERE id = ? AND back_seq IS NOT NULL AND phase <> 'aborted'").pluck(),
    intentions: statement(
      `SELECT d.id AS deployment, d.phase, NOT ${GIVES} AS isBack, CASE WHEN ${GIVES} THEN d.start_seq ELSE d.back_seq END AS seq FROM targets t JOIN deployments d ON d.id = t.deployment
       WHERE t.machine = @machine AND t.state IN ('unreachable', 'skipped') AND d.app = @app AND (
         (${isToCome("t")} AND ${GIVES})
         OR (t.attempts > 0 AND t.state = 'unreachable' AND (d.phase = 'rolling_back' OR ${wentBack("d")})))
       ORDER BY seq DESC`,
    ),
    outstandingBeside: statement("SELECT 1 FROM targets t WHERE t.machine = ? AND t.state IN ('unreachable', 'skipped') AND t.deployment <> ? AND t.purpose IS NOT NULL"),
    laterToTell: statement(
      `SELECT d.id FROM deployments this CROSS JOIN targets mine ON mine.deployment = this.id AND mine.state = 'failed' CROSS JOIN targets t ON t.machine = mine.machine AND t.state IN ('unreachable', 'skipped')
       JOIN deployments d ON d.id = t.deployment WHERE this.id = ? AND d.app = this.app AND d.start_seq > this.start_seq AND d.phase = 'succeeded' AND ${isToCome("t")} LIMIT 1`,
    ).pluck(),
    laterTargets: statement(
      `SELECT t.machine, later.id AS deployment, later.release FROM deployments this CROSS JOIN deployments later CROSS JOIN targets t ON t.deployment = later.id
       WHERE this.id = ? AND later.app = this.app AND later.start_seq > this.start_seq AND later.phase <> 'rolled_back' AND t.state <> 'removed'
         AND ((t.attempts > 0 AND NOT (later.back_seq IS NOT NULL AND t.state = 'reverted')) OR (later.phase = 'succeeded' AND ${isToCome("t")})) ORDER BY later.start_seq`,
    ),
    leftOutSince: statement(
      `SELECT u.value AS machine, later.id AS deployment, later.release FROM deployments this JOIN deployments later ON later.app = this.app AND later.start_seq > this.start_seq AND ${stands("later")} JOIN json_each(later.unchanged) u
       WHERE this.id = ? ORDER BY later.start_seq`,
    ),
    leftOutAfter: statement(
      `SELECT n.id FROM deployments n WHERE n.app = @app AND n.release = @release AND n.start_seq > @seq AND ${stands("n")} AND ${leavesOut("n", "@machine")}
         AND n.start_seq > (SELECT joined_seq FROM machines WHERE id = @machine) ORDER BY n.start_seq DESC LIMIT 1`,
    ).pluck(),
    toldIn: statement("SELECT machine FROM targets WHERE deployment = ? AND attempts > 0").pluck(),
    startSeq: statement("SELECT start_seq FROM deployments WHERE id = ?").pluck(),
    decidedAfter: statement(
      `SELECT a.deployment FROM assignments a JOIN deployments d ON d.id = @id
       WHERE a.machine = @machine AND a.app = @app AND a.deployment <> d.id AND a.decided_seq > d.back_seq`,
    ).pluck(),
    outstandingIn: statement(`${OUTSTANDING} WHERE t.machine = ? AND t.state IN ('unreachable', 'skipped') AND (d.phase IN ('succeeded', 'rolled_back', 'failed') OR ${wentBack("d")}) ORDER BY d.number DESC`),
    outstandingTarget: statement(`${OUTSTANDING} WHERE t.deployment = ? AND t.machine = ? AND t.state IN ('unreachable', 'skipped')`),
    isTarget: statement("SELECT 1 FROM targets WHERE deployment = ? AND machine = ? AND state <> 'removed'"),
  };
}
