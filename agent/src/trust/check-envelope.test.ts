import fc from "fast-check";
import { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Envelope } from "@muster/proto/gen/muster/v1/envelope.ts";
import { ASSIGNMENT_PAYLOAD, ENVELOPE_BYTES_MAX, preAuthEncoding, REQUEST_PAYLOAD, SIGNATURES_MAX } from "@muster/proto/envelope.ts";
import { generationOf } from "@muster/proto/generation.ts";
import { describe, expect, it } from "vitest";
import { checkEnvelope, checkRequest, contentOf, type Listener, readEnvelope } from "./check-envelope.ts";
import { goodSignatures, keyOf } from "./signatures.ts";
import { assignmentOf, bytesOf, Signer, SigningKey } from "./signer.fixture.ts";

const NOW = 1_800_000_000_000;
const MINUTE_MS = 60_000;
const signer = new Signer();
signer.now = () => NOW;
const stranger = new SigningKey();
const nine = assignmentOf("m-1", 9);

const keysOf = (...keys: readonly SigningKey[]) => new Map(keys.map(({ keyid, publicKey }) => [keyid, keyOf(publicKey)!]));
const listener = (more: Partial<Listener> = {}): Listener => ({
  machine: "m-1",
  controllerId: signer.controllerId,
  keys: keysOf(signer.key),
  highest: { generation: 8, content: "" },
  now: NOW,
  maxAgeMs: 60 * MINUTE_MS,
  ...more,
});
const code = (envelope: Envelope, more: Partial<Listener> = {}): string => {
  const checked = checkEnvelope(envelope, listener(more));
  return checked.ok ? "ok" : checked.code;
};

describe("an assignment is believed", () => {
  it("that is for this machine, of its controller, newer, fresh and signed", () => {
    expect(checkEnvelope(signer.assignment(nine), listener())).toEqual({ ok: true, assignment: nine, highest: { generation: 9, content: contentOf(nine) }, aheadMs: 0 });
  });

  it("that was taken before, however old it is by now, when it says the same", () => {
    const highest = { generation: 9, content: contentOf(nine) };
    expect(code(signer.assignment(nine), { highest, now: NOW + 48 * 60 * MINUTE_MS })).toBe("ok");
  });

  it("that says the same in another order of its maps", () => {
    const turned = Assignment.decode(Assignment.encode(nine).finish());
    const release = turned.apps[0]!.goal!;
    if (release.$case !== "run") throw new Error("runs nothing");
    release.value.ports = { admin: 9000, http: 0 };
    expect(bytesOf(signer.assignment(turned))).not.toEqual(bytesOf(signer.assignment(nine)));
    expect(contentOf(turned)).toBe(contentOf(nine));
  });

  it("of a later epoch, whatever its number there", () => {
    expect(code(signer.assignment(assignmentOf("m-1", generationOf(1, 1))))).toBe("ok");
  });

  it("from the future, since the clock of this machine may stand behind, and says how far", () => {
    expect(checkEnvelope(signer.assignment(nine), listener({ now: 0 }))).toMatchObject({ ok: true, aheadMs: NOW });
  });

  it("that is signed by a stranger, too", () => {
    expect(code(signer.seal(ASSIGNMENT_PAYLOAD, signer.payload(nine), [stranger, signer.key]))).toBe("ok");
  });

  it("until the last millisecond of its freshness and of its life", () => {
    expect(code(signer.assignment(nine), { now: NOW + 60 * MINUTE_MS })).toBe("ok");
    expect(code(signer.assignment(nine, { expiresAt: NOW + 1 }))).toBe("ok");
  });
});

