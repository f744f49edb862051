/**
 * When the release that a machine is assigned was confirmed there (ADR 25): said once, in SQL, for the assignments that leave, for what a machine goes back to, and for what is kept on disk.
 *
 * A release is confirmed when its target is healthy and its wave has passed; one that a machine goes back to, or is given back by a drain, from the start. It stays so whatever becomes of the target, and is the
 * last good one unless it is taken back, or the machine goes back by itself.
 */
import type { DeploymentId, ReleaseId } from "@muster/proto/ids.ts";
import type { Database } from "better-sqlite3";
import { continues, gaveWay, isWayBack, takesBack } from "./standing.ts";
import { statement } from "./statement.ts";

/** Of an assignment `a` of a deployment, with its target `t` and its wave `w`, both left-joined: the sequence of the row that confirmed it; null: it is not confirmed. */
export const CONFIRMED_SEQ = `
  CASE WHEN a.release IS NULL THEN NULL
       WHEN t.purpose = 'revert' OR a.release IS NOT (SELECT d.release FROM deployments d WHERE d.id = a.deployment) THEN a.generation
       ELSE coalesce(t.confirmed_seq, CASE WHEN t.state = 'healthy' THEN w.finished_seq END) END`;

/** Joins of an assignment `a` to what confirms it. */
export const CONFIRMING = `
  LEFT JOIN targets t ON t.deployment = a.deployment AND t.machine = a.machine
  LEFT JOIN waves w ON w.deployment = t.deployment AND w.wave = t.wave`;

/** Of an assignment `a` with its target `t`: its deployment takes the release back, or did, unless a person ended that. However it was confirmed, nothing goes back to it. */
const IS_TAKEN_BACK = `(t.purpose IS NOT 'revert' AND EXISTS (
  SELECT 1 FROM deployments d WHERE d.id = a.deployment AND d.release IS a.release AND d.back_seq IS NOT NULL AND d.phase <> 'aborted'))`;

/** The machine says that the release failed there, and that it is back on another one: it had gone back before it heard of the confirmation. */
const WENT_BACK = `EXISTS (
  SELECT 1 FROM machine_apps s WHERE s.machine = a.machine AND s.app = a.app AND s.generation = a.generation AND s.phase IN ('reverting', 'reverted', 'unhealthy', 'failed')
    AND s.running_version <> '' AND a.app || '@' || s.running_version <> a.release)`;

/** It was confirmed there, and has neither been taken back nor failed on probation. */
const IS_GOOD = `(${CONFIRMED_SEQ} IS NOT NULL AND NOT ${IS_TAKEN_BACK} AND NOT ${WENT_BACK})`;

/** The machine went to an older release that was known to be good, or is on its way to it, and it has not failed there, and is not taken back itself. */
const IS_WAY_BACK = `(a.release IS NOT NULL AND t.purpose IS NOT 'revert' AND t.state IS NOT 'failed' AND EXISTS (
  SELECT 1 FROM deployments d WHERE d.id = a.deployment AND d.release = a.release AND ${isWayBack("d")}) AND NOT ${IS_TAKEN_BACK})`;

/**
 * A rollback to an older release has the machine among its own, and has told it nothing. Who asks for that one is not meant: what it finds is what ran there; nor is one under way that gives way to a deployment of the release again.
 * Nor is one that was asked for once more, unless something took the place of that: the newer one says itself what becomes of the release. And nor is one after which somebody wanted the release again, by a deployment that left the
 * machine out.
 */
const IS_TO_BE_REPLACED = `EXISTS (
  SELECT 1 FROM deployments d JOIN targets o ON o.deployment = d.id AND o.machine = a.machine
  WHERE d.app = a.app AND d.takes_back = a.release AND d.start_seq > a.decided_seq AND ${takesBack("d")} AND d.id IS NOT @by AND NOT (d.phase IN ('rolling', 'paused') AND d.takes_back IS @given)
    AND NOT EXISTS (SELECT 1 FROM deployments n WHERE ${continues("n", "d")} AND NOT ${gaveWay("n")})
    AND NOT EXISTS (SELECT 1 FROM deployments n WHERE a.kept_seq > d.start_seq AND n.app = a.app AND n.start_seq = a.kept_seq AND n.back_seq IS NULL))`;

/** Of such an assignment: what was the last good release when it was made. Not what the machine ran when it joined, if that is what was given to it, and is taken back. */
const GOOD_BEFORE = `CASE WHEN a.last_good IS a.release AND t.previous IS NULL AND ${IS_TAKEN_BACK} THEN NULL ELSE a.last_good END`;

/** Of such an assignment: the release that was confirmed last, and not taken back since. */
const LAST_GOOD_OF = `CASE WHEN ${IS_WAY_BACK} THEN a.release WHEN ${IS_GOOD} AND NOT ${IS_TO_BE_REPLACED} THEN a.release ELSE ${GOOD_BEFORE} END`;

/** Rollbacks to an older release that deployment `@by`, the same once more, takes the place of; itself, too. */
const CONTINUED = `
  SELECT d.id FROM deployments me JOIN deployments d ON d.app = me.app AND d.takes_back = me.takes_back
  WHERE me.id = @by AND d.release = me.release AND d.selector = me.selector AND (d.phase IN ('rolling', 'paused') OR ${gaveWay("d")})
    AND NOT EXISTS (SELECT 1 FROM deployments x WHERE x.app = d.app AND x.start_seq > d.start_seq AND x.id <> me.id AND NOT (x.release = d.release AND ${gaveWay("x")}))`;

export function continuedBy(db: Database, by: DeploymentId): readonly DeploymentId[] {
  return statement(db, CONTINUED).pluck().all({ by }) as DeploymentId[];
}

/** What `LAST_GOOD_FOR` asks for. */
export interface Asking {
  readonly by: DeploymentId | null;
  readonly given: ReleaseId | null;
  /** Deployments, as JSON. */
  readonly continued: string;
}

/** Made once for as many machines as are asked about. `by` gives them the release `given`; null: no deployment does, or none that is known yet. */
export function askingFor(db: Database, by: DeploymentId | null, given: ReleaseId | null): Asking {
  return { by, given, continued: JSON.stringify(by === null ? [] : continuedBy(db, by)) };
}

/** Of such an assignment: what a machine goes back to from what deployment `@by` gives it; null: nothing that was submitted. From a rollback to an older release once more, while that is under way, it goes to what ran before both. */
export const LAST_GOOD_FOR = `CASE WHEN a.deployment IN (SELECT value FROM json_each(@continued)) AND a.release IS (SELECT d.release FROM deployments d WHERE d.id = a.deployment) THEN t.previous ELSE ${LAST_GOOD_OF} END`;

/** What a drain of `@machine`, or its end, leaves assigned of `@app`. What goes to an older release keeps it: what was confirmed there is what is taken back. What a rollback to an older release is still to replace stays, too: that may end without having come to the machine, and who would give it back then? */
export const RENEWED = `
  SELECT a.release AS assigned, CASE
      WHEN ${IS_GOOD} OR EXISTS (SELECT 1 FROM deployments d WHERE d.id = a.deployment AND ${isWayBack("d")}) THEN a.release
      ELSE ${GOOD_BEFORE} END AS renewed
  FROM assignments a ${CONFIRMING} WHERE a.machine = @machine AND a.app = @app`;

