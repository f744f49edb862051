/**
 * A DSSE envelope as JSON: a payload, its type, and signatures over both. Releases and trust roots are signed in it.
 *
 * Always holds: nothing of the payload is read here, and a text that is too long is refused before anything of it is read.
 */
import { fromBase64, toBase64 } from "./base64.ts";
import { preAuthEncoding } from "../envelope.ts";
import { type PublicKey, publicKeyBytes } from "./public-key.ts";

export interface Envelope {
  readonly payloadType: string;
  readonly payload: Uint8Array;
  readonly signatures: readonly Signature[];
}

export interface Signature {
  /** The public key's text. Only a hint of whose it is: it counts when it verifies under a key that is asked for. */
  readonly keyId: string;
  readonly bytes: Uint8Array;
}

/** Ed25519 (RFC 8032); the key's 32 bytes. */
export type Verify = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean;

export type ReadEnvelope = { readonly ok: true; readonly envelope: Envelope } | { readonly ok: false; readonly message: string };

/** More signers than any threshold asks for; bounds what checking costs. */
export const SIGNATURES_MAX = 32;
const SIGNATURE_BYTES = 64;

export function readEnvelope(text: string, charsMax: number): ReadEnvelope {
  if (text.length > charsMax) return refused(`it has ${text.length} characters; at most ${charsMax} are read`);
  const found = record(parsed(text), ["payload", "payloadType", "signatures"]);
  if (found === undefined) return refused("it is not a DSSE envelope in JSON");
  const { payloadType, payload, signatures } = found;
  const bytes = typeof payload === "string" ? fromBase64(payload) : undefined;
  if (typeof payloadType !== "string" || bytes === undefined) return refused("its payload can't be read");
  if (!Array.isArray(signatures) || signatures.length > SIGNATURES_MAX) return refused(`its signatures are no list of at most ${SIGNATURES_MAX}`);
  const read = signatures.map(signatureOf);
  if (!read.every((signature) => signature !== undefined)) return refused("one of its signatures can't be read");
  return { ok: true, envelope: { payloadType, payload: bytes, signatures: read } };
}

export function formatEnvelope({ payloadType, payload, signatures }: Envelope): string {
  return JSON.stringify({
    payloadType,
    payload: toBase64(payload),
    signatures: signatures.map(({ keyId, bytes }) => ({ keyid: keyId, sig: toBase64(bytes) })),
  });
}

/** Those of the keys that have signed it. Each counts once, however often it has. */
export function signersOf({ payloadType, payload, signatures }: Envelope, keys: ReadonlySet<PublicKey>, verify: Verify): ReadonlySet<PublicKey> {
  const message = preAuthEncoding(payloadType, payload);
  const signers = [...keys].filter((key) => signatures.some(({ keyId, bytes }) => keyId === key && verify(publicKeyBytes(key), message, bytes)));
  return new Set(signers);
}

/** Both have the same payload. One signature of each key; where both have one, the newer. */
export function withSignatures(envelope: Envelope, newer: readonly Signature[]): Envelope {
  const byKey = new Map([...envelope.signatures, ...newer].map((signature) => [signature.keyId, signature]));
  return { ...envelope, signatures: [...byKey.values()].toSorted((a, b) => (a.keyId < b.keyId ? -1 : 1)) };
}

function signatureOf(value: unknown): Signature | undefined {
  const found = record(value, ["keyid", "sig"]);
  if (found === undefined || typeof found["keyid"] !== "string" || typeof found["sig"] !== "string") return undefined;
  const bytes = fromBase64(found["sig"]);
  return bytes?.length === SIGNATURE_BYTES ? { keyId: found["keyid"], bytes } : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** An object with just these names. */
export function record(value: unknown, names: readonly string[]): Readonly<Record<string, unknown>> | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const found = Object.keys(value);
  return found.length === names.length && names.every((name) => found.includes(name)) ? (value as Record<string, unknown>) : undefined;
}

function refused(message: string): ReadEnvelope {
  return { ok: false, message };
}
