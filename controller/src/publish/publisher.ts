/**
 * Tells machines over NATS. Nothing waits for it and nothing depends on it: what is lost is asked for by the agent, which learns the newest generation
 * from every heartbeat.
 *
 * Always holds: a whole fleet told at once is told in slices, so that everything else has its turn in between; what a machine is told is what it is to run at
 * that moment, so no more wait than there are machines.
 */
import type { LogsWanted } from "@muster/proto/gen/muster/v1/agent.ts";
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { Envelope } from "@muster/proto/gen/muster/v1/envelope.ts";
import type { MachineId } from "@muster/proto/ids.ts";
import { assignmentSubject, requestSubject } from "@muster/proto/subjects.ts";
import type { Logger } from "pino";
import type { AssignmentSigner } from "../identity/assignment-signer.ts";

/** Below nats-server's max_payload of 1 MiB. A larger assignment is not published: the agent fetches it after its next heartbeat. */
const PAYLOAD_BYTES_MAX = 1_000_000;
/** Of reading and signing before everything else has its turn: a few hundred machines, on a machine that is not busy otherwise. */
const SLICE_MS = 20;

export interface PublisherOptions {
  readonly nats: { publish(subject: string, payload: Uint8Array): void };
  readonly signer: Pick<AssignmentSigner, "assignment" | "logsWanted">;
  readonly assignmentFor: (machine: MachineId) => Assignment | undefined;
  readonly logger: Logger;
  /** Monotonic. */
  readonly elapsedMs?: () => number;
}

export class Publisher {
  readonly #options: PublisherOptions;
  /** In the order in which they were to be told first. */
  readonly #waiting = new Set<MachineId>();

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** Tells a machine its newest assignment, in one of the next turns of the loop. */
  tell(machine: MachineId): void {
    if (this.#waiting.size === 0) setImmediate(() => this.#tellSome());
    this.#waiting.add(machine);
  }

  wantLogs(machine: string, wanted: LogsWanted): void {
    const { nats, signer } = this.#options;
    nats.publish(requestSubject(machine), Envelope.encode(signer.logsWanted(machine, wanted)).finish());
  }

  /** Whoever waits is told by the next controller. */
  stop(): void {
    this.#waiting.clear();
  }

  #tellSome(): void {
    const { elapsedMs = () => performance.now() } = this.#options;
    const until = elapsedMs() + SLICE_MS;
    for (const machine of this.#waiting) {
      if (elapsedMs() >= until) return void setImmediate(() => this.#tellSome());
      this.#waiting.delete(machine);
      this.#tellNow(machine);
    }
  }

  #tellNow(machine: MachineId): void {
    const { nats, signer, assignmentFor, logger } = this.#options;
    try {
      const assignment = assignmentFor(machine);
      if (assignment === undefined) return;
      const payload = Envelope.encode(signer.assignment(assignment)).finish();
      if (payload.byteLength <= PAYLOAD_BYTES_MAX) nats.publish(assignmentSubject(machine), payload);
    } catch (error) {
      logger.error({ err: error, machineId: machine }, "machine not told");
    }
  }
}
