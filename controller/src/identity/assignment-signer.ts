/**
 * Puts what agents are told into envelopes, which is what they believe; whoever carries them, NATS or anybody, can hold them back and nothing else.
 * Here the journal's generations become those of the wire.
 */
import { sign } from "node:crypto";
import type { AssignmentKeys as AnnouncedMessage, LogsWanted } from "@muster/proto/gen/muster/v1/agent.ts";
import { SignedRequest } from "@muster/proto/gen/muster/v1/agent.ts";
import { type Assignment, SignedAssignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Audience, Envelope } from "@muster/proto/gen/muster/v1/envelope.ts";
import { ASSIGNMENT_PAYLOAD, preAuthEncoding, REQUEST_PAYLOAD } from "@muster/proto/envelope.ts";
import { type AssignmentKeys, ENVELOPE_LIFETIME_MS } from "./assignment-key.ts";
import type { Epoch } from "./epoch.ts";

/** Asked for by somebody who waits; the rest is for clocks that differ. */
const REQUEST_LIFETIME_MS = 5 * 60_000;

export class AssignmentSigner {
  readonly #keys: AssignmentKeys;
  readonly #epoch: Epoch;
  readonly #now: () => number;
  readonly #withSecrets: (assignment: Assignment) => Assignment;

  /** `withSecrets`: puts in what is for the machine alone, and must not be there before; told an assignment as it goes out, with the generations of the wire. */
  constructor(keys: AssignmentKeys, epoch: Epoch, now: () => number, withSecrets: (assignment: Assignment) => Assignment) {
    this.#keys = keys;
    this.#epoch = epoch;
    this.#now = now;
    this.#withSecrets = withSecrets;
  }

  /** `assignment` has the journal's generations. */
  assignment(assignment: Assignment): Envelope {
    const issuedAt = this.#now();
    const wire = this.#withSecrets(this.#epoch.assignment(assignment));
    const payload = SignedAssignment.encode({
      audience: this.#audience(assignment.machine),
      epoch: this.#epoch.number,
      generation: wire.generation,
      issuedAt,
      expiresAt: issuedAt + ENVELOPE_LIFETIME_MS,
      assignment: wire,
    }).finish();
    return this.#seal(ASSIGNMENT_PAYLOAD, payload);
  }

  logsWanted(machine: string, wanted: LogsWanted): Envelope {
    const issuedAt = this.#now();
    const payload = SignedRequest.encode({
      audience: this.#audience(machine),
      issuedAt,
      expiresAt: issuedAt + REQUEST_LIFETIME_MS,
      request: { $case: "logsWanted", value: wanted },
    }).finish();
    return this.#seal(REQUEST_PAYLOAD, payload);
  }

  /** For a welcome. */
  announced(): AnnouncedMessage {
    return { controllerId: this.#keys.controllerId, keys: [...this.#keys.announced()] };
  }

  /** Called when agents that are connected must be told of another key. */
  onAnnounce(listener: () => void): void {
    this.#keys.onAnnounce(listener);
  }

  #audience(machine: string): Audience {
    return { machine, controllerId: this.#keys.controllerId };
  }

  #seal(payloadType: string, payload: Uint8Array): Envelope {
    const { keyid, privateKey } = this.#keys.signing();
    return { payload: Buffer.from(payload), payloadType, signatures: [{ sig: sign(null, preAuthEncoding(payloadType, payload), privateKey), keyid }] };
  }
}
