/** For tests alone: the public halves that a machine sends, with a request that may ask for more than it should get. */
import "reflect-metadata";
import { randomBytes, webcrypto } from "node:crypto";
import { formatPublicNkey } from "@muster/proto/nkey.ts";
import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from "@peculiar/x509";
import type { MachineKeys } from "./membership.ts";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** `uri`: a name that it would like to have. */
export async function machineKeys(uri?: string): Promise<MachineKeys> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: "CN=somebody",
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: uri === undefined ? [] : [new SubjectAlternativeNameExtension([{ type: "url", value: uri }])],
  });
  return { certificateRequest: Buffer.from(request.rawData), natsKey: formatPublicNkey("user", randomBytes(32)), sealingKey: randomBytes(32) };
}
