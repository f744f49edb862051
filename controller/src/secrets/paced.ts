/**
 * Tells machines in small parts: sealing the secrets of a whole wave at once would hold the loop for seconds. Of assignments of one machine that wait, the newest counts.
 */
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { hasSecrets } from "./sealer.ts";

/** Each some 0.3 ms: other work waits for 10 ms at most. */
const SEALED_PER_TURN = 32;

export interface Telling {
  tell(assignment: Assignment): void;
  /** Those that wait are not told: the next heartbeat's answer says that there is something newer. */
  stop(): void;
}

/** `tell` seals and sends. What has no secrets to seal is told at once, unless an older one of the machine still waits. */
export function pacedTelling(tell: (assignment: Assignment) => void): Telling {
  const waiting = new Map<string, Assignment>();
  const go = (): void => {
    for (const [machine, assignment] of [...waiting].slice(0, SEALED_PER_TURN)) {
      waiting.delete(machine);
      tell(assignment);
    }
    if (waiting.size > 0) setImmediate(go);
  };
  return {
    tell(assignment) {
      if (!hasSecrets(assignment) && !waiting.has(assignment.machine)) return tell(assignment);
      if (waiting.size === 0) setImmediate(go);
      waiting.set(assignment.machine, assignment);
    },
    stop: () => waiting.clear(),
  };
}
