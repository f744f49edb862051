/**
 * Every NATS subject, built in one place. The controller publishes; an agent subscribes to its own two and publishes nothing.
 */

/** Carries an encoded `Assignment`. */
export function assignmentSubject(machine: string): string {
  return `muster.v1.machine.${machine}.assignment`;
}

/** Carries an encoded `LogsWanted`. */
export function requestSubject(machine: string): string {
  return `muster.v1.machine.${machine}.request`;
}
