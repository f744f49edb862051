/** The attacks on releases that The Update Framework lists, each played and refused: theupdateframework.io/docs/security. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Release } from "../gen/muster/v1/release.ts";
import { formatEnvelope } from "./envelope.ts";
import { envelopeText, LATER, NOW, publisher, release, rule, signRelease, signRoot, trustRoot, verify } from "./publishers.fixture.ts";
import { RELEASE_TYPE, releaseBytes, SIGNED_CHARS_MAX } from "./release-bytes.ts";
import { judgeRelease, judgeReturn } from "./release-rules.ts";
import { encodeRoot } from "./root.ts";

const [anna, ben, eve] = [publisher("anna"), publisher("ben"), publisher("eve")];
const root = trustRoot({
  publishers: [anna, ben],
  apps: new Map([
    ["*", { ...rule(0), floor: null }],
    ["shop-*", rule(1, anna, ben)],
    ["shop-pay", { ...rule(2, anna, ben), floor: "2.0" }],
  ]),
});
const judge = (each: Release, now = NOW, by = root) => judgeRelease(by, each, now, verify);
const code = (each: Release, now = NOW, by = root): string => {
  const verdict = judge(each, now, by);
  return verdict.ok ? "allowed" : verdict.code;
};

test("a release runs when as many of its publishers as asked have signed it", () => {
  expect(code(signRelease(release(), anna))).toBe("allowed");
  expect(code(signRelease(release("shop-pay", "2.0"), anna, ben))).toBe("allowed");
  expect(code(release("blog"))).toBe("allowed");
  expect(code(release("blog"), NOW, trustRoot({ publishers: [anna] }))).toBe("allowed");
});

test("a release without a signature is refused, and the refusal says who must sign", () => {
  expect(judge(release())).toEqual({
    ok: false,
    code: "unsigned_release",
    message: "trust root 1 asks shop-web for 1 signature of anna, ben; shop-web@1.4.2 is not signed",
  });
});

test("a signature survives the trip through the journal, the wire and the agent's disk", () => {
  const signed = signRelease(release(), anna);
  const travelled = Release.fromJSON(JSON.parse(JSON.stringify(Release.toJSON(Release.decode(Release.encode(JSON.parse(JSON.stringify(signed)) as Release).finish())))));
  expect(code(travelled)).toBe("allowed");
});

describe("wrong software", () => {
  test("the signature of another app is refused, and named", () => {
    const stolen = { ...release("shop-web"), signed: signRelease(release("shop-cart"), anna).signed };
    expect(judge(stolen)).toMatchObject({ code: "bad_signature", message: "the signature is not of this shop-web@1.4.2, but of shop-cart@1.4.2" });
  });

  test("the signature of another artifact is refused", () => {
    expect(judge({ ...signRelease(release(), anna), artifact: "b".repeat(64) })).toMatchObject({ code: "bad_signature", message: expect.stringContaining("other content with that name") });
  });

  test("a publisher of one app can't sign another", () => {
    const strict = trustRoot({ publishers: [anna, ben], apps: new Map([["shop-web", rule(1, anna)], ["blog", rule(1, ben)]]) });
    expect(code(signRelease(release("blog"), anna), NOW, strict)).toBe("unsigned_release");
  });
});

test("mix-and-match: a release in which any one field is not what was signed is refused", () => {
  const signed = signRelease(release(), anna);
  const mutations = fc.constantFrom<(text: string) => Release>(
    (text) => ({ ...signed, version: `9${text}` }),
    (text) => ({ ...signed, ports: { ...signed.ports, [`p${text}`]: 1 } }),
    (text) => ({ ...signed, health: [...signed.health, { check: { $case: "exec", value: { command: [text] } }, intervalMs: 1, timeoutMs: 1, healthyAfter: 1, unhealthyAfter: 1 }] }),
    () => ({ ...signed, health: [] }),
    () => ({ ...signed, driver: { $case: "files", value: {} } }),
    (text) => ({ ...signed, driver: { $case: "process", value: { command: ["sh", "-c", text], env: {}, stopTimeoutMs: 10_000 } } }),
    (text) => ({ ...signed, driver: { $case: "process", value: { command: ["node", "server.js"], env: { PORT: "${ports.http}", EMPTY: `1${text}` }, stopTimeoutMs: 10_000 } } }),
    () => ({ ...signed, driver: { $case: "process", value: { command: ["node", "server.js"], env: { PORT: "${ports.http}" }, stopTimeoutMs: 10_000 } } }),
    () => ({ ...signed, driver: { $case: "process", value: { command: ["node", "server.js", ""], env: { PORT: "${ports.http}", EMPTY: "" }, stopTimeoutMs: 10_000 } } }),
  );
  fc.assert(
    fc.property(mutations, fc.string(), (mutate, text) => {
      expect(code(mutate(text))).toBe("bad_signature");
    }),
  );
});

test("any change of a byte of the envelope leaves nothing that is accepted", () => {
  const text = signRelease(release(), anna).signed!;
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.string({ minLength: 1, maxLength: 1 }), (at, character) => {
      const changed = `${text.slice(0, at)}${character}${text.slice(at + 1)}`;
      fc.pre(changed !== text);
      expect(code({ ...release(), signed: changed })).not.toBe("allowed");
    }),
    { numRuns: 2_000 },
  );
});

test("rollback: a signed release below the floor is refused, one without numbers too, and what ran may be gone back to from the floor on alone", () => {
  const old = signRelease(release("shop-pay", "1.9.9"), anna, ben);
  expect(judge(old)).toMatchObject({ code: "below_floor", message: "trust root 1 allows no shop-pay below 2.0; this is 1.9.9" });
  expect(code(signRelease(release("shop-pay", "2.0-rc1"), anna, ben))).toBe("below_floor");
  expect(code(signRelease(release("shop-pay", "latest"), anna, ben))).toBe("below_floor");
  expect(judgeReturn(root, old)).toMatchObject({ code: "below_floor" });
  expect(judgeReturn(root, release("shop-pay", "2.0"))).toEqual({ ok: true });
  expect(judgeReturn({ ...root, expiresAt: 0 }, release("shop-web"))).toEqual({ ok: true });
});

test("freeze: once the root has expired nothing new is run where signatures are asked for, and all else goes on", () => {
  expect(code(signRelease(release(), anna), LATER - 1)).toBe("allowed");
  expect(code(signRelease(release(), anna), LATER)).toBe("trust_expired");
  expect(code(release("blog"), LATER)).toBe("allowed");
});

test("endless data: an envelope that is too long is refused before it is read", () => {
  expect(judge({ ...release(), signed: "[".repeat(SIGNED_CHARS_MAX + 1) })).toMatchObject({ code: "bad_signature", message: expect.stringContaining("characters") });
  const many = envelopeText(RELEASE_TYPE, releaseBytes(release()), Array.from({ length: 33 }, () => anna));
  expect(judge({ ...release(), signed: many })).toMatchObject({ code: "bad_signature", message: expect.stringContaining("at most 32") });
});

test("key compromise below the threshold: one stolen key of two signs nothing", () => {
  expect(judge(signRelease(release("shop-pay", "2.1"), anna))).toMatchObject({ code: "unsigned_release", message: expect.stringContaining("signed by anna") });
  expect(code(signRelease(release("shop-pay", "2.1"), anna, eve))).toBe("unsigned_release");
});

test("duplicate signature: two signatures of one key count once", () => {
  expect(code(signRelease(release("shop-pay", "2.1"), anna, anna))).toBe("unsigned_release");
});

test("keyid swap: a signature under the name of another key is refused", () => {
  const payload = releaseBytes(release());
  const forged = { ...eve.sign(RELEASE_TYPE, payload), keyId: anna.key };
  expect(code({ ...release(), signed: formatEnvelope({ payloadType: RELEASE_TYPE, payload, signatures: [forged] }) })).toBe("bad_signature");
  const pay = release("shop-pay", "2.1");
  const twice = [anna.sign(RELEASE_TYPE, releaseBytes(pay)), { ...anna.sign(RELEASE_TYPE, releaseBytes(pay)), keyId: ben.key }];
  expect(code({ ...pay, signed: formatEnvelope({ payloadType: RELEASE_TYPE, payload: releaseBytes(pay), signatures: twice }) })).toBe("bad_signature");
});

test("payload-type swap: what was signed as something else is no release", () => {
  const other = "application/vnd.muster.trust-root.v1+json";
  expect(code({ ...release(), signed: envelopeText(other, releaseBytes(release()), [anna]) })).toBe("bad_signature");
  const payload = releaseBytes(release());
  const relabelled = formatEnvelope({ payloadType: RELEASE_TYPE, payload, signatures: [anna.sign(other, payload)] });
  expect(code({ ...release(), signed: relabelled })).toBe("bad_signature");
  expect(code({ ...release(), signed: signRoot(root, anna) })).toBe("bad_signature");
  expect(code({ ...release(), signed: envelopeText(RELEASE_TYPE, encodeRoot(root), [anna]) })).toBe("bad_signature");
});

test("a field that a later Muster adds is refused by an agent that drops it", () => {
  const payload = new TextEncoder().encode(new TextDecoder().decode(releaseBytes(release())).replace("{", '{"a_hook":"rm -rf /",'));
  expect(code({ ...release(), signed: envelopeText(RELEASE_TYPE, payload, [anna]) })).toBe("bad_signature");
});

test("the order of maps and fields at their default make no difference to what is signed", () => {
  const one = release();
  const two = Release.fromPartial({ ...one, driver: { $case: "process", value: { command: ["node", "server.js"], env: { EMPTY: "", PORT: "${ports.http}" }, stopTimeoutMs: 10_000 } } });
  expect(new TextDecoder().decode(releaseBytes(two))).toBe(new TextDecoder().decode(releaseBytes(one)));
  expect(new TextDecoder().decode(releaseBytes(Release.fromPartial({ app: "a", ports: { "9": 1, "10": 2, x: 3 } })))).toBe('{"app":"a","ports":{"10":2,"9":1,"x":3}}');
});
