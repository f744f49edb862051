import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MachineId } from "@muster/proto/ids.ts";
import { type JoinToken, parseJoinToken } from "@muster/proto/join-token.ts";
import SqliteDatabase, { type Database } from "better-sqlite3";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { CertifiedMachine } from "../grpc/caller.ts";
import { Authorities } from "./authorities.ts";
import { machineKeys } from "./machine-keys.fixture.ts";
import { type Asked, type JoinOutcome, type MachineKeys, Membership } from "./membership.ts";
import type { WantedToken } from "./join-tokens.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

let dir: string;
let db: Database;
let now: number;
let authorities: Authorities;
let membership: Membership;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "muster-members-"));
  db = new SqliteDatabase(":memory:");
  now = Date.now();
  authorities = await Authorities.open(join(dir, "authorities"), () => now);
  membership = new Membership({ db, authorities, natsJwt: (machine, key, expiresAt) => `${machine} ${key} ${expiresAt}`, credentialTtlMs: DAY_MS, renewalGraceMs: 30 * DAY_MS, now: () => now });
});
afterEach(() => {
  db.close();
  rmSync(dir, { recursive: true });
});

function token(wanted: Partial<WantedToken> = {}): JoinToken {
  const { text } = membership.tokens.create({ uses: 1, ttlMs: HOUR_MS, labels: {}, approve: false, by: "ada", ...wanted }, authorities.newest.pin, now);
  return parseJoinToken(text)!;
}

async function ask({ id, secret }: Pick<JoinToken, "id" | "secret">, machine: string, keys: MachineKeys, more: Partial<Asked> = {}): Promise<JoinOutcome> {
  return membership.join({ tokenId: id, secret, machine: machine as MachineId, keys, labels: {}, hostname: "h", os: "linux", arch: "x64", address: "10.0.0.1:1", ...more });
}

/** What the controller makes of the certificate that somebody got. */
function certified(outcome: { readonly kind: string; readonly issued?: { readonly certificate: Uint8Array } }): CertifiedMachine {
  const seen = authorities.certify(new X509Certificate(outcome.issued!.certificate));
  if (seen.kind !== "machine") throw new Error(`it is ${seen.kind}`);
  return seen;
}

describe("a token", () => {
  test("lets as many machines in as it says, and gives them its labels whatever they say", async () => {
    const made = token({ uses: 2, labels: { role: "db" } });
    const first = await ask(made, "web-1", await machineKeys(), { labels: { role: "web", zone: "a" } });
    expect(first).toMatchObject({ kind: "joined", member: { machine: "web-1", state: "member", labels: { role: "db", zone: "a" } } });
    expect(await ask(made, "web-2", await machineKeys())).toMatchObject({ kind: "joined" });
    expect(await ask(made, "web-3", await machineKeys())).toEqual({ kind: "bad_token", fault: "used_up" });
    expect(membership.members.names(false)).toEqual(["web-1", "web-2"]);
  });

  test("of one use is used once, however many ask at the same time", async () => {
    const made = token();
    const asked = await Promise.all(Array.from({ length: 8 }, async (_, index) => ask(made, `web-${index}`, await machineKeys())));
    expect(asked.filter(({ kind }) => kind === "joined")).toHaveLength(1);
    expect(membership.members.names(false)).toHaveLength(1);
    expect(membership.tokens.list()[0]).toMatchObject({ used: 1 });
  });

  test("that is guessed, revoked or expired lets nobody in", async () => {
    const made = token();
    const keys = await machineKeys();
    expect(await ask({ ...made, secret: "A".repeat(43) }, "web-1", keys)).toEqual({ kind: "bad_token", fault: "wrong_secret" });
    expect(await ask({ ...made, id: "0".repeat(16) }, "web-1", keys)).toEqual({ kind: "bad_token", fault: "unknown" });
    now += HOUR_MS;
    expect(await ask(made, "web-1", keys)).toEqual({ kind: "bad_token", fault: "expired" });
    const other = token();
    expect(membership.tokens.revoke(other.id, now)).toBe(true);
    expect(await ask(other, "web-1", keys)).toEqual({ kind: "bad_token", fault: "revoked" });
    expect(membership.members.names(false)).toEqual([]);
  });

  test("leaves no secret in the database", () => {
    const made = token();
    expect(db.serialize().includes(made.secret)).toBe(false);
    expect(db.serialize().includes(made.id)).toBe(true);
  });

  test("of any text is read or refused, never thrown at", () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.string().map((text) => `mst1.${text}`)), (text) => parseJoinToken(text) === undefined || text.trim().startsWith("mst1.")));
  });
});

