/**
 * Every NATS subject, built in one place. The controller publishes; an agent subscribes to its own two and publishes nothing.
 */

const PREFIX = "muster.v1.machine";

/** All that is ever published. */
export const MACHINE_SUBJECTS = `${PREFIX}.>`;

/** Carries an encoded `Assignment`. */
export function assignmentSubject(machine: string): string {
  return `${PREFIX}.${machine}.assignment`;
}

/** Carries an encoded `LogsWanted`. */
export function requestSubject(machine: string): string {
  return `${PREFIX}.${machine}.request`;
}
