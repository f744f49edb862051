/**
 * Access for tests: the real gate, users and audit log in front of a real gRPC server, where the test says who is at the other end of the connection.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials, Server, ServerCredentials, type UntypedServiceImplementation } from "@grpc/grpc-js";
import SqliteDatabase from "better-sqlite3";
import pino from "pino";
import { AccessServiceClient, AccessServiceService } from "@muster/proto/gen/muster/v1/access.ts";
import { FleetServiceClient, FleetServiceService } from "@muster/proto/gen/muster/v1/fleet.ts";
import { accessApi, type OperatorAuthority } from "./access-api.ts";
import { unary } from "../grpc/answer.ts";
import type { Certified, Peer } from "../grpc/caller.ts";
import { gate } from "../grpc/gate.ts";
import { type Access, createAccess } from "../access/access.ts";
import type { MachineVerdict } from "../access/admission.ts";
import type { OidcOptions } from "../access/oidc.ts";
import { Asker } from "./asker.fixture.ts";

export const DAY_MS = 24 * 60 * 60_000;
export const NOON = Date.UTC(2026, 0, 31, 12);

/** From elsewhere, over TLS. */
export function elsewhere(certified: Certified = { kind: "nobody" }, address = "192.0.2.7:41000"): Peer {
  return { via: "tls", address, certified };
}

export class Desk extends Asker {
  readonly db = new SqliteDatabase(":memory:");
  now = NOON;
  /** At the other end of every connection. */
  peer: Peer = { via: "socket" };
  /** Of machines. */
  verdict: MachineVerdict = { ok: true, expired: false };
  issue: OperatorAuthority["issueOperator"] = async () => ({ ok: true, certificate: Buffer.from("certificate") });
  readonly access: Access;
  readonly client: AccessServiceClient;
  readonly fleet: FleetServiceClient;
  readonly #dir = mkdtempSync(join(tmpdir(), "muster-desk-"));
  readonly #server: Server;

  private constructor(oidc: OidcOptions | undefined) {
    super();
    const logger = pino({ level: "silent" });
    const now = (): number => this.now;
    this.access = createAccess({ db: this.db, oidc, machines: { judge: () => this.verdict }, now, longAgo: (ageMs) => now() - ageMs, logger });
    const { users, audit, admit, witness, endCalls } = this.access;
    const authority: OperatorAuthority = { newest: { pin: "ab".repeat(32) }, bundle: [Buffer.from("authority")], issueOperator: (...asked) => this.issue(...asked) };
    this.#server = new Server({ interceptors: [gate({ admit, peerAt: () => this.peer, now, witness })] });
    this.#server.addService(AccessServiceService, accessApi({ users, audit, authority, oidc, address: () => "127.0.0.1:4000", endCalls, now, logger }) as unknown as UntypedServiceImplementation);
    this.#server.addService(FleetServiceService, { cordon: unary(logger, () => ({})), listFreezes: unary(logger, () => ({ freezes: [] })), endFreeze: unary(logger, () => ({})) });
    this.client = new AccessServiceClient(this.target, credentials.createInsecure());
    this.fleet = new FleetServiceClient(this.target, credentials.createInsecure());
  }

  static async open(oidc?: OidcOptions): Promise<Desk> {
    const desk = new Desk(oidc);
    await new Promise<void>((resolve, reject) => {
      desk.#server.bindAsync(desk.target, ServerCredentials.createInsecure(), (error) => (error === null ? resolve() : reject(error)));
    });
    return desk;
  }

  get target(): string {
    return `unix:${join(this.#dir, "socket")}`;
  }

  close(): void {
    this.client.close();
    this.fleet.close();
    this.#server.forceShutdown();
    this.access.close();
    this.db.close();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
