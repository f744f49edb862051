/** Which deployments stand, said once, in SQL: for what late machines get, for the releases that are kept, and for the targets that stay in the tables. */

/** Of a deployment of this alias: it has succeeded, and had somebody to change, told by now or not, and whatever is in the archive. One that found nothing to do decides about nobody. */
export function stands(alias: string): string {
  return `${alias}.phase = 'succeeded' AND ${alias}.changed_attended IS NOT NULL`;
}

/** Of a deployment of this alias, in memory `wentBack` (rollout/state.ts): it has ended in or after its rollback, and what that had to take back still goes back. One that a person ended leaves its machines as they are. */
export function wentBack(alias: string): string {
  return `(${alias}.back_seq IS NOT NULL AND ${alias}.phase IN ('rolled_back', 'failed', 'superseded'))`;
}

/** Of a target of this alias, in memory `startsAgain` (rollout/state.ts): it was told, and has its turn again. */
export function startsAgain(alias: string): string {
  return `(${alias}.state = 'pending' AND ${alias}.attempts > 0)`;
}

/** Of a target of this alias: it has not been told what its deployment decided, and is to be. */
export function isToCome(alias: string): string {
  return `(${alias}.purpose IS NULL AND ${alias}.state IN ('pending', 'unreachable', 'skipped') AND coalesce(${alias}.reason_code, '') NOT IN ('superseded', 'unmatched'))`;
}
