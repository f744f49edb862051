import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256, OpenError } from "@hpke/core";
import { AppAssignment, Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { SecretValues } from "@muster/proto/gen/muster/v1/secrets.ts";
import { SEALING_INFO, sealingContext } from "@muster/proto/sealing.ts";
import pino from "pino";
import { beforeEach, describe, expect, it } from "vitest";
import { Sealer } from "./sealer.ts";
import { SecretsError } from "./secrets-error.ts";

const VALUES = new Map([["db@1", "value-one"], ["db@2", "value-two"], ["tls@1", "value-key"]]);
let asked: string[];
let removals: number;
let logged: string[];
let keys: Map<string, { readonly keyId: string; readonly privateKey: KeyObject }>;

beforeEach(() => {
  asked = [];
  logged = [];
  removals = 0;
  keys = new Map();
  for (const machine of ["m-1", "m-2"]) renew(machine, "k1");
});

function renew(machine: string, keyId: string): void {
  keys.set(machine, { keyId, privateKey: generateKeyPairSync("x25519").privateKey });
}

function sealer(): Sealer {
  return new Sealer({
    secrets: {
      get removals() {
        return removals;
      },
      value: (name, version) => {
        asked.push(`${name}@${version}`);
        if (name === "broken") throw new SecretsError("damaged", "was changed");
        const value = VALUES.get(`${name}@${version}`);
        return value === undefined || removals > 0 ? undefined : Buffer.from(value);
      },
    },
    sealingKeyOf: (machine) => {
      const key = keys.get(machine);
      return key && { keyId: key.keyId, publicKey: createPublicKey(key.privateKey).export({ format: "der", type: "spki" }).subarray(-32) };
    },
    logger: pino({ level: "trace" }, { write: (line: string) => void logged.push(line) }),
  });
}

const app = (name: string, generation: number, versions: Record<string, number> | undefined): AppAssignment =>
  AppAssignment.fromPartial({ app: name, generation, goal: { $case: "run", value: { app: name, version: "1.0" } }, ...(versions === undefined ? {} : { secrets: { versions } }) });
const assignment = (machine: string, ...apps: AppAssignment[]): Assignment => ({ machine, generation: 9, apps });

async function opened(machine: string, { app: name, generation, secrets }: AppAssignment, as = machine): Promise<Record<string, string> | undefined> {
  const sealed = secrets?.sealed;
  if (sealed === undefined) return undefined;
  const suite = new CipherSuite({ kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });
  const raw = keys.get(as)!.privateKey.export({ format: "der", type: "pkcs8" }).subarray(-32);
  const recipientKey = await suite.kem.importKey("raw", new Uint8Array(raw).buffer, false);
  const context = await suite.createRecipientContext({ recipientKey, enc: new Uint8Array(sealed.enc).buffer, info: new TextEncoder().encode(SEALING_INFO).buffer as ArrayBuffer });
  const aad = sealingContext({ machine, app: name, generation, version: "1.0", secrets: secrets!.versions });
  const plaintext = await context.open(new Uint8Array(sealed.ciphertext).buffer, new TextEncoder().encode(aad).buffer as ArrayBuffer);
  return Object.fromEntries(Object.entries(SecretValues.decode(new Uint8Array(plaintext)).values).map(([key, value]) => [key, value.toString()]));
}

describe("an assignment that leaves", () => {
  it("holds the secrets of each app, sealed to its machine and to no other", async () => {
    const sealed = sealer().seal(assignment("m-1", app("db", 3, { db: 2, tls: 1 }), app("plain", 4, undefined), app("web", 5, { db: 1 })));
    expect(await Promise.all(sealed.apps.map((each) => opened("m-1", each)))).toEqual([{ db: "value-two", tls: "value-key" }, undefined, { db: "value-one" }]);
    await expect(opened("m-1", sealed.apps[0]!, "m-2")).rejects.toThrow(OpenError);
    const bytes = Buffer.from(Assignment.encode(sealed).finish());
    for (const value of VALUES.values()) expect(bytes.includes(value)).toBe(false);
    expect(Assignment.decode(bytes).apps[0]!.secrets).toMatchObject({ versions: { db: 2, tls: 1 }, sealed: { keyId: "k1" } });
  });

  it("says little by its length", () => {
    const length = (versions: Record<string, number>): number => sealer().seal(assignment("m-1", app("web", 1, versions))).apps[0]!.secrets!.sealed!.ciphertext.length;
    VALUES.set("db@3", "x".repeat(200));
    expect(length({ db: 3 }) - length({ db: 1 })).toBeLessThan(3);
  });

  it("is sealed once for each generation and key", async () => {
    const one = sealer();
    const first = one.seal(assignment("m-1", app("web", 3, { db: 1 })));
    expect(one.seal(assignment("m-1", app("web", 3, { db: 1 })))).toEqual(first);
    expect(asked).toEqual(["db@1"]);
    one.seal(assignment("m-1", app("web", 4, { db: 1 })));
    renew("m-1", "k2");
    const renewed = one.seal(assignment("m-1", app("web", 4, { db: 1 })));
    expect(asked).toHaveLength(3);
    expect(await opened("m-1", renewed.apps[0]!)).toEqual({ db: "value-one" });
  });

  it("is as it was built when there is nothing to seal", () => {
    const plain = assignment("m-1", app("web", 3, undefined));
    expect(sealer().seal(plain)).toBe(plain);
  });

  it("holds nothing of a secret that has been removed, not even what was sealed before", () => {
    const one = sealer();
    one.seal(assignment("m-1", app("web", 3, { db: 1 })));
    removals = 1;
    expect(one.seal(assignment("m-1", app("web", 3, { db: 1 }))).apps[0]!.secrets).toEqual({ versions: { db: 1 }, sealed: undefined });
    expect(logged.join("")).toContain("one was removed");
  });

  it("goes without secrets to a machine that has no key, and without those that can't be opened", () => {
    const without = (machine: string, versions: Record<string, number>): unknown => sealer().seal(assignment(machine, app("web", 3, versions))).apps[0]!.secrets?.sealed;
    expect([without("m-9", { db: 1 }), without("m-1", { broken: 1 }), without("m-1", { db: 9 })]).toEqual([undefined, undefined, undefined]);
    expect(logged).toHaveLength(3);
    expect(logged.join("")).not.toMatch(/value-/);
  });

  it("keeps so much at hand at most", () => {
    VALUES.set("big@1", "x".repeat(64 * 1024 * 700));
    const one = sealer();
    one.seal(assignment("m-1", app("web", 3, { big: 1 })));
    one.seal(assignment("m-2", app("web", 3, { big: 1 })));
    one.seal(assignment("m-2", app("web", 3, { big: 1 })));
    one.seal(assignment("m-1", app("web", 3, { big: 1 })));
    expect(asked).toEqual(["big@1", "big@1", "big@1"]);
  });
});
