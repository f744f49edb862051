/** What nats-server really does with our accounts: each test attacks the real one. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assignmentSubject, requestSubject } from "@muster/proto/subjects.ts";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { openKeys } from "./authority-files.ts";
import { signJwt, type UserClaims } from "./jwt.ts";
import { type Nats, startNats } from "./nats.ts";
import { type NatsAuthority, openNatsAuthority } from "./nats-authority.ts";
import { newNkey } from "./nkey.ts";
import { type Certified, type Identity, SERVER_NAME, type Stranger, certify, machine, stranger, strangerInPlain } from "./nats.fixture.ts";

const logger = pino({ level: "silent" });
const patience = { timeout: 15_000, interval: 20 };
const bytes = (text: string) => Buffer.from(text);
let dir: string;
let certified: Certified;
let authority: NatsAuthority;
let nats: Nats;
const visitors: Stranger[] = [];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "muster-accounts-"));
  certified = await certify(dir);
  authority = openNatsAuthority({ dir: join(dir, "keys"), now: Date.now });
  nats = await startNats({
    server: { kind: "embedded", dir: join(dir, "nats"), host: "127.0.0.1", port: 0, certFile: certified.certFile, keyFile: certified.keyFile },
    authority,
    trusted: () => ({ ca: [certified.ca], servername: SERVER_NAME }),
    logger,
  });
  await nats.client.firstConnected;
});

afterEach(() => visitors.splice(0).forEach((visitor) => visitor.close()));

afterAll(async () => {
  await nats.stop();
  rmSync(dir, { recursive: true, force: true });
});

const port = () => Number(new URL(nats.url).port);

async function visit(identity?: Identity, signedBy = identity?.key): Promise<Stranger> {
  const visitor = await stranger(port(), certified.ca, identity, signedBy);
  visitors.push(visitor);
  return visitor;
}

/** Let in, and heard. */
async function admitted(identity: Identity): Promise<Stranger> {
  const visitor = await visit(identity);
  await vi.waitFor(() => expect(visitor.said).toContain("PONG"), patience);
  return visitor;
}

async function refused(identity?: Identity, signedBy = identity?.key): Promise<void> {
  const visitor = await visit(identity, signedBy);
  await vi.waitFor(() => expect(visitor.isEnded).toBe(true), patience);
  expect(visitor.said).toMatch(/-ERR '(Authorization Violation|User Authentication Expired|User Authentication Revoked)'/);
  expect(visitor.said).not.toContain("PONG");
}

async function listening(id: string, identity = machine(authority, id)): Promise<Stranger> {
  const visitor = await admitted(identity);
  await heard(visitor.say(`SUB ${assignmentSubject(id)} 1\r\nSUB ${requestSubject(id)} 2\r\n`));
  return visitor;
}

/** The server has taken all that was said so far. */
async function heard(visitor: Stranger): Promise<void> {
  const count = visitor.said.split("PONG").length;
  visitor.say("PING\r\n");
  await vi.waitFor(() => expect(visitor.said.split("PONG").length).toBe(count + 1), patience);
}

/** Somebody who may do whatever his account may: he sees what agents bring about. Made with the seed of the account. */
async function witness(account: "agents" | "control" | "system", changes: Partial<UserClaims> = {}): Promise<Stranger> {
  const key = newNkey("user");
  const nats: UserClaims = { type: "user", version: 2, pub: { allow: [">"] }, sub: { allow: [">"] }, subs: -1, data: -1, payload: -1, allowed_connection_types: ["STANDARD"], ...changes };
  const jwt = signJwt({ name: "witness", subject: key.publicKey, issuer: openKeys(join(dir, "keys"))[account], issuedAtS: 1, nats });
  return admitted({ key, jwt });
}

