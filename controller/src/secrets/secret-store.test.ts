import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import SqliteDatabase, { type Database } from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type KeySource, keySourceOf } from "./master-key.ts";
import { SECRETS_MAX, SecretStore } from "./secret-store.ts";

let dir: string;
let db: Database;
let own: KeySource;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "muster-keys-"));
  db = new SqliteDatabase(join(dir, "muster.db"));
  own = keySourceOf({ dir, keyFile: undefined, credentialsDir: undefined });
});
afterEach(() => {
  db.close();
  rmSync(dir, { recursive: true, force: true });
});

const open = (source = own): SecretStore => SecretStore.open(db, source);
const set = (store: SecretStore, name: string, value: string, apps?: string): number | undefined => store.set({ name, value: Buffer.from(value), apps, by: "anna", at: 7 });
const shown = (store: SecretStore, name: string, version: number): string | undefined => store.value(name, version)?.toString();
const KEY = (byte: number): string => Buffer.alloc(32, byte).toString("base64");
const rows = (): unknown => db.prepare("SELECT * FROM secret_versions").all();

function keyFile(...lines: readonly string[]): KeySource {
  const path = join(dir, "given.key");
  writeFileSync(path, lines.join("\n"), { mode: 0o600 });
  return { kind: "file", path };
}

describe("a secret", () => {
  it("has versions, each with its own value, and a list that shows none", () => {
    const store = open();
    expect([set(store, "db", "first"), set(store, "db", "second", "shop-*"), set(store, "api", "x")]).toEqual([1, 2, 1]);
    expect([shown(store, "db", 1), shown(store, "db", 2), shown(store, "db", 3), shown(store, "no", 1)]).toEqual(["first", "second", undefined, undefined]);
    expect([store.newest("db"), store.newest("no")]).toEqual([2, undefined]);
    expect(store.list()).toEqual([
      { name: "api", apps: "*", versions: [{ version: 1, sizeBytes: 1, setAt: 7, setBy: "anna" }] },
      { name: "db", apps: "shop-*", versions: [{ version: 1, sizeBytes: 5, setAt: 7, setBy: "anna" }, { version: 2, sizeBytes: 6, setAt: 7, setBy: "anna" }] },
    ]);
  });

  it("is for the apps that were named last", () => {
    const store = open();
    set(store, "db", "x");
    expect([store.admits("db", "web"), store.admits("no", "web")]).toEqual([true, false]);
    set(store, "db", "x", "shop-*,billing");
    set(store, "db", "x");
    expect(["shop-web", "billing", "billings", "web-shop"].map((app) => store.admits("db", app))).toEqual([true, true, false, false]);
  });

  it("forgets the versions that nobody names, but never the newest", () => {
    const store = open();
    for (const value of ["a", "b", "c", "d"]) set(store, "db", value);
    store.keepOnly("db", [2]);
    expect(store.get("db")?.versions.map(({ version }) => version)).toEqual([2, 4]);
  });

  it("that is removed is gone, and its numbers are never used again", () => {
    const store = open();
    set(store, "db", "x");
    set(store, "db", "y");
    expect([store.remove("db"), store.remove("db"), store.list(), shown(store, "db", 2)]).toEqual([true, false, [], undefined]);
    expect(set(store, "db", "z")).toBe(3);
  });

  it("is text when an environment can hold it", () => {
    const store = open();
    for (const value of [Buffer.from("wörd"), Buffer.from("a\0b"), Buffer.from([0xff, 0xfe])]) store.set({ name: "db", value, apps: undefined, by: "", at: 0 });
    expect([1, 2, 3, 4].map((version) => store.isText("db", version))).toEqual([true, false, false, false]);
  });

  it("is one of so many at most", () => {
    const store = open();
    set(store, "first", "x");
    const numbers = JSON.stringify(Array.from({ length: SECRETS_MAX - 1 }, (_, index) => index));
    db.prepare("INSERT INTO secrets (name, apps, newest) SELECT 's' || value, '*', 1 FROM json_each(?)").run(numbers);
    db.exec("INSERT INTO secret_versions (name, version, master_key, wrapped_key, ciphertext, size_bytes, set_at, set_by) SELECT s.name, 1, v.master_key, v.wrapped_key, v.ciphertext, 1, 0, '' FROM secrets s, secret_versions v WHERE s.name <> 'first'");
    expect([set(store, "one-more", "x"), set(store, "first", "y")]).toEqual([undefined, 2]);
    store.remove("s1");
    expect(set(store, "one-more", "x")).toBe(1);
  });
});

