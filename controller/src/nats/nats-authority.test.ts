import { createPublicKey, verify } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MachineId } from "@muster/proto/ids.ts";
import { parsePublicNkey } from "@muster/proto/nkey.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openKeys } from "./authority-files.ts";
import { openNatsAuthority } from "./nats-authority.ts";
import { newNkey } from "./nkey.ts";

const DAY_MS = 86_400_000;
const machine = "m-1" as MachineId;
let parent: string;
let dir: string;
let now: number;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "muster-authority-"));
  dir = join(parent, "nats");
  now = 1_800_000_000_500;
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

const open = () => openNatsAuthority({ dir, now: () => now });
const names = () => readdirSync(dir).toSorted();

interface Claims {
  readonly iat: number;
  readonly exp?: number;
  readonly iss: string;
  readonly sub: string;
  readonly jti: string;
  readonly nats: Readonly<Record<string, unknown>>;
}

/** What a JWT says, when its signature is that of whom it names as its issuer. */
function claimsOf(jwt: string): Claims {
  const [header, body, signature] = jwt.split(".") as [string, string, string];
  const claims = JSON.parse(Buffer.from(body, "base64url").toString("utf8")) as Claims;
  const kind = claims.iss.startsWith("O") ? "operator" : "account";
  const key = createPublicKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519", x: Buffer.from(parsePublicNkey(kind, claims.iss)!).toString("base64url") } });
  expect(verify(null, Buffer.from(`${header}.${body}`), key, Buffer.from(signature, "base64url"))).toBe(true);
  return claims;
}

const agents = (authority: ReturnType<typeof open>) => claimsOf(authority.accounts.find(({ name }) => name === "AGENTS")!.jwt);

describe("the keys", () => {
  test("are made at the first start, for the owner alone, and stay the same", () => {
    const first = open();
    expect(names()).toEqual(["agents.nk", "control.nk", "operator.nk", "system.nk"]);
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    for (const name of names()) expect(statSync(join(dir, name)).mode & 0o777).toBe(0o600);
    expect(open().accounts.map(({ publicKey }) => publicKey)).toEqual(first.accounts.map(({ publicKey }) => publicKey));
    expect(readdirSync(parent)).toEqual(["nats"]);
  });

  test("are all different, and their seeds are in nothing that is signed", () => {
    const authority = open();
    const seeds = names().map((name) => readFileSync(join(dir, name), "utf8").trim());
    expect(new Set(seeds).size).toBe(4);
    const said = JSON.stringify([authority.operatorJwt, authority.accounts, authority.answerAs("CONTROL")("x"), Object.entries(authority)]);
    for (const seed of seeds) expect(said).not.toContain(seed);
  });

  test.each(["", "operator.nk", "agents.nk", "revocations.json"])("are not used when others can read %s", (name) => {
    open().revoke([{ publicKey: newNkey("user").publicKey, expiresAt: now }]);
    chmodSync(join(dir, name), 0o750);
    expect(open).toThrow(expect.objectContaining({ code: "exposed", message: expect.stringContaining(`chmod go= ${join(dir, name)}`) }));
  });

  test("are not made anew when one is missing, or is another's: every machine hangs on them", () => {
    open();
    const before = openKeys(dir);
    writeFileSync(join(dir, "agents.nk"), readFileSync(join(dir, "operator.nk")));
    expect(open).toThrow(expect.objectContaining({ code: "damaged", message: expect.stringContaining("agents.nk is not the seed of an account") }));
    rmSync(join(dir, "agents.nk"));
    expect(open).toThrow(expect.objectContaining({ code: "damaged", message: expect.stringContaining("agents.nk is missing") }));
    expect(readFileSync(join(dir, "operator.nk"), "utf8")).not.toBe("");
    expect(before.operator.publicKey).toMatch(/^O/);
  });

  test("that were half made when the power went are made again", () => {
    open();
    rmSync(dir, { recursive: true });
    writeFileSync(`${dir}.tmp`, "half");
    open();
    expect(names()).toHaveLength(4);
  });

  test("in a place that can't be written are said to be so", () => {
    writeFileSync(join(parent, "file"), "");
    dir = join(parent, "file", "nats");
    expect(open).toThrow(expect.objectContaining({ code: "io_error" }));
  });
});

