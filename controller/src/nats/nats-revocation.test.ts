/** Revocations over everything that may go away meanwhile: nats-server, the controller, the certificate; and the same with a nats-server that is somebody else's. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assignmentSubject } from "@muster/proto/subjects.ts";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { findNatsServer } from "./find-nats-server.ts";
import { openKeys } from "./authority-files.ts";
import { signJwt } from "./jwt.ts";
import { type Nats, type ServerChoice, startNats } from "./nats.ts";
import { type NatsAuthority, openNatsAuthority } from "./nats-authority.ts";
import { newNkey } from "./nkey.ts";
import { type Certified, type Identity, SERVER_NAME, type Stranger, certify, machine, stranger } from "./nats.fixture.ts";
import { externalConfig } from "./server-config.ts";

const patience = { timeout: 15_000, interval: 20 };
const HOUR_MS = 3_600_000;
let dir: string;
let undo: (() => unknown)[];
let certified: Certified;
let authority: NatsAuthority;
let log: string[];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "muster-revocation-"));
  undo = [() => rmSync(dir, { recursive: true, force: true })];
  certified = await certify(dir);
  authority = openNatsAuthority({ dir: join(dir, "keys"), now: Date.now });
  log = [];
});

afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

async function start(server: ServerChoice): Promise<Nats> {
  const nats = await startNats({
    server,
    authority,
    trusted: () => ({ ca: [certified.ca], servername: SERVER_NAME }),
    logger: pino({ level: "debug" }, { write: (line: string) => void log.push(line) }),
  });
  undo.push(() => nats.stop());
  if (server.kind === "embedded") await nats.client.firstConnected;
  return nats;
}

const embedded = () => start({ kind: "embedded", dir: join(dir, "nats"), host: "127.0.0.1", port: 0, certFile: certified.certFile, keyFile: certified.keyFile });

async function visit(url: string, identity: Identity): Promise<Stranger> {
  const visitor = await stranger(Number(new URL(url).port), certified.ca, identity);
  undo.push(() => visitor.close());
  return visitor;
}

/** Connected, and hears what it is told. */
async function listening(nats: Nats, id: string, identity: Identity): Promise<Stranger> {
  const visitor = await visit(nats.url, identity);
  visitor.say(`SUB ${assignmentSubject(id)} 1\r\n`);
  await hears(nats, id, visitor);
  return visitor;
}

let word = 0;
async function hears(nats: Nats, id: string, visitor: Stranger): Promise<void> {
  word += 1;
  const text = `word-${word}.`;
  await vi.waitFor(() => {
    nats.client.publish(assignmentSubject(id), Buffer.from(text));
    expect(visitor.said).toContain(text);
  }, patience);
}

async function refused(url: string, identity: Identity): Promise<void> {
  const visitor = await visit(url, identity);
  await vi.waitFor(() => expect(visitor.isEnded).toBe(true), patience);
  expect(visitor.said).toMatch(/-ERR '(Authorization Violation|User Authentication Revoked)'/);
  expect(visitor.said).not.toContain("PONG");
}

const revoke = (...identities: Identity[]) => authority.revoke(identities.map(({ key }) => ({ publicKey: key.publicKey, expiresAt: Date.now() + HOUR_MS })));