describe("a machine", () => {
  test("whose answer was lost asks again with the same keys, and gets the same", async () => {
    const made = token();
    const keys = await machineKeys();
    const first = await ask(made, "web-1", keys);
    const second = await ask(made, "web-1", keys);
    expect(second).toMatchObject({ kind: "joined", isNew: false });
    expect(second.kind === "joined" && first.kind === "joined" && Buffer.compare(second.issued.certificate, first.issued.certificate)).toBe(0);
    expect(membership.tokens.list()[0]).toMatchObject({ used: 1 });
  });

  test("is called what the record says, whatever its request asks for", async () => {
    const joined = await ask(token(), "web-1", await machineKeys("muster://machine/db-1/1"));
    expect(certified(joined)).toMatchObject({ machine: "web-1", authority: authorities.newest.pin });
    const text = new X509Certificate((joined as { issued: { certificate: Uint8Array } }).issued.certificate);
    expect(text.subjectAltName).toMatch(/^URI:muster:\/\/machine\/web-1\/\d+$/);
    expect(text.keyUsage).toEqual(["1.3.6.1.5.5.7.3.2"]);
  });

  test("with keys that prove nothing gets nothing", async () => {
    const made = token();
    const keys = await machineKeys();
    const broken = Buffer.from(keys.certificateRequest);
    broken[broken.length - 1]! ^= 1;
    for (const bad of [{ ...keys, certificateRequest: broken }, { ...keys, certificateRequest: Buffer.alloc(5000) }, { ...keys, natsKey: "A" }, { ...keys, sealingKey: Buffer.alloc(31) }]) {
      expect(await ask(made, "web-1", bad)).toEqual({ kind: "bad_keys" });
    }
    expect(membership.tokens.list()[0]).toMatchObject({ used: 0 });
  });

  test("does not get the id of another one, unless that one could never come back", async () => {
    await ask(token(), "web-1", await machineKeys());
    expect(await ask(token(), "web-1", await machineKeys())).toMatchObject({ kind: "taken" });
    now += 31 * DAY_MS + DAY_MS;
    expect(await ask(token(), "web-1", await machineKeys())).toMatchObject({ kind: "joined", isNew: true });
  });

  test("that needs approval waits for it, and joins when it asks again", async () => {
    const made = token({ approve: true });
    const keys = await machineKeys();
    expect(await ask(made, "web-1", keys)).toMatchObject({ kind: "waits", isNew: true });
    expect(await ask(made, "web-1", keys)).toMatchObject({ kind: "waits", isNew: false });
    expect(membership.members.names(true)).toEqual(["web-1"]);
    expect(membership.members.approve("web-1" as MachineId, now)).toBe(true);
    const joined = await ask(made, "web-1", keys);
    expect(joined).toMatchObject({ kind: "joined" });
    expect(membership.judge(certified(joined))).toMatchObject({ kind: "member" });
  });
});

