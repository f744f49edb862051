/**
 * Join tokens: made for an operator, counted when a machine joins. Of a secret only its hash is kept; it is 32 random bytes, so a plain sha256 can't be guessed back.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Labels } from "@muster/proto/selector.ts";
import { formatJoinToken } from "@muster/proto/join-token.ts";
import type { Database } from "better-sqlite3";
import { statement } from "../journal/statement.ts";

export interface JoinToken {
  readonly id: string;
  readonly uses: number;
  readonly used: number;
  readonly labels: Labels;
  readonly approve: boolean;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly revokedAt: number | undefined;
  readonly createdBy: string;
}

export interface WantedToken {
  readonly uses: number;
  readonly ttlMs: number;
  readonly labels: Labels;
  readonly approve: boolean;
  readonly by: string;
}

/** Why a token lets nobody in. Said in the log and the audit, never to whoever shows it. */
export type TokenFault = "unknown" | "wrong_secret" | "revoked" | "expired" | "used_up";

interface Row {
  readonly id: string;
  readonly secret_hash: Buffer;
  readonly uses: number;
  readonly used: number;
  readonly labels: string;
  readonly approve: number;
  readonly created_at: number;
  readonly expires_at: number;
  readonly revoked_at: number | null;
  readonly created_by: string;
}

const ID_BYTES = 8;
const SECRET_BYTES = 32;
/** Tokens that let nobody in any more are shown for so long. */
const KEPT_MS = 7 * 24 * 60 * 60_000;
/** Compared with when there is no such token, so that it takes as long. */
const NO_HASH = hashOf("");

export class JoinTokens {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** `pin`: of the authority that machines will trust. The text is the only place where the secret ever stands. */
  create({ uses, ttlMs, labels, approve, by }: WantedToken, pin: string, now: number): { readonly text: string; readonly token: JoinToken } {
    const id = randomBytes(ID_BYTES).toString("hex");
    const secret = randomBytes(SECRET_BYTES).toString("base64url");
    statement(this.#db, "DELETE FROM join_tokens WHERE coalesce(revoked_at, expires_at) < ?").run(now - KEPT_MS);
    const insert = "INSERT INTO join_tokens (id, secret_hash, uses, labels, approve, created_at, expires_at, created_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    statement(this.#db, insert).run(id, hashOf(secret), uses, JSON.stringify(labels), Number(approve), now, now + ttlMs, by);
    return { text: formatJoinToken({ pin, id, secret }), token: this.#find(id)! };
  }

  /** Newest first. */
  list(): readonly JoinToken[] {
    return (statement(this.#db, "SELECT * FROM join_tokens ORDER BY created_at DESC, id").all() as Row[]).map(tokenOf);
  }

  /** False when there is none. */
  revoke(id: string, now: number): boolean {
    return statement(this.#db, "UPDATE join_tokens SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?").run(now, id).changes > 0;
  }

  /** The token, when the secret is its own and it has not been revoked or expired. Whether it is used up depends on who asks: see `isUsedUp`. */
  check(id: string, secret: string, now: number): { readonly ok: true; readonly token: JoinToken } | { readonly ok: false; readonly fault: TokenFault } {
    const row = this.#row(id);
    const isRight = timingSafeEqual(hashOf(secret), row?.secret_hash ?? NO_HASH);
    if (row === undefined) return { ok: false, fault: "unknown" };
    if (!isRight) return { ok: false, fault: "wrong_secret" };
    if (row.revoked_at !== null) return { ok: false, fault: "revoked" };
    if (row.expires_at <= now) return { ok: false, fault: "expired" };
    return { ok: true, token: tokenOf(row) };
  }

  /** Within the transaction in which somebody joins. False when it is used up by now. */
  use(id: string): boolean {
    return statement(this.#db, "UPDATE join_tokens SET used = used + 1 WHERE id = ? AND used < uses AND revoked_at IS NULL").run(id).changes > 0;
  }

  #find(id: string): JoinToken | undefined {
    const row = this.#row(id);
    return row === undefined ? undefined : tokenOf(row);
  }

  #row(id: string): Row | undefined {
    return statement(this.#db, "SELECT * FROM join_tokens WHERE id = ?").get(id) as Row | undefined;
  }
}

function hashOf(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}

function tokenOf(row: Row): JoinToken {
  return {
    id: row.id,
    uses: row.uses,
    used: row.used,
    labels: JSON.parse(row.labels) as Labels,
    approve: row.approve === 1,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at ?? undefined,
    createdBy: row.created_by,
  };
}
