/** Ed25519 by node:crypto. */
import { verify } from "node:crypto";
import type { Verify } from "@muster/proto/trust/envelope.ts";

/** What stands before the 32 bytes in a SubjectPublicKeyInfo (RFC 8410). */
const SPKI_HEADER = Buffer.from("302a300506032b6570032100", "hex");

export const verifyEd25519: Verify = (publicKey, message, signature) =>
  verify(null, message, { key: Buffer.concat([SPKI_HEADER, publicKey]), format: "der", type: "spki" }, signature);
