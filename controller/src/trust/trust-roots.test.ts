import SqliteDatabase, { type Database } from "better-sqlite3";
import type { Instant } from "@muster/proto/ids.ts";
import { NOW, LATER, publisher, release, rule, signRelease, signRoot, trustRoot } from "@muster/proto/trust/publishers.fixture.ts";
import type { TrustRoot } from "@muster/proto/trust/root.ts";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ROOTS_MAX, TrustRoots } from "./trust-roots.ts";

const [anna, ben, eve] = [publisher("anna"), publisher("ben"), publisher("eve")];
const version = (number: number, changes: Partial<TrustRoot> = {}): TrustRoot =>
  trustRoot({ publishers: [anna, ben], version: number, apps: new Map([["shop-*", { ...rule(1, ben), floor: "1.0" }]]), ...changes });

let db: Database;
let now: number;
let roots: TrustRoots;
const open = (): TrustRoots => new TrustRoots(db, () => now as Instant);
beforeEach(() => {
  db = new SqliteDatabase(":memory:");
  now = NOW;
  roots = open();
});
afterEach(() => db.close());

test("versions that follow are kept, with who published them, over a restart too", () => {
  expect([roots.newestVersion(), roots.newestFile()]).toEqual([0, undefined]);
  const first = signRoot(version(1), anna);
  expect(roots.publish(first, "anna@desk")).toEqual({ ok: true, value: { version: 1, envelope: first, publishedAt: NOW, publishedBy: "anna@desk" } });
  expect(roots.publish(first, "ben@desk")).toMatchObject({ ok: true, value: { publishedBy: "anna@desk" } });
  expect(roots.publish(signRoot(version(2), anna), "ben@desk")).toMatchObject({ ok: true });
  const again = open();
  expect(again.newestVersion()).toBe(2);
  expect(again.after(0).map((root) => [root.version, root.publishedBy])).toEqual([[1, "anna@desk"], [2, "ben@desk"]]);
  expect(Buffer.from(again.newestFile()!).toString()).toBe(`[${again.after(1)[0]!.envelope}]`);
});

test("a version that does not follow is refused, and nothing is kept", () => {
  const refused = (envelope: string): string => {
    const answer = roots.publish(envelope, "");
    return answer.ok ? "published" : answer.refusal.message;
  };
  expect(refused(signRoot(version(2), anna))).toContain("the first version is 1");
  expect(refused(signRoot(version(1), eve))).toContain("none of them has signed");
  expect(refused("{}")).toContain("can't be read");
  expect(refused(signRoot(version(1), anna))).toBe("published");
  expect(refused(signRoot(version(3), anna))).toContain("does not follow 1");
  expect(refused(signRoot(version(1, { expiresAt: LATER + 1 }), anna))).toContain("does not follow 1");
  expect(refused(signRoot(version(2), ben))).toContain("none of them has signed");
  expect(roots.after(0).map((root) => root.version)).toEqual([1]);
});

test("an answer holds sixteen versions, and the next one goes on", () => {
  for (let number = 1; number <= ROOTS_MAX + 3; number += 1) roots.publish(signRoot(version(number), anna), "");
  expect(roots.after(0).map((root) => root.version)).toEqual(Array.from({ length: 16 }, (_, index) => index + 1));
  expect(roots.after(16).map((root) => root.version)).toEqual([17, 18, 19]);
});

test("what agents would refuse is said in words, with the way out", () => {
  expect(roots.refusal(release())).toBeUndefined();
  roots.publish(signRoot(version(1), anna), "");
  expect(roots.refusal(release("blog"))).toBeUndefined();
  expect(roots.refusal(signRelease(release(), ben))).toBeUndefined();
  expect(roots.refusal(release())).toContain("is not signed; sign it with: muster release sign");
  expect(roots.refusal(signRelease(release(), eve))).toContain("none of them has signed; sign it with");
  expect(roots.refusal(signRelease(release("shop-web", "0.9"), ben))).toContain("no shop-web below 1.0");
  now = LATER;
  expect(roots.refusal(signRelease(release(), ben))).toContain("has expired");
});