describe("an assignment is refused", () => {
  it("for another machine, or of another controller", () => {
    expect(code(signer.assignment(assignmentOf("m-2", 9)))).toBe("wrong_audience");
    expect(code(signer.assignment(assignmentOf("m-2", 9), { audience: { machine: "m-1", controllerId: signer.controllerId } }))).toBe("wrong_audience");
    expect(code(signer.assignment(nine, { audience: { machine: "m-1", controllerId: "controller-2" } }))).toBe("wrong_audience");
    expect(code(signer.assignment(nine, { audience: undefined }))).toBe("wrong_audience");
  });

  it("of an older generation, or an older epoch, saying both numbers", () => {
    expect(checkEnvelope(signer.assignment(nine), listener({ highest: { generation: 10, content: "" } }))).toMatchObject({ code: "older_generation", message: "is of generation 9, and 10 was taken before", generation: 9 });
    expect(checkEnvelope(signer.assignment(nine), listener({ highest: { generation: generationOf(2, 5), content: "" } }))).toMatchObject({
      code: "older_epoch",
      message: expect.stringContaining("is of generation 9, and 5 of epoch 2 was taken before") as string,
    });
  });

  it("of the generation that was taken, with other content", () => {
    expect(code(signer.assignment(assignmentOf("m-1", 9, "2")), { highest: { generation: 9, content: contentOf(nine) } })).toBe("other_content");
  });

  it("that is expired", () => {
    expect(code(signer.assignment(nine, { expiresAt: NOW }))).toBe("expired");
  });

  it("that was signed too long ago, saying what this machine's clock says", () => {
    const checked = checkEnvelope(signer.assignment(nine), listener({ now: NOW + 60 * MINUTE_MS + 1 }));
    expect(checked).toMatchObject({ code: "not_fresh", message: expect.stringContaining("2027-01-15T09:00:00.001Z by this machine's clock") as string });
  });

  it("by an unknown key, or without any signature, or before any key is known", () => {
    expect(code(signer.seal(ASSIGNMENT_PAYLOAD, signer.payload(nine), [stranger]))).toBe("unknown_key");
    expect(code({ ...signer.assignment(nine), signatures: [] })).toBe("unknown_key");
    expect(code(signer.assignment(nine), { keys: new Map(), controllerId: "" })).toBe("unknown_key");
  });

  it("whose signature is that of a stranger under the name of a known key", () => {
    const [signature] = signer.seal(ASSIGNMENT_PAYLOAD, signer.payload(nine), [stranger]).signatures;
    expect(code({ ...signer.assignment(nine), signatures: [{ ...signature!, keyid: signer.key.keyid }] })).toBe("bad_signature");
  });

  it("whose signature names another known key than the one that made it", () => {
    const second = new SigningKey();
    const [signature] = signer.assignment(nine).signatures;
    expect(code({ ...signer.assignment(nine), signatures: [{ ...signature!, keyid: second.keyid }] }, { keys: keysOf(signer.key, second) })).toBe("bad_signature");
  });

  it("whose payload is that of another envelope", () => {
    expect(code({ ...signer.assignment(nine), payload: signer.assignment(assignmentOf("m-1", 10)).payload })).toBe("bad_signature");
  });

  it("that was signed as something else, under either name", () => {
    const request = signer.request("m-1", {});
    expect(code(request)).toBe("wrong_payload_type");
    expect(code({ ...request, payloadType: ASSIGNMENT_PAYLOAD })).toBe("bad_signature");
    expect(code(signer.seal(REQUEST_PAYLOAD, signer.payload(nine)))).toBe("wrong_payload_type");
  });

  it("that is signed, but makes no sense", () => {
    expect(code(signer.seal(ASSIGNMENT_PAYLOAD, new Uint8Array([255, 255])))).toBe("unreadable");
    expect(code(signer.seal(ASSIGNMENT_PAYLOAD, new Uint8Array()))).toBe("unreadable");
    expect(code(signer.assignment(nine, { assignment: undefined }))).toBe("unreadable");
    expect(code(signer.assignment(nine, { generation: 10 }))).toBe("unreadable");
    expect(code(signer.assignment(nine, { epoch: 1 }))).toBe("unreadable");
    expect(code(signer.assignment(assignmentOf("m-1", 0)))).toBe("unreadable");
    expect(code(signer.assignment(nine, { issuedAt: 2 ** 53 - 1 }))).toBe("unreadable");
  });

  it("that is larger than anything, or signed more often than is looked at", () => {
    expect(code({ ...signer.assignment(nine), payload: Buffer.alloc(ENVELOPE_BYTES_MAX + 1) })).toBe("too_large");
    expect(readEnvelope(Buffer.alloc(ENVELOPE_BYTES_MAX + 1))).toMatchObject({ code: "too_large" });
    const signatures = Array.from({ length: SIGNATURES_MAX + 1 }, () => signer.assignment(nine).signatures[0]!);
    expect(code({ ...signer.assignment(nine), signatures })).toBe("too_large");
  });

  it("with any byte changed, wherever it is", () => {
    const bytes = bytesOf(signer.assignment(nine));
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
        const changed = Uint8Array.from(bytes);
        changed[at]! ^= by;
        expect(believes(changed)).toBe(false);
      }),
      { numRuns: 3000 },
    );
    expect(believes(bytes)).toBe(true);
  });

  it("that says the same in other bytes", () => {
    const bytes = bytesOf(signer.assignment(nine));
    expect(believes(Buffer.concat([bytes, Buffer.from([0x20, 0x01])]))).toBe(false);
    expect(believes(Buffer.concat([bytes, Buffer.from([0x00])]))).toBe(false);
  });

  it("when it is random bytes, and nothing throws", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(believes(bytes)).toBe(false);
        expect(code(signer.seal(ASSIGNMENT_PAYLOAD, bytes))).not.toBe("ok");
      }),
      { numRuns: 3000 },
    );
  });
});

