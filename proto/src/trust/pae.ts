/**
 * DSSE's pre-authentication encoding: the bytes that a signature is over. It binds the payload to its type, so that a signature of one kind of thing is
 * never one of another. https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
 */

const SPACE = new Uint8Array([0x20]);

/** `DSSEv1 LEN(type) type LEN(payload) payload`, lengths in bytes. */
export function pae(payloadType: string, payload: Uint8Array): Uint8Array {
  const type = encode(payloadType);
  return join([encode("DSSEv1"), SPACE, encode(String(type.length)), SPACE, type, SPACE, encode(String(payload.length)), SPACE, payload]);
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
