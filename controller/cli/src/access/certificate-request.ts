/**
 * A P-256 key made here, and the request for a certificate of it: PKCS#10 (RFC 2986) with an empty name, since the controller gives the name.
 */
import { generateKeyPairSync, sign } from "node:crypto";

export interface RequestedCertificate {
  /** PEM, PKCS#8. */
  readonly key: string;
  /** DER. */
  readonly request: Buffer;
}

const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OBJECT_IDENTIFIER = 0x06;
const SEQUENCE = 0x30;
const ATTRIBUTES = 0xa0;
/** 1.2.840.10045.4.3.2 */
const ECDSA_WITH_SHA256 = Buffer.from("2a8648ce3d040302", "hex");

export function requestCertificate(): RequestedCertificate {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const info = der(SEQUENCE, der(INTEGER, Buffer.from([0])), der(SEQUENCE), publicKey.export({ type: "spki", format: "der" }), der(ATTRIBUTES));
  const signature = sign("sha256", info, privateKey);
  const request = der(SEQUENCE, info, der(SEQUENCE, der(OBJECT_IDENTIFIER, ECDSA_WITH_SHA256)), der(BIT_STRING, Buffer.from([0]), signature));
  return { key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(), request };
}

/** A tag, the length (short form below 128, else one or two bytes), the content. */
function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
