/**
 * What is signed, byte for byte, as DSSE v1 has it (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md), and how large it may be.
 * Pure: signs nothing and checks no signature.
 */

/** Holds a `SignedAssignment`. */
export const ASSIGNMENT_PAYLOAD = "application/vnd.muster.assignment.v1+protobuf";
/** Holds a `SignedRequest`. */
export const REQUEST_PAYLOAD = "application/vnd.muster.request.v1+protobuf";

/** An assignment of a few hundred apps, with room to spare; the bound of one gRPC message. */
export const ENVELOPE_BYTES_MAX = 16 * 1024 * 1024;
/** More than any threshold; bounds the work that a stranger's envelope can make. */
export const SIGNATURES_MAX = 16;

/** DSSE's pre-authentication encoding. Lengths are of bytes, in decimal. */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Uint8Array {
  const encoder = new TextEncoder();
  const type = encoder.encode(payloadType);
  const head = encoder.encode(`DSSEv1 ${type.byteLength} ${payloadType} ${payload.byteLength} `);
  const encoded = new Uint8Array(head.byteLength + payload.byteLength);
  encoded.set(head);
  encoded.set(payload, head.byteLength);
  return encoded;
}
