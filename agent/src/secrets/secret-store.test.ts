import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AppAssignment, Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Release, ReleaseSecrets } from "@muster/proto/gen/muster/v1/release.ts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { processRelease, remove, run } from "../machine/hand-driven.fixture.ts";
import type { SealingKeyPair } from "./open.ts";
import { makeKey, sealed, type TestKey } from "./sealing.fixture.ts";
import { createSecretStore } from "./secret-store.ts";

let dir: string;
let key: TestKey;
let keys: SealingKeyPair[];
let asked: number;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "muster-secrets-"));
  mkdirSync(join(dir, "apps/web"), { recursive: true });
  key = await makeKey("k1");
  keys = [key];
  asked = 0;
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const SECRETS: ReleaseSecrets = { env: { DB_PASSWORD: "db" }, files: [{ path: "tls/server.key", secret: "tls", mode: 0o400 }, { path: "db.txt", secret: "db", mode: 0o600 }] };
const VALUES = { db: "pass\nword", tls: "-----BEGIN" };
const release = (version: string, secrets: ReleaseSecrets = SECRETS): Release => processRelease(version, { secrets });
const store = () => createSecretStore({ dir, machineId: "m-1", sealingKeys: () => keys, onUnopened: () => (asked += 1) });
const assignment = (...apps: AppAssignment[]): Assignment => ({ machine: "m-1", generation: 9, apps });
const folder = (version: string): string => join(dir, "apps/web/secrets/releases", version);
const mode = (path: string): string => (statSync(path).mode & 0o7777).toString(8);

async function placed(version = "1", values: Readonly<Record<string, string>> = VALUES) {
  const secrets = store();
  secrets.take(assignment(await sealed(run(7, release(version)), values, key)));
  expect(await secrets.place("web", release(version))).toEqual({ ok: true, value: undefined });
  return secrets;
}

describe("secrets of a release", () => {
  it("are opened and kept where nobody else may read them, and given to the workload", async () => {
    const secrets = await placed();
    expect(secrets.environment("web", release("1"))).toEqual({ ok: true, value: { DB_PASSWORD: "pass\nword", MUSTER_SECRETS_DIR: join(folder("1"), "files") } });
    expect(secrets.dir("web", "1")).toBe(join(folder("1"), "files"));
    expect(readFileSync(join(folder("1"), "files/tls/server.key"), "utf8")).toBe("-----BEGIN");
    expect([mode(join(folder("1"), "files/tls/server.key")), mode(join(folder("1"), "files/db.txt")), mode(join(folder("1"), "values.json"))]).toEqual(["400", "600", "600"]);
    for (const place of [join(dir, "apps/web/secrets"), join(dir, "apps/web/secrets/releases"), folder("1"), join(folder("1"), "files"), join(folder("1"), "files/tls")]) {
      expect(mode(place), place).toBe("700");
    }
    expect(asked).toBe(0);
  });

  it("that cannot be written leave nothing behind, try after try, and what was there stays", async () => {
    await placed();
    const impossible = release("2", { env: {}, files: [{ path: "tls", secret: "db", mode: 0o600 }, { path: "tls/server.key", secret: "tls", mode: 0o600 }] });
    const secrets = store();
    secrets.take(assignment(await sealed(run(8, impossible), VALUES, key)));
    for (let tries = 0; tries < 3; tries += 1) expect(await secrets.place("web", impossible)).toMatchObject({ ok: false, fault: { code: "io_error", retryable: true } });
    expect(readdirSync(join(dir, "apps/web/secrets/releases"))).toEqual(["1"]);
    expect(secrets.environment("web", release("1"))).toMatchObject({ ok: true, value: { DB_PASSWORD: "pass\nword" } });
  });

  it("are there after a restart without keys, boxes or a network", async () => {
    await placed();
    keys = [];
    const again = store();
    expect(await again.place("web", release("1"))).toMatchObject({ ok: true });
    expect(again.environment("web", release("1"))).toMatchObject({ ok: true, value: { DB_PASSWORD: "pass\nword" } });
    expect(asked).toBe(0);
  });

  it("stay those of an older release while a newer one has others", async () => {
    const secrets = await placed("1");
    secrets.take(assignment(await sealed(run(8, release("2")), { db: "newer", tls: "x" }, key)));
    await secrets.place("web", release("2"));
    const of = (version: string) => secrets.environment("web", release(version));
    expect([of("1"), of("2")]).toMatchObject([{ value: { DB_PASSWORD: "pass\nword" } }, { value: { DB_PASSWORD: "newer" } }]);
    await secrets.prune("web", ["2"]);
    expect(readdirSync(join(dir, "apps/web/secrets/releases"))).toEqual(["2"]);
    expect(of("1")).toMatchObject({ ok: false, fault: { code: "secret_unavailable", retryable: true } });
  });

  it("are written again when a half written or damaged folder stands in their place", async () => {
    const secrets = await placed();
    writeFileSync(join(folder("1"), "values.json"), "{");
    mkdirSync(join(dir, "apps/web/secrets/releases/.draft.x"));
    expect(await secrets.place("web", release("1"))).toMatchObject({ ok: true });
    expect(secrets.environment("web", release("1"))).toMatchObject({ ok: true });
    await secrets.prune("web", ["1"]);
    expect(readdirSync(join(dir, "apps/web/secrets/releases"))).toEqual(["1"]);
  });

  it("need nothing when the release names none", async () => {
    const secrets = store();
    expect(await secrets.place("web", processRelease("1"))).toMatchObject({ ok: true });
    expect(secrets.environment("web", processRelease("1"))).toEqual({ ok: true, value: {} });
    expect(await secrets.point("web", processRelease("1"))).toMatchObject({ ok: true });
    expect(readdirSync(join(dir, "apps/web"))).toEqual([]);
  });

  it("have a link that goes with the release", async () => {
    const secrets = await placed("1");
    await secrets.point("web", release("1"));
    const link = join(dir, "apps/web/secrets/current");
    expect(readlinkSync(link)).toBe("releases/1/files");
    expect(readFileSync(join(link, "db.txt"), "utf8")).toBe("pass\nword");
    await secrets.point("web", undefined);
    expect(() => lstatSync(link)).toThrow("ENOENT");
  });
});

