/** For tests alone: publishers with keys, and what they sign. */
import { generateKeyPairSync, type KeyObject, sign, verify as verifyWith } from "node:crypto";
import { Release } from "../gen/muster/v1/release.ts";
import { type Envelope, formatEnvelope, type Signature, type Verify } from "./envelope.ts";
import { preAuthEncoding } from "../envelope.ts";
import { type PublicKey, publicKeyOf } from "./public-key.ts";
import { RELEASE_TYPE, releaseBytes } from "./release-bytes.ts";
import { type AppRule, encodeRoot, TRUST_ROOT_TYPE, type TrustRoot } from "./root.ts";

const SPKI_HEADER = Buffer.from("302a300506032b6570032100", "hex");

export const verify: Verify = (publicKey, message, signature) =>
  verifyWith(null, message, { key: Buffer.concat([SPKI_HEADER, publicKey]), format: "der", type: "spki" }, signature);

export interface Publisher {
  readonly name: string;
  readonly key: PublicKey;
  sign(payloadType: string, payload: Uint8Array): Signature;
}

export function publisher(name: string): Publisher {
  const pair: { publicKey: KeyObject; privateKey: KeyObject } = generateKeyPairSync("ed25519");
  const key = publicKeyOf(pair.publicKey.export({ format: "der", type: "spki" }).subarray(SPKI_HEADER.length));
  return { name, key, sign: (type, payload) => ({ keyId: key, bytes: sign(null, preAuthEncoding(type, payload), pair.privateKey) }) };
}

export const NOW = Date.UTC(2026, 0, 1);
export const LATER = Date.UTC(2027, 0, 1);

export function trustRoot(changes: Partial<TrustRoot> & { readonly publishers: readonly Publisher[] }): TrustRoot {
  const { publishers, ...rest } = changes;
  return { version: 1, expiresAt: LATER, keys: new Map(publishers.map(({ name, key }) => [name, key])), root: { keys: [publishers[0]!.name], threshold: 1 }, apps: new Map(), ...rest };
}

export function rule(threshold: number, ...publishers: readonly Publisher[]): AppRule {
  return { keys: publishers.map(({ name }) => name), threshold, floor: null };
}

export function signRoot(root: TrustRoot, ...by: readonly Publisher[]): string {
  return envelopeText(TRUST_ROOT_TYPE, encodeRoot(root), by);
}

export function signRelease(release: Release, ...by: readonly Publisher[]): Release {
  return { ...release, signed: envelopeText(RELEASE_TYPE, releaseBytes(release), by) };
}

export function envelopeText(payloadType: string, payload: Uint8Array, by: readonly Publisher[]): string {
  const envelope: Envelope = { payloadType, payload, signatures: by.map((each) => each.sign(payloadType, payload)) };
  return formatEnvelope(envelope);
}

export function release(app = "shop-web", version = "1.4.2"): Release {
  return Release.fromPartial({
    app,
    version,
    artifact: "a".repeat(64),
    driver: { $case: "process", value: { command: ["node", "server.js"], env: { PORT: "${ports.http}", EMPTY: "" }, stopTimeoutMs: 10_000 } },
    ports: { http: 0 },
    health: [{ check: { $case: "http", value: { url: "http://127.0.0.1:${ports.http}/healthz" } }, intervalMs: 1_000, timeoutMs: 500, healthyAfter: 2, unhealthyAfter: 3 }],
  });
}