describe("a machine that is revoked", () => {
  test("is cut at once with each of its keys, and nobody else is", async () => {
    const nats = await embedded();
    const [former, newest, other] = [machine(authority, "m-1"), machine(authority, "m-1"), machine(authority, "m-2")];
    const visitors = [await listening(nats, "m-1", former), await listening(nats, "m-1", newest)];
    const stays = await listening(nats, "m-2", other);
    revoke(former, newest);
    await vi.waitFor(() => expect(visitors.map(({ isEnded }) => isEnded)).toEqual([true, true]), patience);
    expect(visitors[0]?.said).toContain("-ERR 'User Authentication Revoked'");
    await refused(nats.url, former);
    await refused(nats.url, newest);
    await refused(nats.url, { key: former.key, jwt: authority.machineJwt({ machine: "m-1" as never, publicKey: former.key.publicKey, expiresAt: Date.now() + HOUR_MS }) });
    await hears(nats, "m-2", stays);
    expect(stays.isEnded).toBe(false);
  });

  test("stays out when nats-server is killed and started again, and when the controller is", async () => {
    const nats = await embedded();
    const [gone, other] = [machine(authority, "m-1"), machine(authority, "m-2")];
    const visitor = await listening(nats, "m-1", gone);
    revoke(gone);
    await vi.waitFor(() => expect(visitor.isEnded).toBe(true), patience);
    const before = nats.pid()!;
    process.kill(before, "SIGKILL");
    await vi.waitFor(() => expect(nats.pid()).not.toBe(before), patience);
    await refused(nats.url, gone);
    await listening(nats, "m-2", other);

    await nats.stop();
    authority = openNatsAuthority({ dir: join(dir, "keys"), now: Date.now });
    const next = await embedded();
    await refused(next.url, gone);
    await listening(next, "m-2", other);
  });

  test("while nats-server is away does not come in when it is back, not even before anybody tells it", async () => {
    const nats = await embedded();
    const [gone, other] = [machine(authority, "m-1"), machine(authority, "m-2")];
    await listening(nats, "m-1", gone);
    const before = nats.pid()!;
    process.kill(before, "SIGKILL");
    revoke(gone);
    await vi.waitFor(() => expect(nats.pid()).not.toBe(before), patience);
    await refused(nats.url, gone);
    await listening(nats, "m-2", other);
  });

  test("with thousands of others leaves those of good standing connected", async () => {
    const nats = await embedded();
    const gone = machine(authority, "m-1");
    const visitor = await listening(nats, "m-1", gone);
    const stays = await listening(nats, "m-2", machine(authority, "m-2"));
    authority.revoke(Array.from({ length: 4999 }, () => ({ publicKey: newNkey("user").publicKey, expiresAt: Date.now() + HOUR_MS })));
    revoke(gone);
    await vi.waitFor(() => expect(visitor.isEnded).toBe(true), patience);
    await hears(nats, "m-2", stays);
  });

  test("with more than the list may hold: everybody is cut, and comes in with a JWT that is newer", async () => {
    const nats = await embedded();
    const old = machine(authority, "m-2");
    const visitor = await listening(nats, "m-2", old);
    authority.revoke(Array.from({ length: 5001 }, () => ({ publicKey: newNkey("user").publicKey, expiresAt: Date.now() + HOUR_MS })));
    await vi.waitFor(() => expect(visitor.isEnded).toBe(true), patience);
    await refused(nats.url, old);
    await vi.waitFor(() => listeningOnce(nats, machine(authority, "m-2")), patience);
  });
});

async function listeningOnce(nats: Nats, identity: Identity): Promise<void> {
  const visitor = await visit(nats.url, identity);
  await vi.waitFor(() => expect(visitor.isEnded || visitor.said.includes("PONG")).toBe(true), patience);
  expect(visitor.isEnded).toBe(false);
}

describe("a certificate that is replaced", () => {
  test("is shown to whoever connects from then on; who is connected stays, and can be revoked", async () => {
    const nats = await embedded();
    const [gone, other] = [machine(authority, "m-1"), machine(authority, "m-2")];
    const visitor = await listening(nats, "m-1", gone);
    const stays = await listening(nats, "m-2", other);
    const former = certified.ca;
    certified = await certify(dir);
    nats.reload();
    await vi.waitFor(() => listeningOnce(nats, machine(authority, "m-3")), patience);
    await expect(stranger(Number(new URL(nats.url).port), former, other)).rejects.toMatchObject({ code: expect.stringMatching(/SIGNATURE|UNABLE|SELF_SIGNED/) });
    await hears(nats, "m-2", stays);
    revoke(gone);
    await vi.waitFor(() => expect(visitor.isEnded).toBe(true), patience);
    await refused(nats.url, gone);
    const pid = nats.pid()!;
    process.kill(pid, "SIGKILL");
    await vi.waitFor(() => expect(nats.client.connected).toBe(false), patience);
    // The controller's own connection trusts the new authority too.
    await vi.waitFor(() => expect(nats.client.connected).toBe(true), patience);
  });
});

