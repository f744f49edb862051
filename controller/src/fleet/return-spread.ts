/**
 * Over how long a fleet spreads its return after it has lost the controller. Each agent draws a moment of its own in it, so that handshakes arrive as fast as they can be served and no faster.
 */

/** One handshake with what follows it (hello, journal, welcome), and the machine's connection to NATS, on two cores which the agents of the measurement share. docs/benchmarks.md, `herd`. */
const MACHINE_MS = 4;
/** 150,000 machines. Whoever waits longer is reached late though the controller could have served it. */
const SPREAD_MS_MAX = 10 * 60_000;

/** Whole milliseconds; 0 for no machines. `machines`: how many are expected back. */
export function returnSpreadMs(machines: number): number {
  return Math.min(SPREAD_MS_MAX, Math.ceil(machines * MACHINE_MS));
}
