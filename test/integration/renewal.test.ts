/**
 * Credentials that live for seconds: when they renew, with which keys, and who may come back after they have ended.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import { RunningIdentity } from "@muster/agent/identity/identity.ts";
import { type Credentials, type Identity, IdentityStore } from "@muster/agent/identity/identity-store.ts";
import pino from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { ControllerProcess } from "./controller-process.ts";
import { agentClient, joinAs, makeToken } from "./member.ts";

const TTL_MS = 10_000;
const GRACE_MS = 8_000;

let controller: ControllerProcess;
let dir: string;
let store: IdentityStore;
let said: string;
const running: RunningIdentity[] = [];
beforeAll(async () => {
  controller = await ControllerProcess.start({ args: ["--credential-ttl", `${TTL_MS / 1000}s`, "--renewal-grace", `${GRACE_MS / 1000}s`] });
});
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "muster-renewal-"));
  store = new IdentityStore(dir);
  said = "";
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.close()));
  rmSync(dir, { recursive: true, force: true });
});
afterAll(() => controller.stop());

function run(identity: Identity, fraction: number, onRenewed = (): void => {}): RunningIdentity {
  const logger = pino({ level: "info" }, { write: (line: string) => void (said += line) });
  const each = new RunningIdentity({ identity, store, fraction: () => fraction, now: Date.now, logger });
  running.push(each);
  each.open(onRenewed);
  return each;
}

async function isWelcome(credentials: Credentials): Promise<boolean> {
  const client = agentClient(controller, credentials);
  const code = await new Promise((resolve) => client.sync({ machine: "m" }, (error) => resolve(error?.code)));
  client.close();
  return code !== status.UNAUTHENTICATED;
}

const stored = (): Identity => {
  const found = store.load();
  if (found.kind !== "identity") throw new Error(found.kind);
  return found.identity;
};

async function joined(machine = "m"): Promise<Identity> {
  const identity = await joinAs(controller, await makeToken(controller), machine);
  store.save(identity);
  return identity;
}

test("they renew at half of their life, a tenth of it sooner or later, with other keys; the old ones stay until the new ones have worked", async () => {
  const identity = await joined();
  let renewals = 0;
  const sooner = run(identity, 0, () => (renewals += 1));
  await vi.waitFor(() => expect(renewals).toBe(1), { timeout: 10_000, interval: 20 });
  const [old, next] = [identity.current, sooner.credentials];
  const share = (next.issuedAt - old.issuedAt) / TTL_MS;
  expect(share).toBeGreaterThanOrEqual(0.45);
  expect(share).toBeLessThan(0.6);
  for (const key of ["tls", "nats", "sealing"] as const) expect(next.keys[key]).not.toBe(old.keys[key]);

  // Both are on disk, and both count.
  expect([stored().current, stored().next?.credentials]).toEqual([old, next]);
  expect([await isWelcome(old), await isWelcome(next)]).toEqual([true, true]);
  for (let failure = 0; failure < 3; failure += 1) sooner.failed(next);
  expect(sooner.credentials).toBe(old);
  sooner.worked(next);
  expect([stored().current, stored().next, stored().previousSealingKey]).toEqual([next, undefined, old.keys.sealing]);
  expect(sooner.sealingKeys).toEqual([next.keys.sealing, old.keys.sealing]);
});

test("a machine that slept past their end comes back within the grace, and is told how to join again after it", async () => {
  const [awake, lost] = [await joined("awake"), await joined("lost")];
  await sleep(awake.current.expiresAt - Date.now() + 1_000);
  const client = agentClient(controller, awake.current);
  expect(await new Promise((resolve) => client.sendLogs((error) => resolve(error?.code)).on("error", () => {}).end())).toBe(status.UNAUTHENTICATED);
  client.close();
  let renewals = 0;
  const back = run(awake, 0.5, () => (renewals += 1));
  await vi.waitFor(() => expect(renewals).toBe(1), { timeout: 10_000, interval: 20 });
  const again = agentClient(controller, back.credentials);
  expect(await new Promise((resolve) => again.sync({ machine: "awake" }, (error) => resolve(error?.code)))).toBeUndefined();
  again.close();

  await sleep(lost.current.expiresAt + GRACE_MS - Date.now() + 1_000);
  run(lost, 0.5);
  await vi.waitFor(() => expect(said).toContain("join again: muster token create on the controller's side, then muster-agent join --again"), { timeout: 10_000, interval: 20 });
});
