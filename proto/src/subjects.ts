/**
 * Every NATS subject, built in one place. The controller publishes; an agent subscribes to its own two and publishes nothing.
 */

const PREFIX = "muster.v1.machine";

/** All that is ever published. */
export const MACHINE_SUBJECTS = `${PREFIX}.>`;

/** Carries an encoded `Envelope` with a `SignedAssignment`. */
export function assignmentSubject(machine: string): string {
  return `${PREFIX}.${machine}.assignment`;
}

/** Carries an encoded `Envelope` with a `SignedRequest`. */
export function requestSubject(machine: string): string {
  return `${PREFIX}.${machine}.request`;
}
