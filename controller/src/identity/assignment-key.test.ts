import { createPrivateKey, createPublicKey, verify } from "node:crypto";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Assignment, SignedAssignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { SignedRequest } from "@muster/proto/gen/muster/v1/agent.ts";
import { preAuthEncoding } from "@muster/proto/envelope.ts";
import { generationOf } from "@muster/proto/generation.ts";
import { AssignmentKeys } from "./assignment-key.ts";
import { AssignmentSigner } from "./assignment-signer.ts";
import { Epoch, readEpoch } from "./epoch.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
let dir: string;
let now: number;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "muster-keys-"));
  now = 1_800_000_000_000;
});
afterEach(() => rmSync(dir, { recursive: true }));

const open = (): AssignmentKeys => AssignmentKeys.open(dir, () => now);
const file = (name: string): string => join(dir, "identity", name);
const keyids = (keys: AssignmentKeys): string[] => keys.announced().map(({ keyid }) => keyid);

describe("the signing key", () => {
  it("is made at the first start, and is the same at the next, for the controller alone to read", () => {
    const { keyid } = open().signing();
    expect(open().signing().keyid).toBe(keyid);
    expect(statSync(join(dir, "identity")).mode & 0o777).toBe(0o700);
    for (const name of readdirSync(join(dir, "identity"))) expect(statSync(file(name)).mode & 0o777).toBe(0o600);
    expect(createPrivateKey(readFileSync(file("assignment-signing.key"))).asymmetricKeyType).toBe("ed25519");
  });

  it("that others can read keeps the controller from starting", () => {
    open();
    chmodSync(file("assignment-signing.key"), 0o640);
    expect(open).toThrow(/assignment-signing\.key can be read by others/);
  });

  it("that is damaged or gone keeps the controller from starting, since agents believe no other", () => {
    open();
    renameSync(file("assignment-signing.key"), file("elsewhere"));
    expect(open).toThrow(/assignment-signing\.key is gone.*restore it/);
    writeFileSync(file("assignment-signing.key"), "no key", { mode: 0o600 });
    expect(open).toThrow(/does not hold an Ed25519 key/);
  });
});

describe("a rotation", () => {
  it("announces the new key a minute before it signs, and the old one for as long as its envelopes are good", () => {
    const keys = open();
    const old = keys.signing().keyid;
    const heard: string[][] = [];
    keys.onAnnounce(() => void heard.push(keyids(keys)));
    keys.rotate();
    const [, next] = keyids(keys);
    expect(heard).toEqual([[old, next]]);
    now += MINUTE_MS - 1;
    expect(keys.signing().keyid).toBe(old);
    now += 1;
    expect(keys.signing().keyid).toBe(next);
    expect(keyids(keys)).toEqual([next, old]);
    now += DAY_MS - 1;
    expect(keyids(keys)).toEqual([next, old]);
    now += 1;
    expect(keyids(keys)).toEqual([next]);
  });

  it("goes on where it was after a restart at any moment", () => {
    open().rotate();
    const [old, next] = keyids(open());
    expect(open().signing().keyid).toBe(old);
    now += MINUTE_MS;
    expect(open().signing().keyid).toBe(next);
    expect(keyids(open())).toEqual([next, old]);
  });

  it("that was written down and not carried out is carried out", () => {
    const keys = open();
    keys.rotate();
    const [old, next] = keyids(keys);
    now += MINUTE_MS;
    const before = readFileSync(file("assignment-signing.next.key"));
    const was = readFileSync(file("assignment-signing.key"));
    keys.signing();
    // As if it had died before the new key took the old one's place.
    writeFileSync(file("assignment-signing.next.key"), before, { mode: 0o600 });
    writeFileSync(file("assignment-signing.key"), was, { mode: 0o600 });
    const again = open();
    expect(again.signing().keyid).toBe(next);
    expect(keyids(again)).toEqual([next, old]);
  });

  it("changes nothing about whose envelopes they are, and a second one waits for the first", () => {
    const keys = open();
    const { controllerId } = keys;
    keys.rotate();
    keys.rotate();
    expect(keyids(keys)).toHaveLength(2);
    now += MINUTE_MS;
    keys.signing();
    expect([keys.controllerId, open().controllerId]).toEqual([controllerId, controllerId]);
  });
});

describe("what is signed", () => {
  it("is for one machine, of this controller and epoch, good for a day, in generations of the wire", () => {
    const keys = open();
    const signer = new AssignmentSigner(keys, new Epoch(2), () => now, (assignment) => assignment);
    const envelope = signer.assignment(Assignment.fromPartial({ machine: "m-1", generation: 7, apps: [{ app: "a", generation: 5 }, { app: "b", generation: 7 }] }));
    const signed = SignedAssignment.decode(envelope.payload);
    expect(signed).toMatchObject({ audience: { machine: "m-1", controllerId: keys.controllerId }, epoch: 2, generation: generationOf(2, 7), issuedAt: now, expiresAt: now + DAY_MS });
    expect(signed.assignment!.apps.map(({ generation }) => generation)).toEqual([generationOf(2, 5), generationOf(2, 7)]);

    const [{ keyid, sig }] = envelope.signatures as [{ keyid: string; sig: Buffer }];
    const { publicKey } = keys.announced().find((key) => key.keyid === keyid)!;
    const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: publicKey.toString("base64url") }, format: "jwk" });
    expect(verify(null, preAuthEncoding(envelope.payloadType, envelope.payload), key, sig)).toBe(true);
  });

  it("as a request is good for five minutes", () => {
    const signer = new AssignmentSigner(open(), new Epoch(0), () => now, (assignment) => assignment);
    const signed = SignedRequest.decode(signer.logsWanted("m-1", { requestId: "r", app: "web", tailLines: 1, follow: false }).payload);
    expect(signed).toMatchObject({ audience: { machine: "m-1" }, issuedAt: now, expiresAt: now + 5 * MINUTE_MS, request: { $case: "logsWanted", value: { requestId: "r" } } });
  });
});

describe("the epoch", () => {
  it("is 0 until a restore has written another", () => {
    expect(readEpoch(dir).number).toBe(0);
    open();
    writeFileSync(file("epoch"), "5\n", { mode: 0o600 });
    expect(readEpoch(dir).number).toBe(5);
  });

  it("knows its own generations alone", () => {
    const epoch = new Epoch(1);
    expect(epoch.fromWire(epoch.toWire(7))).toBe(7);
    expect([epoch.fromWire(7), epoch.fromWire(generationOf(2, 7)), epoch.fromWire(0)]).toEqual([0, 0, 0]);
  });

  it("that cannot be read is said", () => {
    open();
    for (const text of ["", "x", "-1", "8192"]) {
      writeFileSync(file("epoch"), text, { mode: 0o600 });
      expect(() => readEpoch(dir)).toThrow(/epoch does not hold an epoch/);
    }
  });
});