describe("what came sealed", () => {
  const unavailable = { ok: false, fault: { code: "secret_unavailable", retryable: true } };

  it.each<[string, (goal: AppAssignment) => Promise<AppAssignment>]>([
    ["for another machine", (goal) => sealed(goal, VALUES, key, "m-2")],
    ["to a key that is none of ours", async (goal) => sealed(goal, VALUES, await makeKey("k0"))],
    ["to another key under our key's name", async (goal) => sealed(goal, VALUES, await makeKey("k1"))],
    ["for an older generation", async (goal) => ({ ...goal, secrets: (await sealed({ ...goal, generation: 6 }, VALUES, key)).secrets })],
    ["for another app", async (goal) => ({ ...goal, secrets: (await sealed({ ...goal, app: "db" }, VALUES, key)).secrets })],
    ["for another release", async (goal) => ({ ...goal, secrets: (await sealed(run(7, release("2")), VALUES, key)).secrets })],
    ["without all that the release names", (goal) => sealed(goal, { db: "x" }, key)],
    ["and was changed", async (goal) => {
      const { secrets, ...rest } = await sealed(goal, VALUES, key);
      const { sealed: box, versions } = secrets!;
      return { ...rest, secrets: { versions, sealed: { ...box!, ciphertext: Buffer.from(box!.ciphertext.map((byte, index) => (index === 3 ? byte ^ 1 : byte))) } } };
    }],
    ["as other versions than are said", async (goal) => {
      const { secrets, ...rest } = await sealed(goal, VALUES, key);
      return { ...rest, secrets: { ...secrets!, versions: { db: 2, tls: 1 } } };
    }],
    ["not at all", async (goal) => ({ ...goal, secrets: { versions: { db: 1, tls: 1 }, sealed: undefined } })],
  ])("%s does not open, is asked for again, and nothing is written", async (_what, seal) => {
    const secrets = store();
    secrets.take(assignment(await seal(run(7, release("1")))));
    expect(await secrets.place("web", release("1"))).toMatchObject(unavailable);
    expect(asked).toBe(1);
    expect(readdirSync(join(dir, "apps/web"))).toEqual([]);
  });

  it("to an older key opens as long as that is kept, and to a newer one once it came again", async () => {
    const secrets = store();
    const newer = await makeKey("k2");
    const goal = run(7, release("1"));
    secrets.take(assignment(await sealed(goal, VALUES, newer)));
    expect(await secrets.place("web", release("1"))).toMatchObject(unavailable);
    keys = [newer, key];
    expect(await secrets.place("web", release("1"))).toMatchObject({ ok: true });
    secrets.take(assignment(await sealed(run(8, release("2")), VALUES, key)));
    expect(await secrets.place("web", release("2"))).toMatchObject({ ok: true });
  });

  it("is forgotten with the app", async () => {
    const secrets = store();
    secrets.take(assignment(await sealed(run(7, release("1")), VALUES, key)));
    secrets.take(assignment(remove(8)));
    expect(await secrets.place("web", release("1"))).toMatchObject(unavailable);
  });

  it("with a path that climbs out is a bug and crashes, whoever let it through", async () => {
    const bad = release("1", { env: {}, files: [{ path: "../../x", secret: "db", mode: 0o600 }] });
    const secrets = store();
    secrets.take(assignment(await sealed(run(7, bad), VALUES, key)));
    await expect(secrets.place("web", bad)).rejects.toThrow("not a path");
  });
});

describe("a text for people", () => {
  it("loses the values of the app's secrets, however they are written", async () => {
    const secrets = await placed("1", { db: 'pa"ss wörd', tls: "line-one\nline-two" });
    const told = `a pa"ss wörd b ${JSON.stringify('pa"ss wörd')} c ${encodeURIComponent('pa"ss wörd')} d ${Buffer.from('pa"ss wörd').toString("base64")} e line-two f`;
    expect(secrets.redact("web", told)).toBe('a [secret] b "[secret]" c [secret] d [secret] e [secret] f');
    expect(secrets.redact("db", told)).toBe(told);
    expect(store().redact("web", "line-one")).toBe("[secret]");
  });

  it("keeps its words when a secret is as short as one of them", async () => {
    const secrets = await placed("1", { db: "on", tls: "x" });
    expect(secrets.redact("web", "port on, x taken")).toBe("port on, x taken");
  });
});