describe("a nats-server that is somebody else's", () => {
  let port: number;
  let child: ChildProcess;

  beforeEach(async () => {
    const probe = createServer().listen(0, "127.0.0.1");
    await once(probe, "listening");
    ({ port } = probe.address() as AddressInfo);
    probe.close();
    await once(probe, "close");
    undo.push(() => child.kill("SIGKILL"));
  });

  /** As somebody would who has printed the configuration, put his certificate where it says, and wants JetStream for something else. */
  async function run(): Promise<void> {
    mkdirSync(join(dir, "external"), { recursive: true });
    const config = join(dir, "external.conf");
    const text = externalConfig(authority)
      .replace("port: 4222", `listen: "127.0.0.1:${port}"\njetstream { store_dir: ${JSON.stringify(join(dir, "jetstream"))} }`)
      .replace("/etc/nats/server.pem", certified.certFile)
      .replace("/etc/nats/server.key", certified.keyFile)
      .replace("/var/lib/nats/muster-accounts", join(dir, "external"));
    writeFileSync(config, text);
    child = spawn(await findNatsServer(), ["-c", config, "-l", join(dir, "external.log")], { stdio: "ignore" });
  }

  async function kill(): Promise<void> {
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  const external = () => start({ kind: "external", url: `tls://127.0.0.1:${port}` });

  test("is waited for, told of the accounts, and used like one of our own", async () => {
    const nats = await external();
    let connects = 0;
    nats.client.onConnect(() => (connects += 1));
    nats.client.publish(assignmentSubject("m-1"), Buffer.from("lost"));
    await vi.waitFor(() => expect(log.join("")).toContain("nats not reached; trying again until it is"), patience);
    await run();
    await vi.waitFor(() => expect(connects).toBe(1), patience);
    expect(nats).toMatchObject({ url: `tls://127.0.0.1:${port}` });
    expect(nats.pid()).toBeUndefined();
    expect(nats.client.droppedCount).toBe(1);
    const gone = machine(authority, "m-1");
    const visitor = await listening(nats, "m-1", gone);
    revoke(gone);
    await vi.waitFor(() => expect(visitor.isEnded).toBe(true), patience);
    await refused(nats.url, gone);
  });

  test("that was away during a revocation learns of it as soon as it is back", async () => {
    await run();
    const nats = await external();
    await nats.client.firstConnected;
    const [gone, other] = [machine(authority, "m-1"), machine(authority, "m-2")];
    await listening(nats, "m-1", gone);
    await kill();
    const configuration = readFileSync(join(dir, "external.conf"), "utf8");
    revoke(gone);
    child = spawn(await findNatsServer(), ["-c", join(dir, "external.conf"), "-l", join(dir, "external.log")], { stdio: "ignore" });
    expect(configuration).not.toContain(authority.accounts.at(-1)?.jwt);
    await vi.waitFor(() => expect(nats.client.connected).toBe(true), patience);
    await vi.waitFor(() => refused(nats.url, gone), patience);
    await listening(nats, "m-2", other);
  });

  test("keeps what it was told when it is started again with the configuration of before, without the controller", async () => {
    await run();
    const nats = await external();
    await nats.client.firstConnected;
    const gone = machine(authority, "m-1");
    const visitor = await listening(nats, "m-1", gone);
    revoke(gone);
    await vi.waitFor(() => expect(visitor.isEnded).toBe(true), patience);
    await nats.stop();
    await kill();
    child = spawn(await findNatsServer(), ["-c", join(dir, "external.conf"), "-l", join(dir, "external.log")], { stdio: "ignore" });
    await vi.waitFor(() => refused(nats.url, gone), patience);
  });

  test("gives our accounts no JetStream, though it has one", async () => {
    await run();
    const nats = await external();
    await nats.client.firstConnected;
    for (const account of ["agents", "control"] as const) {
      const key = newNkey("user");
      const everything = { allow: [">"] };
      const claims = { type: "user", version: 2, pub: everything, sub: everything, subs: -1, data: -1, payload: -1, allowed_connection_types: ["STANDARD"] } as const;
      const visitor = await visit(nats.url, { key, jwt: signJwt({ name: "x", subject: key.publicKey, issuer: openKeys(join(dir, "keys"))[account], issuedAtS: 1, nats: claims }) });
      visitor.say("SUB _INBOX.x 1\r\nPUB $JS.API.INFO _INBOX.x 0\r\n\r\n");
      await vi.waitFor(() => expect(visitor.said).toMatch(/JetStream not enabled|NATS\/1\.0 503/), patience);
    }
  });
});
