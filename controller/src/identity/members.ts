/**
 * The machines that may be part of the fleet, and the credentials that each of them has.
 *
 *     (asks with a token) ─▶ pending ── approved ─▶ member ── revoked ─▶ revoked
 *              └── the token needs no approval ───────┘
 *     A pending one that is rejected, and any that is removed, is forgotten; its number is never given again.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import type { Labels } from "@muster/proto/selector.ts";
import type { Database } from "better-sqlite3";
import { statement } from "../journal/statement.ts";

export type MemberState = "pending" | "member" | "revoked";

export interface Member {
  readonly membership: number;
  readonly machine: MachineId;
  readonly state: MemberState;
  /** Id of the token that it joined with. */
  readonly token: string;
  /** sha256 of the key that it joined with, hex. */
  readonly fingerprint: string;
  readonly labels: Labels;
  readonly hostname: string;
  readonly os: string;
  readonly arch: string;
  readonly address: string;
  readonly askedAt: number;
  readonly joinedAt: number | undefined;
  /** Of its newest credentials. */
  readonly expiresAt: number | undefined;
}

export type NewMember = Omit<Member, "membership" | "joinedAt" | "expiresAt">;

/** What one set of keys got. */
export interface Issued {
  /** sha256 of the public key in the certificate, hex. */
  readonly fingerprint: string;
  readonly natsKey: string;
  readonly sealingKey: Uint8Array;
  /** Pin of the authority that signed. */
  readonly authority: string;
  readonly certificate: Uint8Array;
  readonly natsJwt: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
}

interface Row {
  readonly membership: number;
  readonly machine: string;
  readonly state: string;
  readonly token: string;
  readonly fingerprint: string;
  readonly labels: string;
  readonly hostname: string;
  readonly os: string;
  readonly arch: string;
  readonly address: string;
  readonly asked_at: number;
  readonly joined_at: number | null;
  readonly expires_at: number | null;
}

interface IssuedRow {
  readonly fingerprint: string;
  readonly nats_key: string;
  readonly sealing_key: Buffer;
  readonly authority: string;
  readonly certificate: Buffer;
  readonly nats_jwt: string;
  readonly issued_at: number;
  readonly expires_at: number;
}

const MEMBER = "SELECT m.*, (SELECT max(expires_at) FROM credentials c WHERE c.membership = m.membership) AS expires_at FROM members m";

const RESERVED_AT_ONCE = 64;

export class Members {
  readonly #db: Database;

  /** Numbers that are nobody's yet; those that are left at an end are lost. */
  #reserved = { next: 1, last: 0 };

  constructor(db: Database) {
    this.#db = db;
  }

