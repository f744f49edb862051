import SqliteDatabase, { type Database } from "better-sqlite3";
import { beforeEach, expect, test } from "vitest";
import { DAY_MS, NOON } from "../api/access.fixture.ts";
import { isUserName, type NewUser, Users } from "./users.ts";

let db: Database;
let now: number;
let users: Users;

beforeEach(() => {
  db = new SqliteDatabase(":memory:");
  now = NOON;
  users = new Users(db, () => now);
});

const ANNA: NewUser = { name: "anna", role: "deployer", apps: "shop-*", targets: "env=staging", createdBy: "root", expiresAt: NOON + DAY_MS };

test("a token is found again, and is nowhere in the database", () => {
  const { token, user } = users.createWithToken(ANNA)!;
  expect(users.byToken(token)).toMatchObject({ ok: true, user: { number: user.number, name: "anna", role: "deployer", apps: "shop-*", targets: "env=staging" } });
  expect(db.serialize().includes(token.split(".")[2]!)).toBe(false);
  expect(db.serialize().includes(token.split(".")[1]!)).toBe(true);
});

test("two users never have one name, and numbers are not given twice", () => {
  const first = users.createForCertificate(ANNA)!;
  expect(users.createWithToken(ANNA)).toBeUndefined();
  expect(users.remove("anna")).toBe(true);
  expect(users.remove("anna")).toBe(false);
  expect(users.createForCertificate(ANNA)!.number).toBeGreaterThan(first.number);
});

test("a change leaves the rest as it is", () => {
  users.createWithToken(ANNA);
  expect(users.change("anna", { role: "admin", apps: "" })).toMatchObject({ role: "admin", apps: "", targets: "env=staging", disabled: false });
  expect(users.change("bo", { role: "admin" })).toBeUndefined();
});

test("when somebody was here last is noted once a minute", () => {
  const { token } = users.createWithToken(ANNA)!;
  const lastUsed = (): number => users.get("anna")!.lastUsedAt;
  expect(lastUsed()).toBe(0);
  users.byToken(token);
  expect(lastUsed()).toBe(NOON);
  now += 59_000;
  users.byToken(token);
  expect(lastUsed()).toBe(NOON);
  now += 1_000;
  users.byToken(token);
  expect(lastUsed()).toBe(NOON + 60_000);
});

test("they are still there when the database is opened again", () => {
  const { token } = users.createWithToken(ANNA)!;
  expect(new Users(db, () => now).byToken(token).ok).toBe(true);
});

test.each(["anna", "anna@shop.example", "ci-1", "0"])("%s is a name", (name) => expect(isUserName(name)).toBe(true));
test.each(["", "Anna", "-a", "a b", "a/b", "oidc:anna", "ä", "a".repeat(64), "a\n"])("%j is none", (name) => expect(isUserName(name)).toBe(false));
