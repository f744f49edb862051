/**
 * The secrets in the controller's database: values encrypted, beside them what may be shown. Values are forgettable, so they are no part of the journal, which
 * knows names and versions alone.
 *
 * Always holds: a version of a name is one value for good, and its number is never used again, not even after the secret was removed; so a release that names
 * it gets that value or none. With a key that does not fit, nothing is opened and nothing is changed.
 */
import { isUtf8 } from "node:buffer";
import type { Database } from "better-sqlite3";
import { globsOf, isAmong } from "../access/app-globs.ts";
import type { SecretKeeper } from "../engine/secrets.ts";
import { migrate } from "../journal/own-tables.ts";
import { statement } from "../journal/statement.ts";
import { type KeySource, makeMasterKey, type MasterKey, readMasterKeys } from "./master-key.ts";
import { SecretsError } from "./secrets-error.ts";
import { bring, keep, rewrap } from "./vault.ts";

/** A certificate chain with its key is some 10 KiB; an environment variable can't hold more than 128. */
export const VALUE_BYTES_MAX = 64 * 1024;
/** More than a fleet's apps name; bounds what a listing answers. */
export const SECRETS_MAX = 10_000;

export const STEPS = [
  `CREATE TABLE secrets (
    name   TEXT PRIMARY KEY,
    apps   TEXT NOT NULL,
    newest INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE secret_versions (
    name        TEXT NOT NULL REFERENCES secrets (name),
    version     INTEGER NOT NULL,
    master_key  TEXT NOT NULL,
    wrapped_key BLOB NOT NULL,
    ciphertext  BLOB NOT NULL,
    size_bytes  INTEGER NOT NULL,
    set_at      INTEGER NOT NULL,
    set_by      TEXT NOT NULL,
    PRIMARY KEY (name, version)
  ) STRICT, WITHOUT ROWID`,
];

export interface SecretVersion {
  readonly version: number;
  readonly sizeBytes: number;
  readonly setAt: number;
  readonly setBy: string;
}

export interface KnownSecret {
  readonly name: string;
  /** Apps whose releases may name it, as they were written. */
  readonly apps: string;
  /** Oldest first; at least one. */
  readonly versions: readonly SecretVersion[];
}

export interface NewValue {
  readonly name: string;
  readonly value: Uint8Array;
  /** Undefined: as before. */
  readonly apps: string | undefined;
  readonly by: string;
  readonly at: number;
}

interface VersionRow {
  readonly master_key: string;
  readonly wrapped_key: Buffer;
  readonly ciphertext: Buffer;
}

export class SecretStore implements SecretKeeper {
  readonly #db: Database;
  readonly #keys: readonly [MasterKey, ...MasterKey[]];
  #removals = 0;

  private constructor(db: Database, keys: readonly [MasterKey, ...MasterKey[]]) {
    this.#db = db;
    this.#keys = keys;
  }

  /** Makes a key when there is none and nothing was encrypted yet; what older keys encrypted goes over to the newest. Throws SecretsError. */
  static open(db: Database, source: KeySource): SecretStore {
    migrate(db, "secrets", STEPS);
    const used = db.prepare("SELECT DISTINCT master_key FROM secret_versions").pluck().all() as string[];
    let keys = readMasterKeys(source);
    if (keys === undefined) {
      if (source.kind !== "own") throw new SecretsError("key_missing", `the key of the secrets, ${source.path}, is not there: put it there, or make one with: openssl rand -base64 32`);
      if (used.length > 0) throw new SecretsError("key_missing", `the secrets are encrypted with the key ${used.join(" and ")}, and ${source.path} is not there: bring the file back, or name another place with --secrets-key-file; nothing was changed`);
      keys = [makeMasterKey(source.path)];
    }
    const unknown = used.filter((id) => !keys.some((key) => key.id === id));
    if (unknown.length > 0) {
      throw new SecretsError("key_wrong", `the secrets are encrypted with the key ${unknown.join(" and ")}, and ${source.path} holds ${keys.map(({ id }) => id).join(" and ")}: put the right key there, in a line of its own; nothing was changed`);
    }
    const store = new SecretStore(db, keys);
    store.#rewrapAll();
    return store;
  }

  /** Counts removals: what was made of values before one may be of a secret that is gone. */
  get removals(): number {
    return this.#removals;
  }

