/**
 * Every NATS subject, built in one place. The controller publishes; an agent subscribes to its own two and publishes nothing.
 */

/** Carries an encoded `Envelope` with a `SignedAssignment`. */
export function assignmentSubject(machine: string): string {
  return `muster.v1.machine.${machine}.assignment`;
}

/** Carries an encoded `Envelope` with a `SignedRequest`. */
export function requestSubject(machine: string): string {
  return `muster.v1.machine.${machine}.request`;
}
