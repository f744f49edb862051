/** Which deployments stand, said once, in SQL: for what late machines get, for the releases that are kept, and for the targets that stay in the tables. */

/** Of a deployment of this alias: it has succeeded, and had somebody to change, whatever is in the archive by now. One that found nothing to do decides about nobody. */
export function stands(alias: string): string {
  return `${alias}.phase = 'succeeded' AND ${alias}.changed_attended IS NOT NULL`;
}
