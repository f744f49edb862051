/**
 * Targets of deployments that ended long ago: what became of each machine is in the archive, and the tables keep how many became what.
 *
 * A machine that was removed with a release that was taken back stays by its name: the outcome of the deployment names it for good.
 *
 * Always holds: a deployment that stands again, since what came after it was taken back, gives late machines what it would give them with its targets: that it had targets, its failures, and who was lost with its release are kept.
 */
import type { Database } from "better-sqlite3";
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import type { TargetsArchived } from "./entry.ts";
import { isNamedForGood, stands } from "./standing.ts";
import { statement } from "./statement.ts";

/** A few milliseconds. */
const TARGETS_AT_ONCE = 500;

/** Of a target `t`: it becomes a count, since no outcome names it. */
const FOLDS = `NOT EXISTS (SELECT 1 FROM deployments own WHERE own.id = t.deployment AND ${isNamedForGood("t", "own")})`;

/** Its state; one that was skipped since its labels matched no more was not missed when its deployment ended. */
const COUNTED_AS = "CASE WHEN t.state = 'skipped' AND t.attempts = 0 AND t.reason_code = 'unmatched' THEN 'unmatched' ELSE t.state END";

/** Projects `targets_archived`: the next targets, in the order of their machines, become counts. */
export function prepareFolding(db: Database): (entry: TargetsArchived) => void {
  const slice = `t.deployment = @deployment AND t.machine <= @upTo AND ${FOLDS}`;
  const count = db.prepare(
    `INSERT INTO archived_targets (deployment, wave, state, count)
     SELECT t.deployment, t.wave, ${COUNTED_AS} AS counted, count(*) FROM targets t WHERE ${slice} GROUP BY t.wave, counted
     ON CONFLICT (deployment, wave, state) DO UPDATE SET count = count + excluded.count`,
  );
  const keep = db.prepare(
    `UPDATE waves SET gone_failed = gone_failed + folded.failed, gone_lost = gone_lost + folded.lost, folded_new = folded_new + folded.new
     FROM (SELECT t.wave, count(*) FILTER (WHERE t.state = 'failed' OR t.left_as = 'failed') AS failed, count(*) FILTER (WHERE t.left_as = 'lost') AS lost, count(*) FILTER (WHERE t.on_trial = 0) AS new
           FROM targets t WHERE ${slice} GROUP BY t.wave) folded
     WHERE waves.deployment = @deployment AND waves.wave = folded.wave`,
  );
  const forget = db.prepare(`DELETE FROM targets AS t WHERE ${slice}`);
  return ({ deployment, upTo }) => {
    count.run({ deployment, upTo });
    keep.run({ deployment, upTo });
    forget.run({ deployment, upTo });
  };
}

/**
 * The next slice of targets that nobody needs in the tables any more: of a deployment that ended before that moment of attended time, that no assignment names, and that does not stand: another one to its selector has succeeded
 * since, and had somebody to change. With `late_joiners: ignore` whoever was passed over is no late joiner, so its target stays while the machine is there. Undefined: there is none.
 */
export function nextToFold(db: Database, endedBefore: number): TargetsArchived | undefined {
  const found = statement(
    db,
    `SELECT d.id AS deployment, d.app FROM deployments d
     WHERE d.ended_attended < ? AND EXISTS (SELECT 1 FROM targets t WHERE t.deployment = d.id AND ${FOLDS}) AND NOT EXISTS (SELECT 1 FROM assignments a WHERE a.deployment = d.id)
       AND (d.phase <> 'succeeded' OR EXISTS (SELECT 1 FROM deployments l WHERE l.app = d.app AND l.selector = d.selector AND l.start_seq > d.start_seq AND ${stands("l")}))
       AND NOT (d.phase = 'succeeded' AND d.strategy ->> '$.lateJoiners' = 'ignore'
         AND EXISTS (SELECT 1 FROM targets t JOIN machines m ON m.id = t.machine WHERE t.deployment = d.id AND t.state IN ('unreachable', 'skipped')))
     ORDER BY d.number LIMIT 1`,
  ).get(endedBefore) as Pick<TargetsArchived, "deployment" | "app"> | undefined;
  if (found === undefined) return undefined;
  const upTo = statement(
    db,
    `SELECT machine FROM (SELECT t.machine FROM targets t WHERE t.deployment = ? AND ${FOLDS} ORDER BY t.machine LIMIT ${TARGETS_AT_ONCE}) ORDER BY machine DESC LIMIT 1`,
  )
    .pluck()
    .get(found.deployment) as MachineId;
  return { kind: "targets_archived", ...found, upTo };
}

/** Its targets are in the archive, but for those that its outcome names for good: it can't be taken up again, and who asks for them reads that. */
export function hasArchivedTargets(db: Database, deployment: DeploymentId): boolean {
  return statement(db, "SELECT 1 FROM archived_targets WHERE deployment = ?").get(deployment) !== undefined;
}
