/**
 * The users: who may call from elsewhere, with which credential, and what they may do. Credentials must be forgettable, so they are no part of the journal.
 *
 * Always holds: of a token only a hash is kept; numbers of users are never given twice, so a certificate of one who was removed names nobody.
 */
import type { Database } from "better-sqlite3";
import { ROLES, type Role } from "../grpc/caller.ts";
import { migrate } from "../journal/own-tables.ts";
import type { Binding } from "./binding.ts";
import { isSameHash, mintToken, parseToken } from "./user-token.ts";

export interface User extends Binding {
  /** Of the record; certificates name it. */
  readonly number: number;
  readonly name: string;
  readonly role: Role;
  readonly credential: "token" | "certificate";
  readonly createdAt: number;
  readonly createdBy: string;
  readonly expiresAt: number;
  /** Within a minute; 0: never. */
  readonly lastUsedAt: number;
  readonly disabled: boolean;
}

export type NewUser = Pick<User, "name" | "role" | "apps" | "targets" | "createdBy" | "expiresAt">;
export type UserChange = Partial<Pick<User, "role" | "apps" | "targets" | "disabled">>;

/** Who a credential belongs to, or why it counts for nothing. */
export type Found = { readonly ok: true; readonly user: User } | { readonly ok: false; readonly reason: string };

const NAME = /^[a-z0-9][a-z0-9._@-]{0,62}$/;
export const USER_NAME_RULE = "1 to 63 of a-z, 0-9 and . _ @ -, beginning with a letter or digit";
/** More people and programs than one fleet has. */
export const USERS_MAX = 10_000;
/** Between two notes of when a user was last here. */
const USE_NOTED_EVERY_MS = 60_000;

export const STEPS = [
  `CREATE TABLE users (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    name         TEXT NOT NULL UNIQUE,
    role         TEXT NOT NULL,
    apps         TEXT NOT NULL,
    targets      TEXT NOT NULL,
    token_id     TEXT UNIQUE,
    token_hash   BLOB,
    created_at   INTEGER NOT NULL,
    created_by   TEXT NOT NULL,
    expires_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL DEFAULT 0,
    disabled     INTEGER NOT NULL DEFAULT 0
  ) STRICT`,
];

interface Row {
  readonly number: number;
  readonly name: string;
  readonly role: string;
  readonly apps: string;
  readonly targets: string;
  readonly token_id: string | null;
  readonly token_hash: Buffer | null;
  readonly created_at: number;
  readonly created_by: string;
  readonly expires_at: number;
  readonly last_used_at: number;
  readonly disabled: number;
}

export function isUserName(text: string): boolean {
  return NAME.test(text);
}

export class Users {
  readonly #db: Database;
  readonly #now: () => number;

  constructor(db: Database, now: () => number) {
    migrate(db, "users", STEPS);
    this.#db = db;
    this.#now = now;
  }

  /** Undefined when there is one of the name, or too many. The token is nowhere else. */
  createWithToken(user: NewUser): { readonly user: User; readonly token: string } | undefined {
    const { token, id, hash } = mintToken();
    const created = this.#insert(user, id, hash);
    return created === undefined ? undefined : { user: created, token };
  }

  /** Undefined when there is one of the name, or too many. The certificate names the record. */
  createForCertificate(user: NewUser): User | undefined {
    return this.#insert(user, null, null);
  }

  list(): readonly User[] {
    return (this.#db.prepare("SELECT * FROM users ORDER BY name").all() as Row[]).map(userOf);
  }

  /** Those who have certificates that were made before; of others none is known. */
  certifiedBefore(at: number): readonly string[] {
    return this.#db.prepare("SELECT name FROM users WHERE token_id IS NULL AND created_at < ? ORDER BY name").pluck().all(at) as string[];
  }

  get(name: string): User | undefined {
    const row = this.#db.prepare("SELECT * FROM users WHERE name = ?").get(name) as Row | undefined;
    return row === undefined ? undefined : userOf(row);
  }

  /** Undefined when there is none of the name. */
  change(name: string, change: UserChange): User | undefined {
    const user = this.get(name);
    if (user === undefined) return undefined;
    const { role, apps, targets, disabled } = { ...user, ...change };
    this.#db.prepare("UPDATE users SET role = ?, apps = ?, targets = ?, disabled = ? WHERE name = ?").run(role, apps, targets, disabled ? 1 : 0, name);
    return this.get(name);
  }

  /** Whether there was one. */
  remove(name: string): boolean {
    return this.#db.prepare("DELETE FROM users WHERE name = ?").run(name).changes > 0;
  }

  /** Takes the same time whether there is such a token or not. */
  byToken(text: string): Found {
    const given = parseToken(text);
    if (given === undefined) return { ok: false, reason: "it has not the form of a token" };
    const row = this.#db.prepare("SELECT * FROM users WHERE token_id = ?").get(given.id) as Row | undefined;
    if (!isSameHash(given.hash, row?.token_hash ?? undefined)) return { ok: false, reason: "no user has this token" };
    return this.#judge(row);
  }

  byCertificate({ name, number }: { readonly name: string; readonly number: number }): Found {
    const row = this.#db.prepare("SELECT * FROM users WHERE number = ? AND name = ? AND token_id IS NULL").get(number, name) as Row | undefined;
    return this.#judge(row);
  }

  #judge(row: Row | undefined): Found {
    if (row === undefined) return { ok: false, reason: "the user was removed" };
    if (row.disabled === 1) return { ok: false, reason: `the user ${row.name} is disabled` };
    if (row.expires_at <= this.#now()) return { ok: false, reason: `it has expired on ${new Date(row.expires_at).toISOString().slice(0, 10)}` };
    this.#noteUse(row);
    return { ok: true, user: userOf(row) };
  }

  #noteUse({ number, last_used_at: before }: Row): void {
    const now = this.#now();
    if (now - before >= USE_NOTED_EVERY_MS) this.#db.prepare("UPDATE users SET last_used_at = ? WHERE number = ?").run(now, number);
  }

  #insert({ name, role, apps, targets, createdBy, expiresAt }: NewUser, tokenId: string | null, tokenHash: Buffer | null): User | undefined {
    const sql = `INSERT INTO users (name, role, apps, targets, token_id, token_hash, created_at, created_by, expires_at)
      SELECT ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM users) < ${USERS_MAX} ON CONFLICT (name) DO NOTHING`;
    const { changes } = this.#db.prepare(sql).run(name, role, apps, targets, tokenId, tokenHash, this.#now(), createdBy, expiresAt);
    return changes === 0 ? undefined : this.get(name);
  }
}

function userOf(row: Row): User {
  return {
    number: row.number,
    name: row.name,
    role: ROLES.find((role) => role === row.role) ?? "viewer",
    apps: row.apps,
    targets: row.targets,
    credential: row.token_id === null ? "certificate" : "token",
    createdAt: row.created_at,
    createdBy: row.created_by,
    expiresAt: row.expires_at,
    lastUsedAt: row.last_used_at,
    disabled: row.disabled === 1,
  };
}
