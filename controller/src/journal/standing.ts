/** Which deployments stand, said once, in SQL: for what late machines get, for the releases that are kept, and for the targets that stay in the tables. */

/** Of a deployment of this alias: it has succeeded, and changed somebody. One that found nothing to do decides about nobody. */
export function stands(alias: string): string {
  return `${alias}.phase = 'succeeded' AND EXISTS (SELECT 1 FROM targets t WHERE t.deployment = ${alias}.id AND t.attempts > 0)`;
}