  find(machine: MachineId): Member | undefined {
    const row = statement(this.#db, `${MEMBER} WHERE machine = ?`).get(machine) as Row | undefined;
    return row === undefined ? undefined : memberOf(row);
  }

  /** Those that wait first, then by id. */
  names(onlyPending: boolean): readonly MachineId[] {
    return statement(this.#db, "SELECT machine FROM members WHERE state = 'pending' OR ? = 0 ORDER BY state <> 'pending', machine").pluck().all(Number(onlyPending)) as MachineId[];
  }

  revoked(): readonly Member[] {
    return (statement(this.#db, `${MEMBER} WHERE state = 'revoked' ORDER BY machine`).all() as Row[]).map(memberOf);
  }

  isRevoked(machine: MachineId): boolean {
    return statement(this.#db, "SELECT 1 FROM members WHERE machine = ? AND state = 'revoked'").get(machine) !== undefined;
  }

  /** The number of a membership to come. It is never given again, also when nothing comes of it. They are taken from the disk by the block, since each taking is a flush. */
  reserve(): number {
    if (this.#reserved.next > this.#reserved.last) {
      const sql = "INSERT INTO memberships (membership) SELECT coalesce(max(seq), 0) + ? FROM sqlite_sequence WHERE name = 'memberships'";
      const last = Number(statement(this.#db, sql).run(RESERVED_AT_ONCE).lastInsertRowid);
      this.#reserved = { next: last - RESERVED_AT_ONCE + 1, last };
    }
    const membership = this.#reserved.next;
    this.#reserved = { ...this.#reserved, next: membership + 1 };
    return membership;
  }

  add(membership: number, member: NewMember, now: number): void {
    const insert = `INSERT INTO members (membership, machine, state, token, fingerprint, labels, hostname, os, arch, address, asked_at, joined_at)
      VALUES (@membership, @machine, @state, @token, @fingerprint, @labels, @hostname, @os, @arch, @address, @askedAt, @joinedAt)`;
    const joinedAt = member.state === "member" ? now : null;
    statement(this.#db, insert).run({ ...member, membership, labels: JSON.stringify(member.labels), joinedAt });
    // The sequence remembers the highest; the rows themselves are of no use any more.
    statement(this.#db, "DELETE FROM memberships WHERE membership <= ?").run(membership);
  }

  /** False when none of the name waits. */
  approve(machine: MachineId, now: number): boolean {
    return statement(this.#db, "UPDATE members SET state = 'member', joined_at = ? WHERE machine = ? AND state = 'pending'").run(now, machine).changes > 0;
  }

  revoke(machine: MachineId, now: number): void {
    statement(this.#db, "UPDATE members SET state = 'revoked', revoked_at = ? WHERE machine = ?").run(now, machine);
  }

  relabel(machine: MachineId, labels: Labels): void {
    statement(this.#db, "UPDATE members SET labels = ? WHERE machine = ?").run(JSON.stringify(labels), machine);
  }

  /** With its credentials. False when there is none. */
  remove(machine: MachineId): boolean {
    return this.#db.transaction(() => {
      statement(this.#db, "DELETE FROM credentials WHERE membership IN (SELECT membership FROM members WHERE machine = ?)").run(machine);
      return statement(this.#db, "DELETE FROM members WHERE machine = ?").run(machine).changes > 0;
    })();
  }

  /** What these keys got before, when they did. */
  issued(membership: number, fingerprint: string): Issued | undefined {
    const row = statement(this.#db, "SELECT * FROM credentials WHERE membership = ? AND fingerprint = ?").get(membership, fingerprint) as IssuedRow | undefined;
    return row === undefined ? undefined : issuedOf(row);
  }

  /** All that may still be used, newest first. */
  allIssued(membership: number): readonly Issued[] {
    return (statement(this.#db, "SELECT * FROM credentials WHERE membership = ? ORDER BY issued_at DESC").all(membership) as IssuedRow[]).map(issuedOf);
  }

  /** Of the newest credentials; undefined: it is no member now. */
  sealingKey(machine: MachineId): Buffer | undefined {
    const sql = "SELECT sealing_key FROM credentials JOIN members USING (membership) WHERE machine = ? AND state = 'member' ORDER BY issued_at DESC LIMIT 1";
    return statement(this.#db, sql).pluck().get(machine) as Buffer | undefined;
  }

  /** Older ones that have expired are forgotten. */
  keep(membership: number, issued: Issued, now: number): void {
    statement(this.#db, "DELETE FROM credentials WHERE membership = ? AND expires_at < ?").run(membership, now);
    const insert = `INSERT OR REPLACE INTO credentials (membership, fingerprint, nats_key, sealing_key, authority, certificate, nats_jwt, issued_at, expires_at)
      VALUES (@membership, @fingerprint, @natsKey, @sealingKey, @authority, @certificate, @natsJwt, @issuedAt, @expiresAt)`;
    statement(this.#db, insert).run({ ...issued, membership });
  }

  /** Members whose newest credentials were not signed by this authority: by the pin of the one that did. */
  dependants(newest: string): ReadonlyMap<string, readonly string[]> {
    const sql = `SELECT m.machine, c.authority FROM members m JOIN credentials c ON c.membership = m.membership
      WHERE m.state = 'member' AND c.issued_at = (SELECT max(issued_at) FROM credentials n WHERE n.membership = m.membership) AND c.authority <> ? ORDER BY m.machine`;
    const rows = statement(this.#db, sql).all(newest) as { readonly machine: string; readonly authority: string }[];
    return new Map([...Map.groupBy(rows, ({ authority }) => authority)].map(([authority, members]) => [authority, members.map(({ machine }) => machine)]));
  }
}

function memberOf(row: Row): Member {
  return {
    membership: row.membership,
    machine: row.machine as MachineId,
    state: row.state as MemberState,
    token: row.token,
    fingerprint: row.fingerprint,
    labels: JSON.parse(row.labels) as Labels,
    hostname: row.hostname,
    os: row.os,
    arch: row.arch,
    address: row.address,
    askedAt: row.asked_at,
    joinedAt: row.joined_at ?? undefined,
    expiresAt: row.expires_at ?? undefined,
  };
}

function issuedOf(row: IssuedRow): Issued {
  return {
    fingerprint: row.fingerprint,
    natsKey: row.nats_key,
    sealingKey: row.sealing_key,
    authority: row.authority,
    certificate: row.certificate,
    natsJwt: row.nats_jwt,
    issuedAt: row.issued_at,
    expiresAt: row.expires_at,
  };
}
