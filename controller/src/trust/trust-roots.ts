/**
 * The versions of the trust root: taken in when they follow, kept for ever, handed on to agents. What they say of releases is told early here, at the submission; it is kept by the
 * agents, each by the version that it has pinned.
 *
 * Always holds: versions rise from 1 without a gap, and each is signed by enough keys of the one before and of its own.
 */
import type { Database, Statement } from "better-sqlite3";
import type { Instant } from "@muster/proto/ids.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { TrustRoot as StoredRoot } from "@muster/proto/gen/muster/v1/trust.ts";
import { judgeRelease } from "@muster/proto/trust/release-rules.ts";
import { firstRoot, nextRoot } from "@muster/proto/trust/root-chain.ts";
import type { TrustRoot } from "@muster/proto/trust/root.ts";
import { type Answer, conflict, granted } from "../engine/refusal.ts";
import { migrate } from "../journal/own-tables.ts";
import { verifyEd25519 } from "./ed25519.ts";

export const TABLES = [
  `CREATE TABLE trust_roots (
    version      INTEGER PRIMARY KEY,
    envelope     TEXT NOT NULL,
    published_at INTEGER NOT NULL,
    published_by TEXT NOT NULL
  ) STRICT`,
];

/** As the contract says: of one answer. With 64 KiB each, a quarter of what gRPC takes. */
export const ROOTS_MAX = 16;

const SIGN = "sign it with: muster release sign, or muster deploy --sign-key FILE";

interface Row {
  readonly version: number;
  readonly envelope: string;
  readonly published_at: number;
  readonly published_by: string;
}

export class TrustRoots {
  readonly #now: () => Instant;
  readonly #insert: Statement;
  readonly #after: Statement;
  #newest: { readonly root: TrustRoot; readonly stored: StoredRoot } | undefined;

  constructor(db: Database, now: () => Instant) {
    migrate(db, "trust", TABLES);
    this.#now = now;
    this.#insert = db.prepare("INSERT INTO trust_roots (version, envelope, published_at, published_by) VALUES (@version, @envelope, @publishedAt, @publishedBy)");
    this.#after = db.prepare("SELECT * FROM trust_roots WHERE version > ? ORDER BY version LIMIT ?");
    const last = db.prepare("SELECT * FROM trust_roots ORDER BY version DESC LIMIT 1").get() as Row | undefined;
    this.#newest = last === undefined ? undefined : opened(storedOf(last));
  }

  /** 0: none was published. */
  newestVersion(): number {
    return this.#newest?.root.version ?? 0;
  }

  /** For a machine that joins: a trust file with the newest version alone, for `pinRoot` of the agent. Undefined: none was published. */
  newestFile(): Uint8Array | undefined {
    return this.#newest === undefined ? undefined : Buffer.from(`[${this.#newest.stored.envelope}]`);
  }

  /** The oldest first, at most `ROOTS_MAX`. */
  after(version: number): readonly StoredRoot[] {
    return (this.#after.all(version, ROOTS_MAX) as Row[]).map(storedOf);
  }

  publish(envelope: string, by: string): Answer<StoredRoot> {
    const newest = this.#newest;
    if (newest?.stored.envelope === envelope) return granted(newest.stored);
    const step = newest === undefined ? firstRoot(envelope, verifyEd25519) : nextRoot(newest.root, envelope, verifyEd25519);
    if (!step.ok) return conflict(`the trust root is refused: ${step.message}`);
    const { root } = step;
    if (newest === undefined && root.version !== 1) return conflict(`the trust root is refused: the first version is 1, and this is ${root.version}; publish those before it too`);
    const stored = { version: root.version, envelope, publishedAt: this.#now(), publishedBy: by };
    this.#insert.run(stored);
    this.#newest = { root, stored };
    return granted(stored);
  }

  /** Why agents would refuse to run it, in words; undefined: they would not. */
  refusal(release: Release): string | undefined {
    if (this.#newest === undefined) return undefined;
    const verdict = judgeRelease(this.#newest.root, release, this.#now(), verifyEd25519);
    if (verdict.ok) return undefined;
    switch (verdict.code) {
      case "unsigned_release":
        return `${verdict.message}; ${SIGN}`;
      case "bad_signature":
      case "trust_expired":
      case "below_floor":
        return verdict.message;
    }
  }
}

function storedOf({ version, envelope, published_at, published_by }: Row): StoredRoot {
  return { version, envelope, publishedAt: published_at, publishedBy: published_by };
}

/** Only what was checked is in the table. */
function opened(stored: StoredRoot): { readonly root: TrustRoot; readonly stored: StoredRoot } {
  const step = firstRoot(stored.envelope, verifyEd25519);
  if (!step.ok) throw new Error(`the database holds a trust root that is none: ${step.message}`);
  return { root: step.root, stored };
}
