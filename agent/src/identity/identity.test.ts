import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { expect, onTestFinished, test } from "vitest";
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