describe("credentials", () => {
  test("are worth something for their life, then a renewal within the grace, then nothing", async () => {
    const seen = certified(await ask(token(), "web-1", await machineKeys()));
    expect(membership.judge(seen)).toMatchObject({ kind: "member" });
    now += DAY_MS + 1;
    expect(membership.judge(seen)).toMatchObject({ kind: "expired" });
    const renewed = await membership.renew(seen.machine, seen.membership, await machineKeys());
    expect(renewed).toMatchObject({ kind: "renewed" });
    expect(membership.judge(certified(renewed))).toMatchObject({ kind: "member" });
    now += 31 * DAY_MS;
    expect(membership.judge(seen)).toMatchObject({ kind: "refused", why: expect.stringContaining("expired for too long") as string });
  });

  test("are given once for the same new keys, and the old ones count until they expire", async () => {
    const seen = certified(await ask(token(), "web-1", await machineKeys()));
    const keys = await machineKeys();
    const [first, second] = [await membership.renew(seen.machine, seen.membership, keys), await membership.renew(seen.machine, seen.membership, keys)];
    expect(first).toEqual(second);
    expect(membership.judge(seen)).toMatchObject({ kind: "member" });
    expect(membership.natsUsers(membership.members.find(seen.machine)!)).toHaveLength(2);
  });

  test("of a revoked machine count for nothing, nor does anybody join in its place until it is removed", async () => {
    const seen = certified(await ask(token(), "web-1", await machineKeys()));
    membership.members.revoke(seen.machine, now);
    expect(membership.judge(seen)).toMatchObject({ kind: "refused", why: "web-1 has been revoked" });
    expect(await membership.renew(seen.machine, seen.membership, await machineKeys())).toEqual({ kind: "not_a_member" });
    expect(await ask(token(), "web-1", await machineKeys())).toMatchObject({ kind: "taken", member: { state: "revoked" } });
    membership.members.remove(seen.machine);
    expect(await ask(token(), "web-1", await machineKeys())).toMatchObject({ kind: "joined" });
    expect(membership.judge(seen)).toMatchObject({ kind: "refused", why: expect.stringContaining("joined anew") as string });
  });

  test("of another authority, or of a server, are nobody's", async () => {
    const strangers = await Authorities.open(join(dir, "others"), () => now);
    const server = await strangers.newest.issueServer(now, now + HOUR_MS);
    expect(authorities.certify(new X509Certificate(server.chain))).toEqual({ kind: "nobody" });
    expect(authorities.certify(new X509Certificate((await authorities.newest.issueServer(now, now + HOUR_MS)).chain))).toEqual({ kind: "nobody" });
  });
});

test("a machine whose credentials have little time left by the controller's clock is asked to renew them, and may when they have expired", async () => {
  const seen = certified(await ask(token(), "web-1", await machineKeys()));
  now += DAY_MS / 2;
  expect(membership.shouldRenew(seen)).toBe(false);
  now += DAY_MS / 3;
  expect(membership.shouldRenew(seen)).toBe(true);
  now += DAY_MS / 3;
  expect([membership.judge(seen).kind, membership.shouldRenew(seen)]).toEqual(["expired", true]);
  expect(membership.shouldRenew(certified(await membership.renew(seen.machine, seen.membership, await machineKeys())))).toBe(false);
});

describe("a rotation", () => {
  test("counts old and new certificates until the old authority is retired, and says who depends on it", async () => {
    const seen = certified(await ask(token(), "web-1", await machineKeys()));
    const [old] = authorities.all;
    await authorities.rotate();
    expect(authorities.all.map(({ pin }) => pin)).toEqual([old!.pin, authorities.newest.pin]);
    expect(membership.judge(seen)).toMatchObject({ kind: "member" });
    expect(membership.shouldRenew(seen)).toBe(true);
    expect(membership.members.dependants(authorities.newest.pin)).toEqual(new Map([[old!.pin, ["web-1"]]]));
    now += 1;
    const renewed = certified(await membership.renew(seen.machine, seen.membership, await machineKeys()));
    expect(membership.shouldRenew(renewed)).toBe(false);
    expect(membership.members.dependants(authorities.newest.pin)).toEqual(new Map());
    await authorities.retire();
    expect(authorities.certify(new X509Certificate(Buffer.from(membership.members.allIssued(seen.membership).at(-1)!.certificate)))).toEqual({ kind: "nobody" });
    const again = await Authorities.open(join(dir, "authorities"), () => now);
    expect(again.all.map(({ pin }) => pin)).toEqual([authorities.newest.pin]);
  });
});
