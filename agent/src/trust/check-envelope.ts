/**
 * Whether an agent believes what it was sent. Told all that it needs, it keeps nothing, logs nothing and asks no clock.
 *
 * The order is the point: what is large is not read, what is not signed is not interpreted, what is for others or older is not even asked for its age.
 */
import { createHash } from "node:crypto";
import { durationText } from "@muster/proto/duration.ts";
import { SignedRequest } from "@muster/proto/gen/muster/v1/agent.ts";
import { Assignment, SignedAssignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { type Audience, Envelope } from "@muster/proto/gen/muster/v1/envelope.ts";
import { ASSIGNMENT_PAYLOAD, ENVELOPE_BYTES_MAX, REQUEST_PAYLOAD, SIGNATURES_MAX } from "@muster/proto/envelope.ts";
import { epochOf, numberOf } from "@muster/proto/generation.ts";
import type { RefusalCode } from "@muster/proto/refusal.ts";
import { goodSignatures, type Keys } from "./signatures.ts";

/** The newest assignment that was taken. */
export interface Highest {
  /** 0: none. */
  readonly generation: number;
  /** Of contentOf; empty when it is not known. */
  readonly content: string;
}

export interface Listener {
  readonly machine: string;
  /** Empty before the first session: then nobody is believed. */
  readonly controllerId: string;
  readonly keys: Keys;
  readonly highest: Highest;
  /** Wall clock. */
  readonly now: number;
  /** Since it was signed, by this machine's clock. */
  readonly maxAgeMs: number;
}

/** `message` goes on from "the assignment". */
export interface Refused {
  readonly ok: false;
  readonly code: RefusalCode;
  readonly message: string;
  /** Of the refused, once a signature was found good; 0 before. */
  readonly generation: number;
}

export interface Believed {
  readonly ok: true;
  readonly assignment: Assignment;
  readonly highest: Highest;
  /** How far ahead of this machine's clock it was signed; at most 0 when it was not. */
  readonly aheadMs: number;
}

/** What a Date can hold. */
const INSTANT_MAX = 8.64e15;

/**
 * Protobuf lets the same be written in several ways, and readers are lenient besides: whoever carries an envelope could change bytes of it and not be noticed. So it
 * is read in the one way alone in which it is written.
 */
export function readEnvelope(bytes: Uint8Array): { readonly ok: true; readonly envelope: Envelope } | Refused {
  if (bytes.byteLength > ENVELOPE_BYTES_MAX) return refused("too_large", `has ${bytes.byteLength} bytes: at most ${ENVELOPE_BYTES_MAX} are read`);
  const envelope = decode(Envelope, bytes);
  const isPlain = envelope !== undefined && Buffer.compare(Envelope.encode(envelope).finish(), bytes) === 0;
  return isPlain ? { ok: true, envelope } : refused("unreadable", "is no envelope");
}

export function checkEnvelope(envelope: Envelope, listener: Listener): Believed | Refused {
  const fault = faultOfSeal(envelope, ASSIGNMENT_PAYLOAD, listener.keys);
  if (fault !== undefined) return fault;
  const signed = decode(SignedAssignment, envelope.payload);
  const { assignment, audience, epoch = 0, generation = 0, issuedAt = -1, expiresAt = -1 } = signed ?? {};
  const isWhole = assignment !== undefined && assignment.generation === generation && generation >= 1 && epochOf(generation) === epoch;
  if (!isWhole || !isInstant(issuedAt) || !isInstant(expiresAt)) return refused("unreadable", "is signed, but not in a form that this agent can read: is it older than its controller?");
  const { highest, now } = listener;
  const misled = faultOfAudience(audience, listener) ?? (assignment.machine === listener.machine ? undefined : refused("wrong_audience", `is for the machine ${assignment.machine}`));
  if (misled !== undefined) return { ...misled, generation };
  const content = contentOf(assignment);
  const believed: Believed = { ok: true, assignment, highest: { generation, content }, aheadMs: issuedAt - now };
  if (generation === highest.generation) {
    // What was taken when it was fresh does not become less true.
    if (highest.content === "" || highest.content === content) return believed;
    return refused("other_content", `is of generation ${text(generation)} like the one that was taken, but says something else`, generation);
  }
  if (generation < highest.generation) return { ...older(generation, highest.generation), generation };
  const aged = faultOfAge(issuedAt, expiresAt, now, listener.maxAgeMs);
  return aged === undefined ? believed : { ...aged, generation };
}

/** Of `request`, that which is expired by `now` is refused; that it comes but once is for the caller to see. */
export function checkRequest(envelope: Envelope, listener: Omit<Listener, "highest">): { readonly ok: true; readonly request: SignedRequest } | Refused {
  const fault = faultOfSeal(envelope, REQUEST_PAYLOAD, listener.keys);
  if (fault !== undefined) return fault;
  const request = decode(SignedRequest, envelope.payload);
  if (request?.request === undefined || !isInstant(request.issuedAt) || !isInstant(request.expiresAt)) {
    return refused("unreadable", "is signed, but not in a form that this agent can read: is it older than its controller?");
  }
  const refusal = faultOfAudience(request.audience, listener) ?? faultOfAge(request.issuedAt, request.expiresAt, listener.now, listener.maxAgeMs);
  return refusal ?? { ok: true, request };
}

/** The same for the same assignment, however it was encoded, whatever it was signed with, and to whichever of this machine's keys its secrets are sealed. */
export function contentOf(assignment: Assignment): string {
  const apps = assignment.apps.map((app) => (app.secrets === undefined ? app : { ...app, secrets: { ...app.secrets, sealed: undefined } }));
  return createHash("sha256").update(canonical(Assignment.toJSON({ ...assignment, apps }))).digest("hex");
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  return `{${entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, each]) => `${JSON.stringify(key)}:${canonical(each)}`).join(",")}}`;
}

function faultOfSeal(envelope: Envelope, payloadType: string, keys: Keys): Refused | undefined {
  const { payload, signatures } = envelope;
  if (payload.byteLength > ENVELOPE_BYTES_MAX || signatures.length > SIGNATURES_MAX) {
    return refused("too_large", `has ${payload.byteLength} bytes and ${signatures.length} signatures: at most ${ENVELOPE_BYTES_MAX} and ${SIGNATURES_MAX} are read`);
  }
  if (envelope.payloadType !== payloadType) return refused("wrong_payload_type", `is said to be ${JSON.stringify(envelope.payloadType.slice(0, 80))}`);
  if (goodSignatures(envelope, keys).size > 0) return undefined;
  const known = signatures.find(({ keyid }) => keys.has(keyid));
  if (known !== undefined) return refused("bad_signature", `was changed after it was signed, or never signed with the key ${known.keyid.slice(0, 12)} that it names`);
  const [first] = signatures;
  if (first === undefined) return refused("unknown_key", "is not signed");
  return refused("unknown_key", `is signed with the key ${JSON.stringify(first.keyid.slice(0, 12))}, which is none of this machine's controller`);
}

function faultOfAudience(audience: Audience | undefined, { machine, controllerId }: Pick<Listener, "machine" | "controllerId">): Refused | undefined {
  if (audience?.machine !== machine) return refused("wrong_audience", `is for the machine ${audience?.machine ?? "of nobody"}`);
  if (audience.controllerId === controllerId) return undefined;
  return refused("wrong_audience", `is of the controller ${audience.controllerId.slice(0, 12)}, and this machine belongs to ${controllerId.slice(0, 12)}`);
}

function older(generation: number, taken: number): Refused {
  if (epochOf(generation) === epochOf(taken)) return refused("older_generation", `is of generation ${text(generation)}, and ${text(taken)} was taken before`);
  return refused("older_epoch", `is of generation ${text(generation)}, and ${text(taken)} was taken before: the controller stands where it stood before it was restored`);
}

/** One from the future is let through: that is a machine whose clock is behind, as after booting without a battery, and what is older than what it has is refused by its number. */
function faultOfAge(issuedAt: number, expiresAt: number, now: number, maxAgeMs: number): Refused | undefined {
  const clocks = `it is ${moment(now)} by this machine's clock`;
  if (now >= expiresAt) return refused("expired", `was good until ${moment(expiresAt)}, and ${clocks}`);
  if (now - issuedAt > maxAgeMs) return refused("not_fresh", `was signed at ${moment(issuedAt)}, and ${clocks}: more than the ${durationText(maxAgeMs)} of --max-assignment-age`);
  return undefined;
}

/** As the controller shows it; with the epoch when there was more than one. */
function text(generation: number): string {
  const epoch = epochOf(generation);
  return epoch === 0 ? String(generation) : `${numberOf(generation)} of epoch ${epoch}`;
}

function moment(at: number): string {
  return new Date(at).toISOString();
}

function isInstant(value: number): boolean {
  return value >= 0 && value <= INSTANT_MAX;
}

function decode<T>(type: { decode(bytes: Uint8Array): T }, bytes: Uint8Array): T | undefined {
  try {
    return type.decode(bytes);
  } catch {
    return undefined;
  }
}

export function refused(code: RefusalCode, message: string, generation = 0): Refused {
  return { ok: false, code, message, generation };
}
