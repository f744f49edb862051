import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { JoinServiceService, type JoinServiceServer, type RenewRequest, type RenewResponse } from "@muster/proto/gen/muster/v1/identity.ts";
import pino from "pino";
import { expect, onTestFinished, test, vi } from "vitest";
import { TestAuthority } from "./authority.fixture.ts";
import { type Identity, IdentityStore } from "./identity-store.ts";
import { RunningIdentity } from "./identity.ts";

/** Whose disk is full from the first write on. */
class FullStore extends IdentityStore {
  override save(): void {
    throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
  }
}

test("new credentials that work are used though that cannot be written down, and nothing is thrown at the session", async () => {
  const dir = mkdtempSync(join(tmpdir(), "muster-identity-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const authority = await TestAuthority.make();
  const [old, renewed] = [await authority.machine("m-1"), await authority.machine("m-1")];
  const identity: Identity = { machine: "m-1", controller: "127.0.0.1:1", current: old, next: { keys: renewed.keys, credentials: renewed } };
  new IdentityStore(dir).save(identity);
  const running = new RunningIdentity({ identity, store: new FullStore(dir), fraction: () => 0.5, now: Date.now, logger: pino({ level: "silent" }) });
  running.worked(renewed);
  expect(running.credentials).toBe(renewed);
  for (let failures = 0; failures < 5; failures += 1) running.failed(renewed);
  expect(running.credentials).toBe(renewed);
  expect(running.sealingKeys).toEqual([renewed.keys.sealing, old.keys.sealing]);
  expect(new IdentityStore(dir).load()).toMatchObject({ kind: "identity", identity: { current: { certificate: old.certificate }, next: { credentials: { certificate: renewed.certificate } } } });
});

/** Renewals that have been asked for and wait for their answer. */
async function asked(authority: TestAuthority): Promise<{ readonly controller: string; readonly waiting: (() => void)[] }> {
  const waiting: (() => void)[] = [];
  const { key, certificate } = await authority.controller();
  const server = new Server();
  onTestFinished(() => server.forceShutdown());
  const implementation: JoinServiceServer = {
    join: (_, answer) => answer({ code: 12 }),
    renew: ({ request }, answer) => {
      waiting.push(() => void renewed(authority, request).then((response) => answer(null, response)));
    },
  };
  server.addService(JoinServiceService, implementation);
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const credentials = ServerCredentials.createSsl(Buffer.from(authority.certificate), [{ private_key: Buffer.from(key), cert_chain: Buffer.from(certificate) }], true);
  server.bindAsync("127.0.0.1:0", credentials, (error, port) => (error === null ? resolve(port) : reject(error)));
  return { controller: `127.0.0.1:${await promise}`, waiting };
}

async function renewed(authority: TestAuthority, { keys }: RenewRequest): Promise<RenewResponse> {
  const [certificate, authorities] = [await authority.renewed("m-1", keys!.certificateRequest), [authority.certificate]];
  const der = (pem: string): Buffer => new X509Certificate(pem).raw;
  const issuedAt = Date.now();
  return { credentials: { machine: "m-1", certificate: der(certificate), authorities: authorities.map(der), natsJwt: "", issuedAt, expiresAt: issuedAt + 3_600_000 } };
}

test("what is asked for while it is under way, or by a session of older credentials, is renewed once", async () => {
  const dir = mkdtempSync(join(tmpdir(), "muster-identity-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const authority = await TestAuthority.make();
  const { controller, waiting } = await asked(authority);
  const old = await authority.machine("m-1");
  const identity: Identity = { machine: "m-1", controller, current: old };
  const running = new RunningIdentity({ identity, store: new IdentityStore(dir), fraction: () => 0, now: () => old.issuedAt, logger: pino({ level: "silent" }) });
  onTestFinished(() => running.close());
  const onRenewed = vi.fn<() => void>();
  running.open(onRenewed);

  running.renewSoon(old);
  await vi.waitFor(() => expect(waiting).toHaveLength(1), 10_000);
  running.renewSoon(old);
  waiting[0]!();
  await vi.waitFor(() => expect(onRenewed).toHaveBeenCalledOnce(), 10_000);
  const { credentials } = running;
  running.renewSoon(old);
  running.worked(credentials);
  running.renewSoon(old);
  // The next one is answered after whatever was asked for before it.
  running.renewSoon(credentials);
  await vi.waitFor(() => expect(waiting).toHaveLength(2), 10_000);
  waiting[1]!();
  await vi.waitFor(() => expect(onRenewed).toHaveBeenCalledTimes(2), 10_000);
  expect(waiting).toHaveLength(2);
  expect(new IdentityStore(dir).load()).toMatchObject({ kind: "identity", identity: { current: { issuedAt: credentials.issuedAt }, next: { credentials: { issuedAt: running.credentials.issuedAt } } } });
});
