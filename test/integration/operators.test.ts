/** Operators from elsewhere: the real command against a real TLS listener, gate, users and audit log. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Outpost } from "@muster/controller/src/api/outpost.fixture.ts";
import { type Ended, runMuster } from "./muster-process.ts";

let outpost: Outpost;
let home: string;
beforeEach(async () => {
  outpost = await Outpost.open();
  home = mkdtempSync(join(tmpdir(), "muster-operators-"));
});
afterEach(async () => {
  await outpost.close();
  rmSync(home, { recursive: true, force: true });
});

const HOUR_MS = 60 * 60_000;

function run(args: readonly string[], { stdin = "", env = {} }: { readonly stdin?: string; readonly env?: Readonly<Record<string, string>> } = {}): Promise<Ended> {
  return runMuster(args, { cwd: home, env: { HOME: home, ...env }, stdin });
}

function tokenOf(name: string, role: "viewer" | "deployer" | "admin" = "admin"): string {
  return outpost.access.users.createWithToken({ name, role, apps: "", targets: "", createdBy: "root", expiresAt: Date.now() + HOUR_MS })!.token;
}

const login = (token: string, ...more: readonly string[]): Promise<Ended> => run(["login", outpost.address, "--ca", `sha256:${outpost.pin}`, ...more], { stdin: `${token}\n` });
const loginPath = (): string => join(home, ".config/muster/logins", `${encodeURIComponent(outpost.address)}.json`);

describe("muster login", () => {
  test("with a pin and a token: commands find the controller afterwards, until logout", async () => {
    const ended = await login(tokenOf("anna"));
    expect(ended).toMatchObject({ code: 0, err: "" });
    expect(ended.out).toMatch(new RegExp(`^anna at ${outpost.address}: admin, ends in 59m`));
    expect((await run(["whoami"])).out).toContain(`anna at ${outpost.address}`);
    expect((await run(["whoami", "--address", outpost.address])).code).toBe(0);
    expect((await run(["logout"])).out).toBe(`logged out of ${outpost.address}\n`);
    expect(await run(["whoami"])).toMatchObject({ code: 3, err: expect.stringContaining("no controller is known here") });
    expect(await run(["whoami", "--address", outpost.address])).toMatchObject({ code: 1, err: `muster: not logged in to ${outpost.address}: muster login ${outpost.address}\n` });
  });

  test("keeps what it got from others on the machine, and uses no file that they can read", async () => {
    await login(tokenOf("anna"));
    expect(statSync(loginPath()).mode & 0o777).toBe(0o600);
    expect(statSync(join(home, ".config/muster/logins")).mode & 0o777).toBe(0o700);
    chmodSync(loginPath(), 0o644);
    expect(await run(["whoami"])).toMatchObject({ code: 2, err: expect.stringContaining("others can read it: chmod 600") });
  });

  test("with the pin of another authority sends no token, and says what it was shown", async () => {
    const { code, err } = await run(["login", outpost.address, "--ca", "ab".repeat(32)], { stdin: tokenOf("anna") });
    expect(code).toBe(1);
    expect(err).toContain(`it shows sha256:${outpost.pin}`);
    expect(existsSync(loginPath())).toBe(false);
    expect(outpost.access.users.get("anna")?.lastUsedAt).toBe(0);
  });

  test("without a pin and without anybody to ask trusts nobody", async () => {
    const { code, err } = await run(["login", outpost.address], { stdin: tokenOf("anna") });
    expect([code, existsSync(loginPath())]).toEqual([2, false]);
    expect(err).toContain(`sha256:${outpost.pin}, and nobody is here to say whether that is right`);
    expect(outpost.access.users.get("anna")?.lastUsedAt).toBe(0);
  });

  test.each([
    ["mut1.wrong", "it has not the form of a token"],
    [`mut1.${"0".repeat(16)}.${"A".repeat(43)}`, "no user has this token"],
  ])("with %s is refused and keeps nothing", async (token, why) => {
    expect(await login(token)).toMatchObject({ code: 1, err: `muster: token refused: ${why}; log in again: muster login HOST:PORT\n` });
    expect(existsSync(loginPath())).toBe(false);
  });

  test("with a key and certificate that the controller's admin has made", async () => {
    await login(tokenOf("root"));
    const made = await run(["user", "create", "bo", "--role", "viewer", "--certificate", "bo.pem", "-o", "json"]);
    expect(made).toMatchObject({ code: 0 });
    expect(JSON.parse(made.out)).toMatchObject({ name: "bo", credential: "certificate", token: null, certificate: "bo.pem", pin: outpost.pin });
    expect(statSync(join(home, "bo.pem")).mode & 0o777).toBe(0o600);
    expect(await run(["user", "create", "cy", "--role", "viewer", "--certificate", "bo.pem"])).toMatchObject({ code: 2, err: expect.stringContaining("bo.pem is there already") });
    expect(await login("", "--certificate", "bo.pem")).toMatchObject({ code: 0, out: expect.stringMatching(/^bo at .*: viewer/) });
    expect(await run(["user", "list"])).toMatchObject({ code: 1, err: "muster: AccessService/ListUsers needs the role admin, and bo is viewer\n" });
    outpost.access.users.remove("bo");
    expect(await run(["whoami"])).toMatchObject({ code: 1, err: expect.stringContaining("the user was removed") });
  });
});

describe("afterwards", () => {
  test("somebody in between is noticed, and hears no token", async () => {
    await login(tokenOf("anna"));
    const { address } = outpost;
    const impostor = await Outpost.open();
    const kept = JSON.parse(readFileSync(loginPath(), "utf8")) as object;
    writeFileSync(join(home, ".config/muster/logins", `${encodeURIComponent(impostor.address)}.json`), JSON.stringify({ ...kept, address: impostor.address }), { mode: 0o600 });
    const { code, err } = await run(["whoami", "--address", impostor.address]);
    expect([code, address === impostor.address]).toEqual([1, false]);
    expect(err).toContain("certificate of another authority");
    expect(impostor.access.audit.read({ since: 0, who: "", refused: true, limit: 10 })).toEqual([]);
    await impostor.close();
  });

  test("a login outlives a change of the authority, when it was used while both were there", async () => {
    await login(tokenOf("anna"));
    await outpost.rotate();
    const kept = JSON.parse(readFileSync(loginPath(), "utf8")) as object;
    writeFileSync(loginPath(), JSON.stringify({ ...kept, authoritiesAt: Date.now() - HOUR_MS }), { mode: 0o600 });
    expect((await run(["whoami"])).code).toBe(0);
    await outpost.retire();
    expect((await run(["whoami"])).code).toBe(0);
    expect((JSON.parse(readFileSync(loginPath(), "utf8")) as { authorities: unknown[] }).authorities).toHaveLength(2);
  });

  test("a login that slept through it is told", async () => {
    await login(tokenOf("anna"));
    await outpost.rotate();
    await outpost.retire();
    expect(await run(["whoami"])).toMatchObject({ code: 1, err: expect.stringContaining("certificate of another authority") });
  });
});

test("a pipeline needs no login: an address, a pin and a file with the token", async () => {
  writeFileSync(join(home, "token"), `${tokenOf("ci", "deployer")}\n`);
  const env = { MUSTER_ADDRESS: outpost.address, MUSTER_CA: `sha256:${outpost.pin}`, MUSTER_TOKEN_FILE: "token" };
  expect((await run(["whoami", "-o", "json"], { env })).out).toContain('"name": "ci"');
  expect(await run(["whoami"], { env: { ...env, MUSTER_CA: "ab".repeat(32) } })).toMatchObject({ code: 1, err: expect.stringContaining("is not of the authority") });
  expect(await run(["whoami"], { env: { ...env, MUSTER_TOKEN_FILE: "nowhere" } })).toMatchObject({ code: 2, err: expect.stringContaining("MUSTER_TOKEN_FILE: cannot read nowhere") });
});

test("what an admin does from elsewhere is in the audit log, and so is who was refused", async () => {
  await login(tokenOf("anna"));
  await run(["user", "create", "bo", "--role", "deployer", "--apps", "shop-*"]);
  await run(["user", "set", "bo", "--disable"]);
  await run(["user", "remove", "bo"]);
  await login("mut1.wrong");
  const { out } = await run(["audit"]);
  expect(out.split("\n").map((line) => line.replace(/^\S+ \S+ {2}/, ""))).toEqual([
    "anna (user) from 127.0.0.1  AccessService/CreateUser name=bo role=deployer apps=shop-*  ok",
    "anna (user) from 127.0.0.1  AccessService/SetUser name=bo disabled=true  ok",
    "anna (user) from 127.0.0.1  AccessService/RemoveUser name=bo  ok",
    "unknown from 127.0.0.1  AccessService/WhoAmI  refused: token refused: it has not the form of a token; log in again: muster login HOST:PORT",
    "",
  ]);
});
