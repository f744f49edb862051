/** How long a release that was proven on a machine has there to be healthy again: the agent gives it that, and the controller waits for it. */

/** A short healthy_deadline is a hard judge of a new release, and giving up on a proven one sooner would leave nothing better. */
export const PROVEN_DEADLINE_MS_MIN = 30_000;

/** `healthyDeadlineMs`: of its deployment. */
export function provenDeadlineMs(healthyDeadlineMs: number): number {
  return Math.max(healthyDeadlineMs, PROVEN_DEADLINE_MS_MIN);
}
