/** Logging in by a real OpenID provider, with the real command; and every token that is not quite right. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createOidc, type Oidc, type OidcOptions } from "@muster/controller/src/access/oidc.ts";
import { Outpost } from "@muster/controller/src/api/outpost.fixture.ts";
import { browse, CLIENT, IdentityProvider } from "./identity-provider.ts";
import { runMuster } from "./muster-process.ts";

let provider: IdentityProvider;
let oidc: Oidc;
let options: OidcOptions;

beforeAll(async () => {
  provider = await IdentityProvider.start(["staff", "shop"]);
  options = {
    issuer: provider.issuer,
    audience: CLIENT,
    clientId: CLIENT,
    scopes: "openid email offline_access",
    roleClaim: "groups",
    rules: [
      { value: "admins", role: "admin", apps: "", targets: "" },
      { value: "shop", role: "deployer", apps: "shop-*", targets: "env=staging" },
    ],
  };
  oidc = createOidc(options, () => Date.now());
});
afterAll(() => provider.stop());

const MINUTE_S = 60;
const nowS = (): number => Math.floor(Date.now() / 1000);
const good = (more: object = {}): object => ({ iss: provider.issuer, aud: CLIENT, sub: "anna", groups: ["shop"], iat: nowS(), exp: nowS() + MINUTE_S, ...more });

describe("a token", () => {
  test("that the provider has signed for us says who it is, and what they may do", async () => {
    const claims = good({ email: "anna@shop.example", email_verified: true });
    expect(await oidc.verify(provider.signed(claims))).toEqual({
      ok: true,
      operator: { name: "oidc:anna@shop.example", role: "deployer", apps: "shop-*", targets: "env=staging", expiresAt: (claims as { exp: number }).exp * 1000 },
    });
  });

  test("gives a name that the provider vouches for alone", async () => {
    for (const claims of [good({ email: "root@shop.example" }), good({ email: "root@shop.example", email_verified: false }), good({ preferred_username: "root", name: "root" })]) {
      expect(await oidc.verify(provider.signed(claims))).toMatchObject({ operator: { name: "oidc:anna" } });
    }
  });

  test.each<[string, () => string, RegExp]>([
    ["is of another issuer", () => provider.signed(good({ iss: "https://elsewhere.example" })), /of another issuer/],
    ["is meant for another program", () => provider.signed(good({ aud: "wiki" })), /meant for somebody else/],
    ["is meant for nobody", () => provider.signed(good({ aud: undefined })), /audience/],
    ["has expired", () => provider.signed(good({ exp: nowS() - MINUTE_S })), /has expired/],
    ["never expires", () => provider.signed(good({ exp: undefined })), /exp is missing/],
    ["begins later", () => provider.signed(good({ nbf: nowS() + 2 * MINUTE_S })), /not valid yet/],
    ["names nobody", () => provider.signed(good({ sub: undefined })), /sub is missing/],
    ["is not signed", () => provider.unsigned(good()), /not signed in a way that is taken/],
    ["is signed with another key", () => provider.forged(good()), /no key of .* has signed it/],
    ["is signed with the public key as a secret", () => provider.confused(good()), /not signed in a way that is taken/],
    ["has no claim for roles", () => provider.signed(good({ groups: undefined })), /has no claim groups/],
    ["has a claim that gives no role", () => provider.signed(good({ groups: ["staff"] })), /no role is given/],
    ["was changed", () => changed(provider.signed(good({ groups: ["staff"] })), good({ groups: ["admins"] })), /no key of .* has signed it/],
    ["is no token", () => "a.b.c", /can't be read/],
    ["is cut off", () => provider.signed(good()).slice(0, -20), /has signed it|can't be read/],
  ])("that %s is refused", async (_what, token, reason) => {
    expect(await oidc.verify(token())).toMatchObject({ ok: false, isGuess: true, reason: expect.stringMatching(reason) });
  });

  test("is refused, and nobody is to blame, when the provider is away or is another", async () => {
    const away = createOidc({ ...options, issuer: "http://127.0.0.1:1" }, () => Date.now());
    expect(await away.verify(provider.signed(good()))).toMatchObject({ ok: false, isGuess: false, reason: expect.stringContaining("can't be asked for its keys") });
    const other = createOidc({ ...options, issuer: `${provider.issuer}/` }, () => Date.now());
    expect(await other.verify(provider.signed(good()))).toMatchObject({ ok: false, isGuess: false, reason: expect.stringContaining("speaks for the issuer") });
    const plain = createOidc({ ...options, issuer: "http://id.example" }, () => Date.now());
    expect(await plain.verify(provider.signed(good()))).toMatchObject({ ok: false, isGuess: false, reason: expect.stringContaining("is not HTTPS") });
  });

  test("is taken again when the provider has come back, which is asked every five seconds at most", async () => {
    let isAway = true;
    let asked = 0;
    const server = createServer((_request, response) => {
      asked += 1;
      response.statusCode = isAway ? 503 : 200;
      response.end(JSON.stringify({ issuer: issuerOf(server), jwks_uri: `${provider.issuer}/jwks` }));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    let now = Date.now();
    const issuer = issuerOf(server);
    const late = createOidc({ ...options, issuer }, () => now);
    const token = provider.signed(good({ iss: issuer }));
    expect(await late.verify(token)).toMatchObject({ isGuess: false, reason: expect.stringContaining("answered 503") });
    isAway = false;
    expect((await late.verify(token)).ok).toBe(false);
    expect(asked).toBe(1);
    now += 5_000;
    expect((await late.verify(token)).ok).toBe(true);
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
});

function issuerOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function changed(token: string, claims: object): string {
  const [header = "", , signature = ""] = token.split(".");
  return `${header}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.${signature}`;
}

describe("muster login --oidc", () => {
  let outpost: Outpost;
  let home: string;
  beforeAll(async () => {
    outpost = await Outpost.open(options);
    home = mkdtempSync(join(tmpdir(), "muster-oidc-"));
  });
  afterAll(async () => {
    await outpost.close();
    rmSync(home, { recursive: true, force: true });
  });

  const run = (args: readonly string[], onStderr?: (text: string) => void) => runMuster(args, { cwd: home, env: { HOME: home }, ...(onStderr === undefined ? {} : { onStderr }) });

  test("shows a page and a code; who confirms it in a browser is in, with the role of their group", async () => {
    let browsing: Promise<string> | undefined;
    const ended = await run(["login", outpost.address, "--ca", `sha256:${outpost.pin}`, "--oidc", "-o", "json"], (text) => {
      const [url] = /http:\S+/.exec(text) ?? [];
      if (url !== undefined && text.includes("confirm the code")) browsing ??= browse(url, "anna");
    });
    expect(await browsing).toContain("Success");
    expect(ended).toMatchObject({ code: 0 });
    expect(JSON.parse(ended.out)).toMatchObject({ address: outpost.address, name: "oidc:anna@shop.example", role: "deployer", apps: "shop-*", targets: "env=staging" });
    expect(outpost.access.audit.read({ since: 0, who: "", refused: true, limit: 10 })).toEqual([]);
  });

  test("the login is used afterwards, and refreshed when its token is about to end", async () => {
    expect((await run(["whoami"])).out).toContain("oidc:anna@shop.example");
    const path = join(home, ".config/muster/logins", `${encodeURIComponent(outpost.address)}.json`);
    const kept = () => JSON.parse(readFileSync(path, "utf8")) as { credential: { token: string; refreshToken: string; expiresAt: number } };
    const before = kept();
    expect(before.credential.refreshToken).not.toBeNull();
    writeFileSync(path, JSON.stringify({ ...before, credential: { ...before.credential, expiresAt: Date.now() + 1_000 } }), { mode: 0o600 });
    expect((await run(["whoami", "-o", "json"])).code).toBe(0);
    expect(kept().credential.expiresAt).toBeGreaterThan(Date.now() + 60_000);
  });
});
