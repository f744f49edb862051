import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LATER, NOW, publisher, release, rule, signRelease, signRoot, trustRoot } from "@muster/proto/trust/publishers.fixture.ts";
import type { TrustRoot } from "@muster/proto/trust/root.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { pinByHand, pinnedRoot, pinRoot, stepRoot, TrustRootError } from "./pinned-root.ts";
import { pin, showPinned } from "./pin-command.ts";
import { createReleaseTrust } from "./release-trust.ts";

const [anna, ben, eve] = [publisher("anna"), publisher("ben"), publisher("eve")];
const asks = new Map([["shop-*", rule(1, ben)]]);
const version = (number: number, changes: Partial<TrustRoot> = {}): TrustRoot => trustRoot({ publishers: [anna, ben], version: number, apps: asks, ...changes });
const envelopes = [1, 2, 3, 4].map((number) => signRoot(version(number), anna));
const chain = (...numbers: readonly number[]): Buffer => Buffer.from(`[${numbers.map((number) => envelopes[number - 1]).join(",")}]`);
const foreign = Buffer.from(`[${signRoot(trustRoot({ publishers: [eve], version: 9 }), eve)}]`);

let dir: string;
let file: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "muster-pin-"));
  file = join(dir, "identity/trust-root.json");
});
afterEach(() => rmSync(dir, { recursive: true }));

describe("joining", () => {
  test("pins the newest version of what the controller gives, readable for the agent alone", async () => {
    expect(await pinRoot(dir, chain(1, 2))).toEqual({ kind: "pinned", version: 2 });
    expect((await pinnedRoot(dir))?.version).toBe(2);
    expect([statSync(file).mode & 0o777, statSync(join(dir, "identity")).mode & 0o777]).toEqual([0o600, 0o700]);
    expect(readdirSync(join(dir, "identity"))).toEqual(["trust-root.json"]);
  });

  test("keeps what is pinned, and goes on from it where signed steps lead on", async () => {
    await pinRoot(dir, chain(2));
    expect(await pinRoot(dir, foreign)).toEqual({ kind: "kept", version: 2 });
    expect(await pinRoot(dir, chain(1))).toEqual({ kind: "kept", version: 2 });
    expect(await pinRoot(dir, chain(4))).toEqual({ kind: "kept", version: 2 });
    expect(await pinRoot(dir, chain(1, 2, 3))).toEqual({ kind: "pinned", version: 3 });
  });

  test("refuses what is not signed as it says it must be, and pins nothing", async () => {
    expect(await pinRoot(dir, Buffer.from(`[${signRoot(version(1), ben)}]`))).toMatchObject({ kind: "refused", message: expect.stringContaining("none of them has signed") as string });
    expect(await pinRoot(dir, Buffer.from("nothing"))).toMatchObject({ kind: "refused" });
    expect(await pinnedRoot(dir)).toBeUndefined();
  });
});

describe("the versions that a controller passes on", () => {
  test("are taken one after another, and each is on disk before the next is looked at", async () => {
    await pinRoot(dir, chain(1));
    expect(await stepRoot(dir, envelopes.slice(1))).toEqual({ version: 4, refusal: undefined });
    expect((await pinnedRoot(dir))?.version).toBe(4);
  });

  test.each<[string, readonly string[], number]>([
    ["rollback: an older one", [envelopes[0]!], 2],
    ["skipped version", [envelopes[3]!], 2],
    ["fast-forward", [signRoot(version(Number.MAX_SAFE_INTEGER), anna)], 2],
    ["mix-and-match: the root of another fleet, with the right number", [signRoot(trustRoot({ publishers: [eve], version: 3 }), eve)], 2],
    ["key compromise below the threshold: signed by an app's publisher alone", [signRoot(version(3), ben)], 2],
    ["payload-type swap: a signed release", [signRelease(release(), anna).signed!], 2],
    ["endless data", ["[".repeat(70_000)], 2],
    ["a good one and then a bad one: the good one is kept", [envelopes[2]!, signRoot(version(4), eve)], 3],
  ])("are refused: %s", async (_, offered, kept) => {
    await pinRoot(dir, chain(2));
    const stepped = await stepRoot(dir, offered);
    expect(stepped).toEqual({ version: kept, refusal: expect.any(String) as string });
    expect((await pinnedRoot(dir))?.version).toBe(kept);
  });

  test("pin nothing on a machine that has pinned none", async () => {
    expect(await stepRoot(dir, envelopes)).toEqual({ version: 0, refusal: undefined });
    expect(await pinnedRoot(dir)).toBeUndefined();
  });
});

