/**
 * Targets of deployments that ended long ago: what became of each machine is in the archive, and the tables keep how many became what.
 *
 * The machines that it left out are counted beside: archived-names.ts.
 *
 * A machine that was removed with a release that was taken back, or after it had failed with one that succeeded or was lost with it, stays by its name: the outcome of the deployment names it for good. So do all of a rollback to
 * an older release, while machines run what it was to take back. So does one that a deployment with `late_joiners: ignore` passed over, as long as
 * it is in the fleet: without its target it would be a late joiner.
 *
 * Always holds: a deployment that stands again, since what came after it was taken back, gives late machines what it would give them with its targets: that it had targets, its failures, and who was lost with its release are kept.
 */
import type { Database } from "better-sqlite3";
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import type { TargetsArchived } from "./entry.ts";
import { isNamedForGood, stands, takesBack } from "./standing.ts";
import { statement } from "./statement.ts";

/** A few milliseconds. */
const TARGETS_AT_ONCE = 500;

/** Of a target and its deployment of these aliases: its machine was passed over, is there, and would be a late joiner without it, which get nothing. */
function isPassedOver(target: string, deployment: string): string {
  return `(${target}.state IN ('unreachable', 'skipped') AND ${deployment}.phase = 'succeeded' AND CASE WHEN json_valid(${deployment}.strategy) THEN ${deployment}.strategy ->> '$.lateJoiners' END = 'ignore'
    AND EXISTS (SELECT 1 FROM machines there WHERE there.id = ${target}.machine))`;
}

/** Of a target `t`: it becomes a count, since no outcome names it, and nobody goes by it. */
const FOLDS = `NOT EXISTS (SELECT 1 FROM deployments own WHERE own.id = t.deployment AND (${isNamedForGood("t", "own")} OR ${isPassedOver("t", "own")}))`;

/** Of a deployment `d`: it does not stand, since it did not succeed, or since a newer success to its selector does. What found nothing to do stands in nobody's way, and is seen by how its machines are until a newer one is there. */
const IS_REPLACED = `(d.phase <> 'succeeded' OR EXISTS (
  SELECT 1 FROM deployments l WHERE l.app = d.app AND l.selector = d.selector AND l.start_seq > d.start_seq AND l.phase = 'succeeded' AND (${stands("l")} OR NOT (${stands("d")}))))`;

/** Of a deployment `d`: a rollback to an older release, while machines run what it was to take back: that it was to come to them is why that is not good there (confirmed.ts). */
const IS_STILL_MEANT = `(${takesBack("d")} AND EXISTS (
  SELECT 1 FROM targets t JOIN assignments a ON a.machine = t.machine AND a.app = d.app WHERE t.deployment = d.id AND a.release = d.takes_back AND a.decided_seq < d.start_seq))`;

/** Its state; one that was skipped since its labels matched no more was not missed when its deployment ended. */
const COUNTED_AS = "CASE WHEN t.state = 'skipped' AND t.attempts = 0 AND t.reason_code = 'unmatched' THEN 'unmatched' ELSE t.state END";

/** Projects `targets_archived`: the next targets, in the order of their machines, become counts, and so do the machines that it left out, where it says which of them it keeps. */
export function prepareFolding(db: Database): (entry: TargetsArchived) => void {
  const slice = `t.deployment = @deployment AND t.machine <= @upTo AND ${FOLDS}`;
  const count = db.prepare(
    `INSERT INTO archived_targets (deployment, wave, state, count)
     SELECT t.deployment, t.wave, ${COUNTED_AS} AS counted, count(*) FROM targets t WHERE ${slice} GROUP BY t.wave, counted
     ON CONFLICT (deployment, wave, state) DO UPDATE SET count = count + excluded.count`,
  );
  const keep = db.prepare(
    `UPDATE waves SET gone_failed = gone_failed + folded.failed, gone_lost = gone_lost + folded.lost, gone_known = gone_known + folded.known, folded_new = folded_new + folded.new
     FROM (SELECT t.wave, count(*) FILTER (WHERE t.state = 'failed' OR t.left_as = 'failed') AS failed, count(*) FILTER (WHERE t.left_as = 'lost') AS lost,
             count(*) FILTER (WHERE t.is_known AND (t.state = 'failed' OR t.left_as = 'failed')) AS known, count(*) FILTER (WHERE t.on_trial = 0) AS new
           FROM targets t WHERE ${slice} GROUP BY t.wave) folded
     WHERE waves.deployment = @deployment AND waves.wave = folded.wave`,
  );
  const forget = db.prepare(`DELETE FROM targets AS t WHERE ${slice}`);
  const foldUnchanged = db.prepare(
    `UPDATE deployments SET unchanged_archived = unchanged_archived + json_array_length(unchanged) - json_array_length(@kept), unchanged = @kept WHERE id = @deployment`,
  );
  return ({ deployment, upTo, kept }) => {
    count.run({ deployment, upTo });
    keep.run({ deployment, upTo });
    forget.run({ deployment, upTo });
    if (kept !== undefined) foldUnchanged.run({ deployment, kept: JSON.stringify(kept) });
  };
}

/**
 * Of a deployment `d`: it ended before that moment of attended time, no assignment names it, and it does not stand: another one to its selector has succeeded since, and had somebody to change. So nobody needs its targets in the tables any more.
 */
export const IS_OVER = `(d.ended_attended < @before AND NOT EXISTS (SELECT 1 FROM assignments a WHERE a.deployment = d.id) AND ${IS_REPLACED} AND NOT ${IS_STILL_MEANT})`;

/** The next slice of targets that nobody needs in the tables any more. `after`: the number of a deployment; those up to it are passed over. Undefined: there is none. */
export function nextToFold(db: Database, before: number, after = 0): TargetsArchived | undefined {
  const found = statement(
    db,
    `SELECT d.id AS deployment, d.app FROM deployments d
     WHERE d.number > @after AND ${IS_OVER} AND EXISTS (SELECT 1 FROM targets t WHERE t.deployment = d.id AND ${FOLDS}) ORDER BY d.number LIMIT 1`,
  ).get({ after, before }) as Pick<TargetsArchived, "deployment" | "app"> | undefined;
  if (found === undefined) return undefined;
  const upTo = statement(db, `SELECT max(machine) FROM (SELECT t.machine FROM targets t WHERE t.deployment = @deployment AND ${FOLDS} ORDER BY t.machine LIMIT ${TARGETS_AT_ONCE})`)
    .pluck()
    .get({ deployment: found.deployment }) as MachineId;
  return { kind: "targets_archived", ...found, upTo };
}

/** Its targets, and whom it left out, are in the archive, but for those that stay by their names: it can't be taken up again, and who asks for them reads that. */
export function hasArchivedTargets(db: Database, deployment: DeploymentId): boolean {
  return statement(db, "SELECT 1 FROM archived_targets WHERE deployment = @deployment UNION ALL SELECT 1 FROM deployments WHERE id = @deployment AND unchanged_archived > 0").get({ deployment }) !== undefined;
}
