/**
 * The single questions that the engine asks the tables, prepared once.
 */
import type { Database, Statement } from "better-sqlite3";
import type { AppName, DeploymentId, Instant, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { MachineJoined, ReportAccepted } from "../journal/entry.ts";
import type { Purpose, TargetState } from "../rollout/state.ts";

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

export class Facts {
  readonly #sql: Readonly<Record<"machine" | "machines" | "cursor" | "release" | "artifact" | "newest" | "later" | "open", Statement>>;

  constructor(db: Database) {
    this.#sql = {
      machine: db.prepare("SELECT * FROM machines WHERE id = ?"),
      machines: db.prepare("SELECT id, silent_since FROM machines"),
      cursor: db.prepare("SELECT seq FROM report_cursors WHERE machine = ? AND instance = ?").pluck(),
      release: db.prepare("SELECT release FROM releases WHERE id = ?").pluck(),
      artifact: db.prepare("SELECT 1 FROM artifacts WHERE digest = ?").pluck(),
      newest: db.prepare("SELECT coalesce(max(number), 0) FROM deployments").pluck(),
      later: db
        .prepare("SELECT id FROM deployments WHERE app = ? AND number > ? AND started_at IS NOT NULL AND phase <> 'rolled_back' ORDER BY number DESC LIMIT 1")
        .pluck(),
      // CROSS JOIN keeps SQLite from beginning with the targets.
      open: db.prepare(
        `SELECT t.deployment, t.state, t.purpose FROM assignments a CROSS JOIN targets t ON t.deployment = a.deployment AND t.machine = a.machine
         WHERE a.machine = ? AND a.app = ? AND a.generation = ? AND t.generation = a.generation AND t.state IN ('updating', 'unreachable', 'reverting')`,
      ),
    };
  }

  machines(): readonly { readonly id: MachineId; readonly silent_since: Instant | null }[] {
    return this.#sql.machines.all() as { id: MachineId; silent_since: Instant | null }[];
  }

  machine(machine: MachineId): MachineJoined | undefined {
    const row = this.#sql.machine.get(machine) as MachineRow | undefined;
    if (row === undefined) return undefined;
    const { instance, hostname, os, arch } = row;
    const labels = JSON.parse(row.labels) as Record<string, string>;
    return { kind: "machine_joined", machine, instance, labels, agentVersion: row.agent_version, hostname, os, arch };
  }

  /** The newest report of an agent instance that is stored; 0: none. */
  acknowledgedSeq(machine: MachineId, instance: string): number {
    return (this.#sql.cursor.get(machine, instance) ?? 0) as number;
  }

  release(id: ReleaseId): Release | undefined {
    const stored = this.#sql.release.get(id) as string | undefined;
    return stored === undefined ? undefined : (JSON.parse(stored) as Release);
  }

  hasArtifact(digest: string): boolean {
    return this.#sql.artifact.get(digest) !== undefined;
  }

  nextDeploymentId(): DeploymentId {
    return `d-${(this.#sql.newest.get() as number) + 1}` as DeploymentId;
  }

  /** A deployment of the app that began after this one and was not taken back. */
  laterDeployment(app: AppName, id: DeploymentId): DeploymentId | undefined {
    return this.#sql.later.get(app, Number(id.slice("d-".length))) as DeploymentId | undefined;
  }

  openTarget({ machine, app, generation }: ReportAccepted): OpenTarget | undefined {
    return this.#sql.open.get(machine, app, generation) as OpenTarget | undefined;
  }
}
