/** The attacks on the trust root itself, each played and refused. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatEnvelope } from "./envelope.ts";
import { envelopeText, publisher, release, rule, signRelease, signRoot, trustRoot, verify } from "./publishers.fixture.ts";
import { publicKeyOf } from "./public-key.ts";
import { firstRoot, nextRoot } from "./root-chain.ts";
import { decodeRoot, encodeRoot, ROOT_CHARS_MAX, ruleFor, TRUST_ROOT_TYPE, type TrustRoot } from "./root.ts";
import { formatTrustFile, readTrustFile } from "./trust-file.ts";

const [anna, ben, cleo, eve] = [publisher("anna"), publisher("ben"), publisher("cleo"), publisher("eve")];
const people = [anna, ben, cleo];
const two = { keys: ["anna", "ben"], threshold: 2 };
const first = trustRoot({ publishers: people, root: two });
const second: TrustRoot = { ...first, version: 2, root: { keys: ["anna", "cleo"], threshold: 2 } };
const step = (text: string, from = first): string => {
  const taken = nextRoot(from, text, verify);
  return taken.ok ? `version ${taken.root.version}` : taken.message;
};

test("the first root is signed by its own quorum, the next by the old and the new one", () => {
  expect(firstRoot(signRoot(first, anna, ben), verify)).toMatchObject({ ok: true, root: { version: 1 } });
  expect(firstRoot(signRoot(first, anna), verify)).toMatchObject({ ok: false, message: "trust root 1 needs 2 signatures of anna, ben of version 1; signed by anna" });
  expect(step(signRoot(second, anna, ben, cleo))).toBe("version 2");
  expect(step(signRoot(second, anna, ben))).toContain("2 signatures of anna, cleo of version 2; signed by anna");
  expect(step(signRoot(second, anna, cleo))).toContain("2 signatures of anna, ben of version 1; signed by anna");
});

test("rollback: an older root and the same one again are no step", () => {
  expect(step(signRoot(first, anna, ben), second)).toBe("trust root 1 does not follow 2: the next one is 3");
  expect(step(signRoot(second, anna, ben, cleo), second)).toContain("does not follow 2");
});

test("skipped version and fast-forward: a root that is not the very next one is refused, whoever signed it", () => {
  for (const version of [3, 999, Number.MAX_SAFE_INTEGER]) {
    expect(step(signRoot({ ...second, version }, anna, ben, cleo))).toBe(`trust root ${version} does not follow 1: the next one is 2`);
  }
});

test("key compromise below the threshold: one stolen root key can't put its own key in", () => {
  const taken = trustRoot({ publishers: [anna, eve], version: 2, root: { keys: ["eve"], threshold: 1 } });
  expect(step(signRoot(taken, anna, eve))).toContain("needs 2 signatures of anna, ben of version 1; signed by anna");
});

test("duplicate signature: the same key twice counts once", () => {
  expect(step(signRoot(second, anna, anna, cleo))).toContain("signed by anna");
});

test("keyid swap: a name for a key makes no signature of it", () => {
  const payload = encodeRoot(second);
  const signatures = [anna, cleo].map((each) => each.sign(TRUST_ROOT_TYPE, payload));
  const forged = { ...eve.sign(TRUST_ROOT_TYPE, payload), keyId: ben.key };
  expect(step(formatEnvelope({ payloadType: TRUST_ROOT_TYPE, payload, signatures: [...signatures, forged] }))).toContain("of version 1; signed by anna");
});

test("payload-type swap: a signed release is no root, and a root signed as something else neither", () => {
  expect(step(signRelease(release(), anna, ben).signed!)).toContain("it is no trust root");
  expect(step(envelopeText("text/plain", encodeRoot(second), people))).toContain("it is no trust root");
  const payload = encodeRoot(second);
  expect(step(formatEnvelope({ payloadType: TRUST_ROOT_TYPE, payload, signatures: people.map((each) => each.sign("text/plain", payload)) }))).toContain("none of them has signed");
});

test("endless data: a root that is too long is refused before it is read", () => {
  expect(step("[".repeat(ROOT_CHARS_MAX + 1))).toContain("characters");
});

test("whatever bytes come, the answer is a root or a refusal in words", () => {
  const text = signRoot(second, anna, ben, cleo);
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.string({ minLength: 1, maxLength: 1 }), (at, piece) => {
      const changed = `${text.slice(0, at)}${piece}${text.slice(at + 1)}`;
      fc.pre(changed !== text);
      expect(step(changed)).not.toBe("version 2");
    }),
    { numRuns: 2_000 },
  );
  fc.assert(
    fc.property(fc.json(), (json) => {
      expect(step(json)).not.toContain("version");
    }),
  );
});

describe("a root is malformed", () => {
  const plain = JSON.parse(new TextDecoder().decode(encodeRoot(first))) as Record<string, unknown>;
  const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
  test.each<[string, unknown, RegExp]>([
    ["with a field that is not known", { ...plain, hook: "x" }, /has not just/],
    ["without a field", { ...plain, apps: undefined }, /has not just/],
    ["with version 0", { ...plain, version: 0 }, /whole number from 1/],
    ["with a version that is no safe number", { ...plain, version: 2 ** 60 }, /whole number from 1/],
    ["that anybody could change", { ...plain, root: { keys: [], threshold: 0 } }, /anybody could change it/],
    ["with a quorum that can't be met", { ...plain, root: { keys: ["anna"], threshold: 2 } }, /2 must sign, and it names 1/],
    ["with a key that is not there", { ...plain, root: { keys: ["zoe"], threshold: 1 } }, /zoe is not one of the keys/],
    ["with one key named twice in a quorum", { ...plain, root: { keys: ["anna", "anna"], threshold: 2 } }, /named twice/],
    ["with one key under two names", { ...plain, keys: { ...(plain["keys"] as object), anna2: anna.key } }, /same key/],
    ["with a key that can't be read", { ...plain, keys: { anna: "ed25519:AAAA" } }, /no public key/],
    ["with a pattern that is none", { ...plain, apps: { "*-web": { keys: [], threshold: 0, floor: null } } }, /neither an app's name/],
    ["with a floor that has no order", { ...plain, apps: { web: { keys: [], threshold: 0, floor: "latest" } } }, /numbered version/],
    ["in another order of names", Object.fromEntries(Object.entries(plain).toReversed()), /one form/],
    ["as a list", [plain], /has not just/],
  ])("%s", (_, value, message) => {
    const decoded = decodeRoot(encode(value));
    expect(decoded).toMatchObject({ ok: false, message: expect.stringMatching(message) as string });
  });

  test("with a name given twice", () => {
    const text = new TextDecoder().decode(encodeRoot(first)).replace('"version":1', '"version":9,"version":1');
    expect(decodeRoot(new TextEncoder().encode(text))).toMatchObject({ ok: false, message: expect.stringContaining("one form") as string });
  });
});

test("a root reads back as it was written", () => {
  const full = trustRoot({ publishers: people, root: two, apps: new Map([["shop-*", { ...rule(1, cleo), floor: "1.2" }], ["42", rule(0)]]) });
  expect(decodeRoot(encodeRoot(full))).toEqual({ ok: true, root: full });
});

test("the rule of an app is that of its name, else of the longest pattern", () => {
  const apps = new Map([["*", rule(1, anna)], ["shop-*", rule(1, ben)], ["shop-w*", rule(1, cleo)], ["shop-web", rule(2, anna, ben)]]);
  const named = (app: string): readonly string[] | undefined => ruleFor({ ...first, apps }, app)?.keys;
  expect([named("shop-web"), named("shop-wiki"), named("shop-pay"), named("shop"), named("blog")]).toEqual([["anna", "ben"], ["cleo"], ["ben"], ["anna"], ["anna"]]);
  expect(ruleFor(first, "shop")).toBeUndefined();
});

test("a public key has one spelling", () => {
  const key = publicKeyOf(new Uint8Array(32).fill(255));
  const other = `${key.slice(0, -1)}9`;
  const root = JSON.parse(new TextDecoder().decode(encodeRoot(first))) as object;
  expect(decodeRoot(new TextEncoder().encode(JSON.stringify({ ...root, keys: { anna: other } })))).toMatchObject({ ok: false, message: expect.stringContaining("no public key") as string });
});

test("a trust file holds every version in order; only its last may still want signatures", () => {
  const file = `[${signRoot(first, anna, ben)},${signRoot(second, anna)}]`;
  const draft = readTrustFile(file, verify, false);
  expect(draft).toMatchObject({ ok: true, roots: [{ root: { version: 1 } }, { root: { version: 2 } }] });
  if (draft.ok) expect(readTrustFile(formatTrustFile(draft.roots), verify, false)).toEqual(draft);
  expect(readTrustFile(file, verify, true)).toMatchObject({ ok: false });
  expect(readTrustFile(`[${signRoot(first, anna)},${signRoot(second, anna, ben, cleo)}]`, verify, false)).toMatchObject({ ok: false });
  expect(readTrustFile(`[${signRoot(first, anna, ben)},${signRoot({ ...second, version: 3 })}]`, verify, false)).toEqual({ ok: false, message: "version 3 follows version 1" });
  for (const nothing of ["", "{}", "[]", "[1]"]) expect(readTrustFile(nothing, verify, false)).toMatchObject({ ok: false });
});