  /** Returns the new version; undefined: there are as many secrets as there may be. */
  set({ name, value, apps, by, at }: NewValue): number | undefined {
    return this.#db
      .transaction(() => {
        const known = this.#sql("SELECT newest FROM secrets WHERE name = ?").pluck().get(name) as number | undefined;
        if (this.newest(name) === undefined && (this.#sql("SELECT count(DISTINCT name) FROM secret_versions").pluck().get() as number) >= SECRETS_MAX) return undefined;
        const version = (known ?? 0) + 1;
        this.#sql("INSERT INTO secrets (name, apps, newest) VALUES (@name, coalesce(@apps, '*'), @version) ON CONFLICT (name) DO UPDATE SET newest = @version, apps = coalesce(@apps, apps)").run({ name, apps, version });
        const [master] = this.#keys;
        const { wrappedKey, ciphertext } = keep(value, { name, version }, master);
        this.#sql(
          "INSERT INTO secret_versions (name, version, master_key, wrapped_key, ciphertext, size_bytes, set_at, set_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        ).run(name, version, master.id, wrappedKey, ciphertext, value.byteLength, at, by);
        return version;
      })
      .immediate();
  }

  /** Forgets the versions of a name that are neither its newest nor among these. */
  keepOnly(name: string, versions: readonly number[]): void {
    this.#sql(
      `DELETE FROM secret_versions WHERE name = @name AND version < (SELECT newest FROM secrets WHERE name = @name)
       AND version NOT IN (SELECT value FROM json_each(@versions))`,
    ).run({ name, versions: JSON.stringify(versions) });
  }

  /** Every version of it. Whether there was one. */
  remove(name: string): boolean {
    this.#removals += 1;
    return this.#sql("DELETE FROM secret_versions WHERE name = ?").run(name).changes > 0;
  }

  has(name: string, version: number): boolean {
    return this.#sql("SELECT 1 FROM secret_versions WHERE name = ? AND version = ?").get(name, version) !== undefined;
  }

  admits(name: string, app: string): boolean {
    const apps = this.#sql("SELECT apps FROM secrets WHERE name = ?").pluck().get(name) as string | undefined;
    return apps !== undefined && isAmong(app, globsOf(apps));
  }

  isText(name: string, version: number): boolean {
    const value = this.value(name, version);
    return value !== undefined && isUtf8(value) && !value.includes(0);
  }

  get(name: string): KnownSecret | undefined {
    return this.#list("WHERE s.name = ?", name)[0];
  }

  /** By name. */
  list(): readonly KnownSecret[] {
    return this.#list("");
  }

  /** The newest version; undefined: there is no such secret. */
  newest(name: string): number | undefined {
    return (this.#sql("SELECT max(version) FROM secret_versions WHERE name = ?").pluck().get(name) ?? undefined) as number | undefined;
  }

  /** Undefined when it was removed. Throws SecretsError. */
  value(name: string, version: number): Buffer | undefined {
    const row = this.#sql("SELECT master_key, wrapped_key, ciphertext FROM secret_versions WHERE name = ? AND version = ?").get(name, version) as VersionRow | undefined;
    if (row === undefined) return undefined;
    const master = this.#keys.find(({ id }) => id === row.master_key)!;
    try {
      return bring({ wrappedKey: row.wrapped_key, ciphertext: row.ciphertext }, { name, version }, master);
    } catch (error) {
      throw new SecretsError("damaged", `version ${version} of the secret ${name} was changed in the database, and does not open: set it again`, error);
    }
  }

  #list(where: string, ...names: readonly string[]): readonly KnownSecret[] {
    const rows = this.#sql(
      `SELECT s.name, s.apps, json_group_array(json_object('version', v.version, 'sizeBytes', v.size_bytes, 'setAt', v.set_at, 'setBy', v.set_by) ORDER BY v.version) AS versions
       FROM secrets s JOIN secret_versions v ON v.name = s.name ${where} GROUP BY s.name ORDER BY s.name`,
    ).all(...names) as { name: string; apps: string; versions: string }[];
    return rows.map(({ name, apps, versions }) => ({ name, apps, versions: JSON.parse(versions) as SecretVersion[] }));
  }

  #rewrapAll(): void {
    const [newest, ...older] = this.#keys;
    const update = this.#db.prepare("UPDATE secret_versions SET master_key = ?, wrapped_key = ? WHERE name = ? AND version = ?");
    this.#db
      .transaction(() => {
        for (const from of older) {
          const rows = this.#db.prepare("SELECT name, version, wrapped_key FROM secret_versions WHERE master_key = ?").all(from.id) as { name: string; version: number; wrapped_key: Buffer }[];
          for (const { name, version, wrapped_key } of rows) update.run(newest.id, rewrap(wrapped_key, { name, version }, from, newest), name, version);
        }
      })
      .immediate();
  }

  #sql(text: string) {
    return statement(this.#db, text);
  }
}
