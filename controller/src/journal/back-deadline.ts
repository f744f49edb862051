/**
 * How long a machine has for a release that it goes back to, in SQL. The file of the deployment that is taken back says how hard a new release is judged; what is gone back to was proven, by a file that knew how long it needs to
 * start, and there is nothing better to give the machine instead.
 */
import { PROVEN_DEADLINE_MS_MIN } from "@muster/proto/proven.ts";

/** Deployments of a release that are asked: a pipeline may submit the same file each hour. */
const ASKED_MAX = 20;

/** Of a release of an app, by the `own` deadline of the deployment that gives it back: the longest of that, of those that the newest deployments of it gave, and half a minute. */
export function backDeadlineMs(own: string, app: string, release: string): string {
  return `max(${own}, ${PROVEN_DEADLINE_MS_MIN}, coalesce((
    SELECT max(CASE WHEN json_valid(g.strategy) THEN g.strategy ->> '$.healthyDeadlineMs' END)
    FROM (SELECT strategy FROM deployments WHERE app = ${app} AND release = ${release} AND start_seq IS NOT NULL ORDER BY number DESC LIMIT ${ASKED_MAX}) g), 0))`;
}

/** Of the releases that may run on the machine by then: the longest time to stop one. 0: they are files, or nothing runs. */
export function stopTimeoutMs(...releases: readonly string[]): string {
  return `coalesce((SELECT max(CASE WHEN json_valid(r.release) THEN r.release ->> '$.driver.value.stopTimeoutMs' END) FROM releases r WHERE r.id IN (${releases.join(", ")})), 0)`;
}
