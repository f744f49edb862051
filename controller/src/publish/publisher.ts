/**
 * Tells machines over NATS. Nothing waits for it and nothing depends on it: what is lost is asked for by the agent, which learns the newest generation
 * from every heartbeat.
 */
import { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { LogsWanted } from "@muster/proto/gen/muster/v1/agent.ts";
import { assignmentSubject, requestSubject } from "@muster/proto/subjects.ts";

/** Below nats-server's max_payload of 1 MiB. A larger assignment is not published: the agent fetches it after its next heartbeat. */
const PAYLOAD_BYTES_MAX = 1_000_000;

export interface NatsPublisher {
  publish(subject: string, payload: Uint8Array): void;
}

export class Publisher {
  readonly #nats: NatsPublisher;

  constructor(nats: NatsPublisher) {
    this.#nats = nats;
  }

  tell(assignment: Assignment): void {
    const payload = Assignment.encode(assignment).finish();
    if (payload.byteLength <= PAYLOAD_BYTES_MAX) this.#nats.publish(assignmentSubject(assignment.machine), payload);
  }

  wantLogs(machine: string, wanted: LogsWanted): void {
    this.#nats.publish(requestSubject(machine), LogsWanted.encode(wanted).finish());
  }
}