describe("the database", () => {
  it("holds no value, in whatever form", () => {
    const store = open();
    set(store, "db", "correct horse battery staple");
    db.pragma("wal_checkpoint(TRUNCATE)");
    const bytes = readFileSync(join(dir, "muster.db"));
    for (const form of ["correct horse", Buffer.from("correct horse").toString("base64").slice(0, 16), Buffer.from("correct horse").toString("hex")]) {
      expect(bytes.includes(form)).toBe(false);
    }
    expect(bytes.includes("anna")).toBe(true);
  });

  it("can't have a value moved to another name or version, or changed", () => {
    const store = open();
    set(store, "db", "x");
    set(store, "db", "y");
    set(store, "api", "z");
    db.exec("UPDATE secret_versions SET (wrapped_key, ciphertext) = (SELECT wrapped_key, ciphertext FROM secret_versions WHERE name = 'db' AND version = 1) WHERE name = 'db' AND version = 2 OR name = 'api'");
    expect(() => store.value("db", 2)).toThrow("version 2 of the secret db was changed in the database");
    expect(() => store.value("api", 1)).toThrow(/was changed/);
    db.exec("UPDATE secret_versions SET ciphertext = x'00' WHERE version = 1 AND name = 'db'");
    expect(() => store.value("db", 1)).toThrow(/was changed/);
  });
});

describe("the key", () => {
  it("is made at the first start where nobody else may read it, and is the same at the next", () => {
    set(open(), "db", "x");
    const { path } = own;
    expect(path).toBe(join(dir, "identity/secrets.key"));
    expect([statSync(path).mode & 0o777, statSync(join(dir, "identity")).mode & 0o777]).toEqual([0o600, 0o700]);
    expect(shown(open(), "db", 1)).toBe("x");
  });

  it("may be given by a file, or by systemd", () => {
    const credentialsDir = join(dir, "credentials");
    mkdirSync(credentialsDir);
    expect(keySourceOf({ dir, keyFile: undefined, credentialsDir }).kind).toBe("own");
    writeFileSync(join(credentialsDir, "muster-secrets-key"), KEY(1), { mode: 0o440 });
    const credential = keySourceOf({ dir, keyFile: undefined, credentialsDir });
    expect(credential).toEqual({ kind: "credential", path: join(credentialsDir, "muster-secrets-key") });
    expect(keySourceOf({ dir, keyFile: "/x", credentialsDir })).toEqual({ kind: "file", path: "/x" });
    set(open(credential), "db", "x");
    expect(shown(open(keyFile(KEY(1))), "db", 1)).toBe("x");
    expect(existsSync(own.path)).toBe(false);
  });

  it("is replaced by one in the line before it, and is not needed any more after a start with both", () => {
    set(open(keyFile(KEY(1))), "db", "x");
    expect(shown(open(keyFile("# new", KEY(2), "", KEY(1))), "db", 1)).toBe("x");
    expect(shown(open(keyFile(KEY(2))), "db", 1)).toBe("x");
    expect(() => open(keyFile(KEY(1)))).toThrow("put the right key there");
  });

  it.each<[string, () => KeySource, RegExp, string]>([
    ["is another one", () => keyFile(KEY(9)), /encrypted with the key [0-9a-f]{16}, and .*given\.key holds [0-9a-f]{16}: put the right key there.*nothing was changed/, "key_wrong"],
    ["of its own has gone", () => own, /identity\/secrets\.key is not there: bring the file back, or name another place with --secrets-key-file; nothing was changed/, "key_missing"],
    ["that was named is not there", () => ({ kind: "file", path: join(dir, "nope") }), /nope, is not there: put it there, or make one with: openssl/, "key_missing"],
    ["is no key", () => keyFile("secret"), /is not 32 random bytes in base64/, "key_malformed"],
    ["is empty", () => keyFile(""), /is not 32 random bytes in base64/, "key_malformed"],
    ["can't be read", () => ({ kind: "file", path: dir }), /may be read by others|can't be read/, "key_"],
  ])("that %s keeps the controller from starting, and destroys nothing", (_what, source, message, code) => {
    set(open(keyFile(KEY(1))), "db", "x");
    const before = rows();
    const given = source();
    expect(() => open(given)).toThrow(message);
    expect(() => open(given)).toThrow(expect.objectContaining({ code: expect.stringContaining(code) as string }) as Error);
    expect(rows()).toEqual(before);
    expect(existsSync(own.path)).toBe(false);
    expect(shown(open(keyFile(KEY(1))), "db", 1)).toBe("x");
  });

  it("that others may read is refused, whether it was given or made", () => {
    const given = keyFile(KEY(1));
    chmodSync(given.path, 0o640);
    expect(() => open(given)).toThrow(/may be read by others than its owner: chmod 600/);
    open();
    chmodSync(own.path, 0o604);
    expect(() => open()).toThrow(/chmod 600/);
  });
});