function believes(bytes: Uint8Array): boolean {
  const read = readEnvelope(bytes);
  return read.ok && checkEnvelope(read.envelope, listener()).ok;
}

describe("a request", () => {
  const answer = (envelope: Envelope, more: Partial<Listener> = {}): string => {
    const checked = checkRequest(envelope, listener(more));
    return checked.ok ? "ok" : checked.code;
  };

  it("is believed when it is for this machine, of its controller, fresh and signed", () => {
    expect(checkRequest(signer.request("m-1", {}), listener())).toMatchObject({ ok: true, request: { request: { value: { requestId: "r-1", app: "web" } } } });
  });

  it("is refused like an assignment", () => {
    expect(answer(signer.request("m-2", {}))).toBe("wrong_audience");
    expect(answer(signer.request("m-1", {}, { expiresAt: NOW }))).toBe("expired");
    expect(answer(signer.request("m-1", {}), { now: NOW + 61 * MINUTE_MS })).toBe("expired");
    expect(answer(signer.request("m-1", {}, { expiresAt: NOW + 600 * MINUTE_MS }), { now: NOW + 61 * MINUTE_MS })).toBe("not_fresh");
    expect(answer(signer.request("m-1", {}), { keys: keysOf(stranger) })).toBe("unknown_key");
    expect(answer({ ...signer.request("m-1", {}), payload: signer.request("m-1", { app: "db" }).payload })).toBe("bad_signature");
    expect(answer({ ...signer.assignment(nine), payloadType: REQUEST_PAYLOAD })).toBe("bad_signature");
    expect(answer(signer.assignment(nine))).toBe("wrong_payload_type");
    expect(answer(signer.request("m-1", {}, { request: undefined }))).toBe("unreadable");
  });
});

describe("good signatures", () => {
  const keys = [signer.key, stranger, new SigningKey()] as const;
  const payload = signer.payload(nine);

  it("count once a key, however often it has signed", () => {
    const twice = signer.seal(ASSIGNMENT_PAYLOAD, payload, [keys[0], keys[0], keys[1]]);
    expect([...goodSignatures(twice, keysOf(...keys))]).toEqual([keys[0].keyid, keys[1].keyid]);
  });

  it("count only where they are good, and after a bad one of the same key", () => {
    const envelope = signer.seal(ASSIGNMENT_PAYLOAD, payload, [keys[0], keys[2]]);
    const bad = { sig: Buffer.alloc(64), keyid: keys[0].keyid };
    expect([...goodSignatures({ ...envelope, signatures: [bad, ...envelope.signatures] }, keysOf(keys[0], keys[1]))]).toEqual([keys[0].keyid]);
    expect(goodSignatures({ ...envelope, signatures: [bad, { sig: Buffer.alloc(3), keyid: keys[0].keyid }] }, keysOf(...keys)).size).toBe(0);
  });

  it("are over type and payload together", () => {
    const [signature] = signer.seal("a", Buffer.from("b"), [keys[0]]).signatures;
    expect(goodSignatures({ payloadType: "a", payload: Buffer.from("b"), signatures: [signature!] }, keysOf(keys[0])).size).toBe(1);
    expect(goodSignatures({ payloadType: "", payload: Buffer.from(preAuthEncoding("a", Buffer.from("b"))), signatures: [signature!] }, keysOf(keys[0])).size).toBe(0);
  });

  it("need a key of the right size", () => {
    expect(keyOf(Buffer.alloc(31))).toBeUndefined();
  });
});