describe("what is signed", () => {
  test("for a machine: its two subjects to hear, nothing to say, until a moment", () => {
    const { publicKey } = newNkey("user");
    const authority = open();
    const claims = claimsOf(authority.machineJwt({ machine, publicKey, expiresAt: now + DAY_MS }));
    expect(claims).toMatchObject({ sub: publicKey, iss: agents(authority).sub, iat: 1_800_000_000, exp: 1_800_086_400 });
    expect(claims.nats).toEqual({
      type: "user",
      version: 2,
      pub: { deny: [">"] },
      sub: { allow: ["muster.v1.machine.m-1.assignment", "muster.v1.machine.m-1.request"] },
      subs: 8,
      data: -1,
      payload: 0,
      allowed_connection_types: ["STANDARD"],
    });
  });

  test("is never for a key that is not a user's", () => {
    for (const publicKey of [newNkey("account").publicKey, "", "U", ">"]) {
      expect(() => open().machineJwt({ machine, publicKey, expiresAt: now })).toThrow("not a user's");
    }
  });

  test("for each account: everything denied that is not named, no JetStream, no leaf nodes", () => {
    const authority = open();
    const operator = claimsOf(authority.operatorJwt);
    expect(operator).toMatchObject({ iss: operator.sub, nats: { type: "operator", system_account: authority.systemAccount } });
    for (const { publicKey, jwt } of authority.accounts) {
      const claims = claimsOf(jwt);
      expect(claims).toMatchObject({ iss: operator.sub, sub: publicKey });
      expect(claims.nats).toMatchObject({
        limits: { leaf: 0, mem_storage: 0, disk_storage: 0 },
        default_permissions: { pub: { deny: [">"] }, sub: { deny: [">"] } },
      });
    }
    expect(new Set(authority.accounts.map(({ jwt }) => claimsOf(jwt).jti)).size).toBe(3);
  });
});

describe("revocations", () => {
  const gone = newNkey("user").publicKey;

  test("are told to whoever listens, after they are on disk, and are there after a restart", () => {
    const authority = open();
    const seen: unknown[] = [];
    authority.onChange(() => seen.push(agents(open()).nats["revocations"]));
    authority.revoke([{ publicKey: gone, expiresAt: now + DAY_MS }]);
    expect(seen).toEqual([{ [gone]: 1_800_086_400 }]);
    expect(agents(authority).nats["revocations"]).toEqual({ [gone]: 1_800_086_400 });
  });

  test("are forgotten when nothing is left that they could be about", () => {
    const authority = open();
    authority.revoke([{ publicKey: gone, expiresAt: now + DAY_MS }]);
    now += DAY_MS + 3_600_000;
    expect(agents(authority).nats["revocations"]).toEqual({});
    expect(agents(open()).nats["revocations"]).toEqual({});
  });

  test("make the account newer each time, also within a second and when the clock goes back", () => {
    const authority = open();
    const issued = [agents(authority).iat];
    for (let count = 0; count < 3; count += 1) {
      authority.revoke([{ publicKey: newNkey("user").publicKey, expiresAt: now + DAY_MS }]);
      issued.push(agents(authority).iat);
    }
    now -= DAY_MS;
    const later = open();
    later.revoke([{ publicKey: gone, expiresAt: now + DAY_MS }]);
    issued.push(agents(later).iat);
    expect(issued).toEqual([0, 1, 2, 3, 4].map((more) => 1_800_000_000 + more));
  });

  test("that can't be written change nothing", () => {
    const authority = open();
    let told = 0;
    authority.onChange(() => (told += 1));
    rmSync(dir, { recursive: true });
    expect(() => authority.revoke([{ publicKey: gone, expiresAt: now + DAY_MS }])).toThrow(expect.objectContaining({ code: "io_error" }));
    expect(agents(authority).nats["revocations"]).toEqual({});
    expect(told).toBe(0);
  });

  test("that can't be read stop the start: what was revoked must not come in again", () => {
    open().revoke([{ publicKey: gone, expiresAt: now + DAY_MS }]);
    for (const text of ["", "{}", '{"issuedAtS":1,"users":{"U":{"untilS":"x","endsAtS":1}}}']) {
      writeFileSync(join(dir, "revocations.json"), text);
      expect(open).toThrow(expect.objectContaining({ code: "damaged" }));
    }
  });
});