describe("a machine", () => {
  test("hears what it is told, and nothing that another is told", async () => {
    const [one, two] = [await listening("m-1"), await listening("m-2")];
    nats.client.publish(assignmentSubject("m-1"), bytes("for one"));
    nats.client.publish(requestSubject("m-2"), bytes("for two"));
    await vi.waitFor(() => expect(one.said).toContain("for one"), patience);
    await vi.waitFor(() => expect(two.said).toContain("for two"), patience);
    expect(one.said).not.toContain("for two");
    expect(two.said).not.toContain("for one");
    expect(nats.client.droppedCount).toBe(0);
  });

  test.each([
    assignmentSubject("m-2"),
    requestSubject("m-2"),
    "muster.v1.machine.*.assignment",
    "muster.v1.machine.m-1.>",
    "muster.v1.machine.>",
    ">",
    "*",
    "$SYS.>",
    "$SYS.ACCOUNT.>",
    "_INBOX.>",
    "_INBOX.muster.>",
    "$JS.>",
  ])("can't listen to %s", async (subject) => {
    const one = await admitted(machine(authority, "m-1"));
    await heard(one.say(`SUB ${subject} 1\r\n`));
    expect(one.said).toContain(`-ERR 'Permissions Violation for Subscription to "${subject}"'`);
    await heard(one.say(`SUB ${subject} workers 2\r\n`));
    expect(one.said).toContain(`Permissions Violation for Subscription to "${subject}" using queue "workers"`);
  });

  test.each([
    assignmentSubject("m-1"),
    assignmentSubject("m-2"),
    requestSubject("m-1"),
    "muster",
    "_INBOX.muster.a.b",
    "$SYS.REQ.CLAIMS.UPDATE",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.USER.INFO",
    "$SYS.REQ.ACCOUNT.PING.CONNZ",
    "$JS.API.INFO",
    "$JS.API.STREAM.CREATE.X",
    "$JS.ACK.X",
    "$KV.X.Y",
  ])("can't publish to %s", async (subject) => {
    const one = await admitted(machine(authority, "m-1"));
    await heard(one.say(`PUB ${subject} 0\r\n\r\n`));
    await heard(one.say(`PUB ${subject} ${assignmentSubject("m-2")} 0\r\n\r\n`));
    expect(one.said.split(`-ERR 'Permissions Violation for Publish to "${subject}"'`)).toHaveLength(3);
  });

  test("brings nothing about by whatever it publishes, in no account", async () => {
    const witnesses = [await witness("agents"), await witness("control"), await witness("system")];
    for (const one of witnesses) await heard(one.say("SUB muster.> 1\r\nSUB _INBOX.> 2\r\nSUB $JS.> 3\r\n"));
    const one = await listening("m-1");
    for (const subject of [assignmentSubject("m-2"), "_INBOX.muster.a", "$JS.API.INFO", "$SYS.REQ.CLAIMS.UPDATE"]) {
      await heard(one.say(`PUB ${subject} ${assignmentSubject("m-2")} 0\r\n\r\n`));
    }
    nats.client.publish(assignmentSubject("m-9"), bytes("from the controller"));
    await vi.waitFor(() => expect(witnesses.map(({ said }) => said.includes("from the controller"))).toEqual([true, true, false]), patience);
    expect(witnesses.map(({ said }) => said.match(/MSG /g)?.length ?? 0)).toEqual([1, 1, 0]);
  });

  test("can't answer a message that asks to be answered, whatever subject that names", async () => {
    const control = await witness("control");
    const everything = await witness("agents");
    await heard(everything.say("SUB answers.> 1\r\nSUB _INBOX.> 2\r\n"));
    await heard(control.say("SUB answers.> 1\r\nSUB _INBOX.> 2\r\n"));
    const one = await listening("m-1");
    control.say(`PUB ${assignmentSubject("m-1")} answers.here 5\r\nhello\r\n`);
    await vi.waitFor(() => expect(one.said).toContain("hello"), patience);
    await heard(one.say("PUB answers.here 0\r\n\r\n"));
    expect(one.said).toContain(`-ERR 'Permissions Violation for Publish to "answers.here"'`);
    await heard(everything);
    await heard(control);
    expect(everything.said).not.toContain("answers.here");
    expect(control.said).not.toContain("answers.here");
  });

  test("holds no more than a few subscriptions", async () => {
    const one = await listening("m-1");
    for (let sid = 3; sid <= 8; sid += 1) await heard(one.say(`SUB ${assignmentSubject("m-1")} ${sid}\r\n`));
    expect(one.said).not.toContain("-ERR");
    await heard(one.say(`SUB ${assignmentSubject("m-1")} 9\r\n`));
    expect(one.said).toContain("-ERR 'maximum subscriptions exceeded'");
  });

  test.each([
    ["a byte", "PUB x 1\r\nx\r\n"],
    ["headers", "HPUB x 12 12\r\nNATS/1.0\r\n\r\n\r\n"],
    ["100 MB, before they have come", "PUB x 104857600\r\n"],
    ["a line without end", `PUB ${"x".repeat(100_000)}`],
    ["what is no NATS", "GET / HTTP/1.1\r\n\r\n"],
  ])("is cut when it sends %s", async (_, text) => {
    const one = await listening("m-1");
    one.say(text);
    await vi.waitFor(() => expect(one.isEnded).toBe(true), patience);
    expect(one.said).toMatch(/-ERR '(Maximum Payload Violation|maximum control line exceeded|Unknown Protocol Operation)'/);
  });

  test("that doesn't read is cut, and the others hear on", async () => {
    const [one, two] = [await listening("m-1"), await listening("m-2")];
    one.pause();
    const large = Buffer.alloc(500_000);
    for (let count = 0; count < 100; count += 1) nats.client.publish(assignmentSubject("m-1"), large);
    nats.client.publish(assignmentSubject("m-2"), bytes("still here"));
    await vi.waitFor(() => expect(two.said).toContain("still here"), patience);
    one.resume();
    await vi.waitFor(() => expect(one.isEnded).toBe(true), patience);
    expect(one.said.length).toBeLessThan(100 * large.length);
    expect(two.isEnded).toBe(false);
  });

  test("finds no JetStream, not even with every permission of its account", async () => {
    const free = await witness("agents");
    await heard(free.say("SUB _INBOX.x 1\r\n"));
    await heard(free.say("PUB $JS.API.INFO _INBOX.x 0\r\n\r\n"));
    expect(free.said).toContain("NATS/1.0 503");
  });

  test("is refused once its JWT has ended, and cut when it ends", async () => {
    await refused(machine(authority, "m-1", Date.now() - 1000));
    const short = machine(authority, "m-1", Date.now() + 2000);
    const one = await admitted(short);
    await vi.waitFor(() => expect(one.isEnded).toBe(true), patience);
    expect(one.said).toContain("-ERR 'User Authentication Expired'");
    const again = await visit(short);
    await vi.waitFor(() => expect(again.isEnded).toBe(true), patience);
  });
});