describe("pinning by hand", () => {
  test("goes on from what is pinned, and leaves it only when told to", async () => {
    expect(await pinByHand(dir, chain(1, 2), false)).toEqual({ kind: "pinned", version: 2 });
    expect(await pinByHand(dir, chain(1, 2), false)).toEqual({ kind: "kept", version: 2 });
    expect(await pinByHand(dir, chain(1, 2, 3), false)).toEqual({ kind: "pinned", version: 3 });
    expect(await pinByHand(dir, chain(1, 2), false)).toMatchObject({ kind: "refused", message: expect.stringContaining("ends with version 2") as string });
    expect(await pinByHand(dir, foreign, false)).toMatchObject({ kind: "refused", message: expect.stringContaining("does not follow") as string });
    expect(await pinByHand(dir, foreign, true)).toEqual({ kind: "pinned", version: 9 });
  });

  test("says what it did, and refuses with the way out", async () => {
    writeFileSync(join(dir, "trust.json"), chain(1));
    writeFileSync(join(dir, "foreign.json"), foreign);
    expect(await showPinned(dir)).toEqual({ ok: true, text: "no trust root is pinned: this machine runs what its controller says" });
    expect(await pin(dir, join(dir, "trust.json"), false)).toEqual({ ok: true, text: `trust root 1 pinned in ${dir}` });
    expect(await pin(dir, join(dir, "trust.json"), false)).toEqual({ ok: true, text: "trust root 1 was pinned already" });
    expect(await showPinned(dir)).toEqual({ ok: true, text: "trust root 1, good until 2027-01-01T00:00:00.000Z\n  shop-*  1 signature of ben" });
    expect(await pin(dir, join(dir, "foreign.json"), false)).toMatchObject({ ok: false, text: expect.stringContaining("--replace pins it all the same") as string });
    expect(await pin(dir, join(dir, "foreign.json"), true)).toMatchObject({ ok: true });
    expect(await pin(dir, join(dir, "nowhere"), false)).toMatchObject({ ok: false, text: expect.stringContaining("there is no file") as string });
  });
});

test("a pinned root that can't be read is a fault, and never counts as none", async () => {
  mkdirSync(join(dir, "identity"));
  for (const damaged of ["", "{}", envelopes[0]!.replace('"sig":"', '"sig":"A'), signRoot(version(1), eve)]) {
    writeFileSync(file, damaged);
    await expect(pinnedRoot(dir)).rejects.toThrow(TrustRootError);
    await expect(stepRoot(dir, envelopes)).rejects.toThrow("is damaged");
    expect(await trust().judge(release())).toMatchObject({ ok: false, fault: { code: "io_error", retryable: true } });
  }
  expect(await showPinned(dir)).toMatchObject({ ok: false });
  expect(readFileSync(file, "utf8")).not.toBe("");
  expect(await pinByHand(dir, chain(1), true)).toEqual({ kind: "pinned", version: 1 });
});

test("a pinned root that the disk does not give is a fault too", async () => {
  mkdirSync(file, { recursive: true });
  await expect(pinnedRoot(dir)).rejects.toMatchObject({ code: "unreadable", message: expect.stringContaining("EISDIR") as string });
  expect(await trust().judge(release())).toMatchObject({ ok: false, fault: { code: "io_error" } });
});

function trust(update: () => Promise<void> = () => Promise.resolve(), now = NOW) {
  return createReleaseTrust({ dir, now: () => now, update });
}

describe("a release", () => {
  test("runs unsigned where no trust root is pinned", async () => {
    expect(await trust().judge(release())).toEqual({ ok: true, value: undefined });
    expect(await trust().judgeReturn(release())).toEqual({ ok: true, value: undefined });
  });

  test("is refused by the pinned root, whatever root the controller would rather have", async () => {
    await pinRoot(dir, chain(1));
    const lax = signRoot(version(2, { apps: new Map() }), eve);
    const update = async () => void (await stepRoot(dir, [lax]));
    expect(await trust(update).judge(release())).toMatchObject({ ok: false, fault: { code: "unsigned_release", retryable: false } });
    expect(await trust(update).judge(signRelease(release(), ben))).toEqual({ ok: true, value: undefined });
  });

  test("that the pinned root refuses is judged again by a newer one, if there is", async () => {
    await pinRoot(dir, chain(1));
    const signed = signRelease(release(), anna);
    const rotated = signRoot(version(2, { apps: new Map([["shop-*", rule(1, anna)]]) }), anna);
    expect(await trust().judge(signed)).toMatchObject({ ok: false });
    expect(await trust(async () => void (await stepRoot(dir, [rotated]))).judge(signed)).toEqual({ ok: true, value: undefined });
    expect(await trust().judge(signRelease(release(), ben))).toMatchObject({ ok: false });
  });

  test("freeze: is refused once the root has expired, and what ran may still be gone back to", async () => {
    await pinRoot(dir, chain(1));
    expect(await trust(undefined, LATER).judge(signRelease(release(), ben))).toMatchObject({ ok: false, fault: { code: "trust_expired" } });
    expect(await trust(undefined, LATER).judgeReturn(release())).toEqual({ ok: true, value: undefined });
  });
});
