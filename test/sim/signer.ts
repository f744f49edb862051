/** Puts what agents are told into envelopes, unsigned: nobody here could forge one, and signing would take most of the time of a run. */
import { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Envelope } from "@muster/proto/gen/muster/v1/envelope.ts";

export const plainSigner = {
  assignment: (assignment: Assignment): Envelope => envelope(Assignment.encode(assignment).finish()),
  logsWanted: (): Envelope => envelope(new Uint8Array()),
  announced: () => ({ controllerId: "", keys: [] }),
  onAnnounce: (): void => {},
};

function envelope(payload: Uint8Array): Envelope {
  return { payload: Buffer.from(payload), payloadType: "", signatures: [] };
}