describe("whoever isn't known", () => {
  test("is refused: with nothing, or with something that is none", async () => {
    await refused();
    await refused({ jwt: "x.y.z", key: newNkey("user") });
  });

  test("is refused with a machine's JWT and without its key", async () => {
    await refused(machine(authority, "m-1"), newNkey("user"));
    const { jwt } = machine(authority, "m-1");
    const visitor = await stranger(port(), certified.ca, { jwt, key: newNkey("user") }, undefined);
    visitors.push(visitor);
    await vi.waitFor(() => expect(visitor.isEnded).toBe(true), patience);
  });

  test("is refused with a JWT of another operator, of no account of ours, or of its own making", async () => {
    const other = openNatsAuthority({ dir: join(dir, "other"), now: Date.now });
    await refused(machine(other, "m-1"));
    const key = newNkey("user");
    const nats: UserClaims = { type: "user", version: 2, pub: {}, sub: {}, subs: -1, data: -1, payload: -1, allowed_connection_types: ["STANDARD"] };
    for (const issuer of [key, newNkey("account"), newNkey("operator")]) {
      await refused({ key, jwt: signJwt({ name: "x", subject: key.publicKey, issuer, issuedAtS: 1, nats }) });
    }
  });

  test("is refused with a JWT that was changed", async () => {
    const { jwt, key } = machine(authority, "m-1");
    const [header, claims, signature] = jwt.split(".");
    const changed = Buffer.from(Buffer.from(claims!, "base64url").toString("utf8").replaceAll("m-1", "m-2")).toString("base64url");
    await refused({ key, jwt: `${header}.${changed}.${signature}` });
  });

  test("learns a greeting without TLS, and no more", async () => {
    const visitor = await strangerInPlain(port());
    visitors.push(visitor);
    const { key, jwt } = machine(authority, "m-1");
    await vi.waitFor(() => expect(visitor.said).toContain("INFO "), patience);
    const { nonce, tls_required: tlsRequired } = JSON.parse(visitor.said.slice("INFO ".length)) as { nonce: string; tls_required: boolean };
    expect(tlsRequired).toBe(true);
    const greeting = visitor.said;
    const sig = Buffer.from(key.sign(Buffer.from(nonce))).toString("base64url");
    visitor.say(`CONNECT ${JSON.stringify({ jwt, sig, protocol: 1, tls_required: false })}\r\nPING\r\n`);
    await vi.waitFor(() => expect(visitor.isEnded).toBe(true), patience);
    expect(visitor.said.slice(greeting.length)).not.toMatch(/PONG|INFO|MSG/);
  });

  test("doesn't keep others out by connections that say nothing, and is cut", async () => {
    const silent = await Promise.all(Array.from({ length: 300 }, () => strangerInPlain(port())));
    visitors.push(...silent);
    const one = await listening("m-1");
    nats.client.publish(assignmentSubject("m-1"), bytes("heard"));
    await vi.waitFor(() => expect(one.said).toContain("heard"), patience);
    await vi.waitFor(() => expect(silent.every(({ isEnded }) => isEnded)).toBe(true), patience);
    expect(one.isEnded).toBe(false);
  });
});

describe("the controller's own users", () => {
  test("may not do each other's work, nor listen", async () => {
    const control = authority.answerAs("CONTROL")("");
    expect(control.jwt).not.toBe(authority.answerAs("SYSTEM")("").jwt);
    const claims = JSON.parse(Buffer.from(control.jwt.split(".")[1]!, "base64url").toString("utf8")) as { nats: UserClaims };
    const one = await witness("control", claims.nats);
    await heard(one.say("SUB muster.v1.machine.> 1\r\nPUB $SYS.REQ.CLAIMS.UPDATE 0\r\n\r\nPUB other 0\r\n\r\n"));
    expect(one.said.match(/Permissions Violation/g)).toHaveLength(3);
  });
});
