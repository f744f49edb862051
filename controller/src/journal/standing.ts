/** Which deployments stand, said once, in SQL: for what late machines get, for the releases that are kept, and for the targets that stay in the tables. */

/**
 * Of a deployment of this alias: it has succeeded, and had somebody to change, told by now or not, and whatever is in the archive. One that found nothing to do decides about nobody. One that gave to the same machines once more
 * what an older one had given them stands no longer when that has been taken back since.
 */
export function stands(alias: string): string {
  return `${alias}.phase = 'succeeded' AND ${alias}.changed_attended IS NOT NULL AND NOT EXISTS (SELECT 1 FROM deployments tb WHERE tb.app = ${alias}.app AND tb.release = ${alias}.release
    AND tb.selector = ${alias}.selector AND tb.start_seq < ${alias}.start_seq AND tb.back_seq > ${alias}.start_seq)`;
}

/**
 * Of each selector of `@app` the newest that stands, as this `d`, and the newest of all first. `and`: of those that may be it, a condition on `o`. One step for each selector, and for each newer success there that stands no
 * longer: not for each deployment that ever succeeded.
 */
export function newestStanding(columns: string, and = "TRUE"): string {
  const mayStand = "app = @app AND phase = 'succeeded' AND changed_attended IS NOT NULL";
  return `WITH RECURSIVE known (selector) AS (
      SELECT min(selector) FROM deployments WHERE ${mayStand}
      UNION ALL SELECT (SELECT min(selector) FROM deployments WHERE ${mayStand} AND selector > known.selector) FROM known WHERE known.selector IS NOT NULL)
    SELECT ${columns} FROM known CROSS JOIN deployments d ON d.number = (
      SELECT o.number FROM deployments o WHERE o.app = @app AND o.selector = known.selector AND ${stands("o")} AND ${and} ORDER BY o.start_seq DESC LIMIT 1)
    ORDER BY d.start_seq DESC`;
}

/** Of a deployment of this alias, in memory `wentBack` (rollout/state.ts): it has ended in or after its rollback, and what that had to take back still goes back. One that a person ended leaves its machines as they are. */
export function wentBack(alias: string): string {
  return `(${alias}.back_seq IS NOT NULL AND ${alias}.phase IN ('rolled_back', 'failed', 'superseded'))`;
}

/** Of a target of this alias and its deployment, in memory `startsAgain` (rollout/state.ts): it was told, and has its turn again. */
export function startsAgain(target: string, deployment: string): string {
  return `(${deployment}.phase IN ('rolling', 'paused', 'succeeded') AND ${target}.state = 'pending' AND ${target}.attempts > 0)`;
}

/** Of a target of this alias: it has not been told what its deployment decided, and is to be. */
export function isToCome(alias: string): string {
  return `(${alias}.purpose IS NULL AND ${alias}.state IN ('pending', 'unreachable', 'skipped') AND coalesce(${alias}.reason_code, '') NOT IN ('superseded', 'unmatched'))`;
}

/** Of a target of this alias, and its deployment of that: it took the release, and its machine was removed before it had said that it runs something else. */
export function leftWithRelease(target: string, deployment: string): string {
  return `(${target}.state = 'removed' AND ${target}.attempts > 0 AND (${target}.runs IS NULL OR ${deployment}.app || '@' || ${target}.runs = ${deployment}.release))`;
}

/** Of the same two: nothing will ever be heard of it, and the outcome of the deployment names it for good. */
export function isNamedForGood(target: string, deployment: string): string {
  return `((${wentBack(deployment)} AND ${leftWithRelease(target, deployment)}) OR (${deployment}.phase = 'succeeded' AND ${target}.state = 'removed' AND ${target}.left_as IS NOT NULL))`;
}

/** A deployment of this alias has left the machine out, since that ran its release already. Names hold no quotes, and are found sooner in the text than in what it says. */
export function leavesOut(alias: string, machine: string): string {
  return `instr(${alias}.unchanged, '"' || ${machine} || '"') > 0`;
}

/** Of a deployment of this alias: a rollback to an older release that something else took the place of, before it went back itself. */
export function gaveWay(alias: string): string {
  return `(${alias}.takes_back IS NOT NULL AND ${alias}.phase = 'superseded' AND ${alias}.back_seq IS NULL)`;
}

/** Of a deployment of this alias: a person asked for an older release by it. */
export function isWayBack(alias: string): string {
  return `(CASE WHEN json_valid(${alias}.strategy) THEN coalesce(${alias}.strategy ->> '$.isWayBack', 0) ELSE 0 END)`;
}

/** Of a deployment of this alias: a rollback to an older release that has begun, was not taken back itself, and was ended by nobody. Its machines have nothing to go back to in what it takes back, told or not. */
export function takesBack(alias: string): string {
  return `(${alias}.takes_back IS NOT NULL AND ${alias}.back_seq IS NULL AND ${alias}.phase IN ('rolling', 'paused', 'succeeded', 'superseded', 'failed'))`;
}

/** Of two deployments of these aliases: the first is the same rollback to an older release as the second, asked for once more, and nothing else came between them. */
export function continues(newer: string, older: string): string {
  return `(${newer}.app = ${older}.app AND ${newer}.release = ${older}.release AND ${newer}.takes_back = ${older}.takes_back AND ${newer}.selector = ${older}.selector AND ${newer}.start_seq > ${older}.start_seq
    AND NOT EXISTS (SELECT 1 FROM deployments between_ WHERE between_.app = ${older}.app AND between_.start_seq > ${older}.start_seq AND between_.start_seq < ${newer}.start_seq AND between_.release <> ${older}.release))`;
}
