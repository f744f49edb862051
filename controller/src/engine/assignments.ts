/**
 * A machine's assignment, whole, as the tables have it now. A drained machine is told to remove whatever is assigned to it.
 */
import type { Digest, Generation, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import type { AppAssignment, AssignedSecrets, Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { Statement } from "better-sqlite3";
import type { Logger } from "pino";
import type { Journal } from "../journal/journal.ts";
import { isFaultOfDisk } from "../journal/disk-fault.ts";
import { CONFIRMED_SEQ, CONFIRMING } from "../journal/confirmed.ts";
import { statement } from "../journal/statement.ts";

interface Row {
  readonly app: string;
  readonly generation: number;
  readonly deployment: string;
  readonly release: string | null;
  readonly drained: number;
  readonly confirmed_seq: number | null;
  readonly min_healthy_time_ms: number;
  readonly healthy_deadline_ms: number;
  readonly labels: string;
  readonly last_good: string | null;
}

interface KnownRelease {
  readonly release: Release;
  readonly secrets: AssignedSecrets | undefined;
}

/** Parsed releases kept at hand; immutable but for their signatures. */
const RELEASES_KEPT_MAX = 256;

export class Assignments {
  readonly #logger: Logger;
  /** Releases that can't be read, and of which the log says so. */
  readonly #unreadable = new Set<string>();
  readonly #rows: Statement;
  readonly #generation: Statement;
  readonly #release: Statement;
  readonly #names: Statement;
  readonly #releases = new Map<string, KnownRelease>();
  /** Asked with every heartbeat. */
  readonly #generations = new Map<MachineId, Generation>();

  constructor(journal: Journal, logger: Logger) {
    this.#logger = logger;
    this.#rows = statement(journal.db, `
      SELECT a.app, a.generation, a.deployment, CASE m.drained WHEN 0 THEN a.release END AS release, m.drained AND a.release IS NOT NULL AS drained, ${CONFIRMED_SEQ} AS confirmed_seq,
             a.min_healthy_time_ms, a.healthy_deadline_ms, a.labels, a.last_good
      FROM assignments a JOIN machines m ON m.id = a.machine ${CONFIRMING} WHERE a.machine = ? ORDER BY a.app`);
    this.#generation = statement(journal.db, `SELECT coalesce(max(max(a.generation, coalesce(${CONFIRMED_SEQ}, 0))), 0) FROM assignments a ${CONFIRMING} WHERE a.machine = ?`).pluck();
    this.#names = statement(journal.db, `
      SELECT 1 FROM assignments a JOIN machines m ON m.id = a.machine JOIN releases r ON r.id = a.release
      WHERE a.machine = ? AND m.drained = 0 AND r.artifact = ?`);
    this.#release = statement(journal.db, "SELECT release, secrets FROM releases WHERE id = ?");
  }

  /** 0: none yet. */
  generation(machine: MachineId): Generation {
    let newest = this.#generations.get(machine);
    if (newest === undefined) {
      newest = this.#generation.get(machine) as Generation;
      this.#generations.set(machine, newest);
    }
    return newest;
  }

  /** It has another one in the tables, or may have. */
  forget(machine: MachineId): void {
    this.#generations.delete(machine);
  }

  /** It has been signed once more. */
  forgetRelease(id: ReleaseId): void {
    this.#releases.delete(id);
  }

  /** What was kept at hand may be ahead of the tables. */
  forgetAll(): void {
    this.#generations.clear();
    this.#releases.clear();
  }

  /** Whether the machine should run a release of this artifact. */
  names(machine: MachineId, artifact: Digest): boolean {
    return this.#names.get(machine, artifact) !== undefined;
  }

  of(machine: MachineId): Assignment | undefined {
    const rows = this.#rows.all(machine) as Row[];
    if (rows.length === 0) return undefined;
    const generation = rows.reduce((newest, row) => Math.max(newest, row.generation, row.confirmed_seq ?? 0), 0);
    return { machine, generation, apps: rows.flatMap((row) => this.#appIfReadable(row)) };
  }

  /** What is not named is left as it is on the machine, and its other apps go on. */
  #appIfReadable(row: Row): readonly AppAssignment[] {
    try {
      return [this.#app(row)];
    } catch (error) {
      if (isFaultOfDisk(error)) throw error;
      const what = row.release ?? row.app;
      if (!this.#unreadable.has(what)) this.#logger.error({ err: error, deploymentId: row.deployment, app: row.app, release: row.release }, "release can't be read; machines are not told of it");
      this.#unreadable.add(what);
      return [];
    }
  }

  #app(row: Row): AppAssignment {
    const known = row.release === null ? undefined : this.#releaseOf(row.release);
    return {
      app: row.app,
      generation: row.generation,
      deploymentId: row.deployment,
      goal: known === undefined ? { $case: "remove", value: { drained: row.drained === 1 } } : { $case: "run", value: known.release },
      minHealthyTimeMs: row.min_healthy_time_ms,
      healthyDeadlineMs: row.healthy_deadline_ms,
      labels: JSON.parse(row.labels) as Record<string, string>,
      secrets: known?.secrets,
      confirmed: row.confirmed_seq !== null,
      lastGoodVersion: known === undefined || row.last_good === null ? "" : row.last_good.slice(row.last_good.indexOf("@") + 1),
    };
  }

  #releaseOf(id: string): KnownRelease {
    const known = this.#releases.get(id);
    if (known !== undefined) return known;
    const stored = this.#release.get(id) as { release: string; secrets: string } | undefined;
    if (stored === undefined) throw new Error(`an assignment names the release ${id}, which is not in the journal`);
    const versions = JSON.parse(stored.secrets) as Record<string, number>;
    const secrets = Object.keys(versions).length === 0 ? undefined : { versions, sealed: undefined };
    const release: KnownRelease = { release: JSON.parse(stored.release) as Release, secrets };
    if (this.#releases.size >= RELEASES_KEPT_MAX) this.#releases.clear();
    this.#releases.set(id, release);
    return release;
  }
}
