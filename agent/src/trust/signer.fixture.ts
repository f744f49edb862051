/** For tests alone: a controller's keys, and what it signs with them, well or badly. */
import { generateKeyPairSync, sign } from "node:crypto";
import { type AssignmentKeys, type LogsWanted, SignedRequest } from "@muster/proto/gen/muster/v1/agent.ts";
import { Assignment, SignedAssignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { Envelope, type Signature } from "@muster/proto/gen/muster/v1/envelope.ts";
import { ASSIGNMENT_PAYLOAD, preAuthEncoding, REQUEST_PAYLOAD } from "@muster/proto/envelope.ts";
import { epochOf } from "@muster/proto/generation.ts";
import { keyidOf } from "./signatures.ts";

const HOUR_MS = 3_600_000;

export class SigningKey {
  readonly #pair = generateKeyPairSync("ed25519");
  readonly publicKey = Buffer.from(this.#pair.publicKey.export({ format: "jwk" }).x!, "base64url");
  readonly keyid = keyidOf(this.publicKey);

  sign(payloadType: string, payload: Uint8Array): Signature {
    return { sig: sign(null, preAuthEncoding(payloadType, payload), this.#pair.privateKey), keyid: this.keyid };
  }
}

export class Signer {
  readonly key = new SigningKey();
  readonly controllerId: string;
  now = (): number => Date.now();

  constructor(controllerId = "controller-1") {
    this.controllerId = controllerId;
  }

  announced(...more: readonly SigningKey[]): AssignmentKeys {
    return { controllerId: this.controllerId, keys: [this.key, ...more].map(({ keyid, publicKey }) => ({ keyid, publicKey })) };
  }

  seal(payloadType: string, payload: Uint8Array, by: readonly SigningKey[] = [this.key]): Envelope {
    return { payloadType, payload: Buffer.from(payload), signatures: by.map((key) => key.sign(payloadType, payload)) };
  }

  payload(assignment: Assignment, more: Partial<SignedAssignment> = {}): Uint8Array {
    const { machine, generation } = assignment;
    const issuedAt = more.issuedAt ?? this.now();
    const audience = { machine, controllerId: this.controllerId };
    return SignedAssignment.encode({ audience, epoch: epochOf(generation), generation, issuedAt, expiresAt: issuedAt + 24 * HOUR_MS, assignment, ...more }).finish();
  }

  assignment(assignment: Assignment, more: Partial<SignedAssignment> = {}): Envelope {
    return this.seal(ASSIGNMENT_PAYLOAD, this.payload(assignment, more));
  }

  request(machine: string, wanted: Partial<LogsWanted>, more: Partial<SignedRequest> = {}): Envelope {
    const issuedAt = more.issuedAt ?? this.now();
    const value: LogsWanted = { requestId: "r-1", app: "web", tailLines: 2, follow: false, ...wanted };
    const audience = { machine, controllerId: this.controllerId };
    const payload = SignedRequest.encode({ audience, issuedAt, expiresAt: issuedAt + HOUR_MS, request: { $case: "logsWanted", value }, ...more }).finish();
    return this.seal(REQUEST_PAYLOAD, payload);
  }
}

export function assignmentOf(machine: string, generation: number, version = "1"): Assignment {
  return Assignment.fromPartial({
    machine,
    generation,
    apps: [{
      app: "web",
      generation,
      deploymentId: "d-1",
      goal: { $case: "run", value: { app: "web", version, artifact: "a".repeat(64), ports: { http: 0, admin: 9000 }, driver: { $case: "process", value: { command: ["serve"], env: { A: "1", B: "2" }, stopTimeoutMs: 1000 } } } },
    }],
  });
}

export function bytesOf(envelope: Envelope): Uint8Array {
  return Envelope.encode(envelope).finish();
}
