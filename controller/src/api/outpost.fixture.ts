/**
 * A controller's access for tests, as it looks from elsewhere: the real TLS listener with authorities of its own, the real gate, users and audit log, and
 * nothing behind them.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import SqliteDatabase from "better-sqlite3";
import pino from "pino";
import { AccessServiceService } from "@muster/proto/gen/muster/v1/access.ts";
import { accessApi } from "./access-api.ts";
import { serveTls, type TlsServer } from "../grpc/server.ts";
import { Authorities } from "../identity/authorities.ts";
import { type Access, createAccess } from "../access/access.ts";
import type { OidcOptions } from "../access/oidc.ts";

export class Outpost {
  readonly db = new SqliteDatabase(":memory:");
  readonly access: Access;
  readonly #oidc: OidcOptions | undefined;
  readonly #authorities: Authorities;
  readonly #dir: string;
  #server!: TlsServer;

  private constructor(authorities: Authorities, dir: string, oidc: OidcOptions | undefined) {
    this.#authorities = authorities;
    this.#dir = dir;
    this.#oidc = oidc;
    const machines = { judge: () => ({ ok: true, expired: false }) as const };
    this.access = createAccess({ db: this.db, oidc, machines, now: () => Date.now(), longAgo: (ageMs) => Date.now() - ageMs, logger: pino({ level: "silent" }) });
  }

  static async open(oidc?: OidcOptions): Promise<Outpost> {
    const dir = mkdtempSync(join(tmpdir(), "muster-outpost-"));
    const outpost = new Outpost(await Authorities.open(join(dir, "authorities"), () => Date.now()), dir, oidc);
    await outpost.#serve();
    return outpost;
  }

  async #serve(): Promise<void> {
    const authorities = this.#authorities;
    const { users, audit, admit, witness, endCalls } = this.access;
    const logger = pino({ level: "silent" });
    const implementation = accessApi({ users, audit, authority: authorities, oidc: this.#oidc, address: () => this.address, endCalls, now: () => Date.now(), logger });
    this.#server = await serveTls(
      { services: [{ definition: AccessServiceService, implementation }], admit, now: () => Date.now(), witness },
      { host: "127.0.0.1", port: 0, contextFor: (name) => authorities.contextFor(name), certify: (certificate) => authorities.certify(certificate) },
    );
  }

  get address(): string {
    return this.#server.address;
  }

  /** Of the authority that signs. */
  get pin(): string {
    return this.#authorities.newest.pin;
  }

  /** Another authority beside those that there are. */
  async rotate(): Promise<void> {
    await this.#authorities.rotate();
  }

  /** The newest alone is left. */
  async retire(): Promise<void> {
    await this.#authorities.retire();
  }

  async close(): Promise<void> {
    await this.#server.close();
    this.access.close();
    this.db.close();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
