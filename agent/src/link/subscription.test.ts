import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { type Server, type Socket, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assignmentSubject } from "@muster/proto/subjects.ts";
import { type TlsOptions, connect } from "nats";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { freePort, startNats, stopNats, until } from "./controller.fixture.ts";
import { SERVER_NAME, type ServerIdentity, certify, startTlsNats } from "./nats-tls.fixture.ts";
import { Subscription, type SubscriptionOptions } from "./subscription.ts";
import { type UserNkey, answerWith, createUserNkey } from "../identity/user-nkey.ts";

interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly detail?: string;
}

let dir: string;
let port: number;
let identity: ServerIdentity;
let user: UserNkey;
let server: ChildProcess | undefined;
let subscription: Subscription | undefined;
let log: LogLine[];
let taken: number[];
let connects: number;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "muster-subscription-"));
  [port, identity, user] = [await freePort(), await certify(), createUserNkey()];
  [log, taken, connects] = [[], [], 0];
});
afterEach(async () => {
  subscription?.close();
  if (server !== undefined) await stopNats(server);
  server = undefined;
  rmSync(dir, { recursive: true });
});

function listen(options: Partial<SubscriptionOptions> = {}): void {
  subscription = new Subscription({
    machineId: "m-1",
    credentials: () => ({ jwt: "", seed: user.seed }),
    tls: () => ({ ca: [identity.ca], servername: SERVER_NAME }),
    fraction: () => 0.02,
    spreadMs: () => 0,
    onAssignment: (bytes) => taken.push(Number(Buffer.from(bytes).toString())),
    onRequest: () => {},
    onConnected: () => (connects += 1),
    logger: pino({ level: "debug" }, { write: (line: string) => void log.push(JSON.parse(line) as LogLine) }),
    ...options,
  });
  subscription.listenAt(`tls://127.0.0.1:${port}`);
}

async function tell(generation: number): Promise<void> {
  const tls = { ca: identity.ca, servername: SERVER_NAME } as TlsOptions;
  const client = await connect({ servers: `127.0.0.1:${port}`, tls, authenticator: answerWith({ jwt: "", seed: user.seed }) });
  client.publish(assignmentSubject("m-1"), Buffer.from(String(generation)));
  await client.drain();
}

const failures = (): LogLine[] => log.filter(({ msg }) => msg === "nats not reached");

describe("a subscription", () => {
  it("hears over TLS, known by its key", async () => {
    server = await startTlsNats(dir, port, identity, [user.publicKey]);
    listen();
    await until(() => connects === 1);
    await tell(7);
    await until(() => taken.length === 1);
    expect(taken).toEqual([7]);
  });

  it("that is refused tries again for ever, says so once, and uses the credentials of that moment", async () => {
    server = await startTlsNats(dir, port, identity, [user.publicKey]);
    const good = user;
    let current = createUserNkey();
    listen({ credentials: () => ({ jwt: "", seed: current.seed }) });
    await until(() => failures().length >= 4);
    expect(failures().filter(({ level }) => level === pino.levels.values["warn"])).toHaveLength(1);
    expect(failures()[0]?.detail).toMatch(/Authorization Violation/i);
    current = good;
    await until(() => connects === 1);
  });

  it("that has lost its server trusts, at the next connection, the authority of that moment", async () => {
    server = await startTlsNats(dir, port, identity, [user.publicKey]);
    listen();
    await until(() => connects === 1);
    await stopNats(server);
    identity = await certify();
    server = await startTlsNats(dir, port, identity, [user.publicKey]);
    await until(() => connects === 2);
    await tell(8);
    await until(() => taken.length === 1);
  });

  it("is not made with a server that another authority has certified, or under another name", async () => {
    server = await startTlsNats(dir, port, await certify(), [user.publicKey]);
    listen();
    await until(() => failures().length >= 2);
    subscription?.close();
    await stopNats(server);
    server = await startTlsNats(dir, port, identity, [user.publicKey]);
    log = [];
    listen({ tls: () => ({ ca: [identity.ca], servername: "other.test" }) });
    await until(() => failures().length >= 2);
    expect(connects).toBe(0);
  });

  it("is not made without TLS: neither with a server that has none, nor with one that says it needs none", async () => {
    server = await startNats(port);
    listen();
    await until(() => failures().length >= 2);
    subscription?.close();
    await stopNats(server);

    let said = "";
    const sockets: Socket[] = [];
    const liar: Server = createServer((socket) => {
      sockets.push(socket);
      socket.on("data", (data) => (said += data.toString("latin1"))).on("error", () => {});
      socket.write(`INFO ${JSON.stringify({ server_id: "X", version: "2.9.10", proto: 1, auth_required: true, nonce: "abc", max_payload: 1 })}\r\n`);
    });
    await new Promise<void>((resolve) => liar.listen(port, "127.0.0.1", resolve));
    log = [];
    listen();
    await until(() => failures().length >= 2);
    expect(said).toBe("");
    expect(connects).toBe(0);
    for (const socket of sockets) socket.destroy();
    liar.close();
  });

  it("with a key that is none says so and tries again", async () => {
    server = await startTlsNats(dir, port, identity, [user.publicKey]);
    let seed: Uint8Array = Buffer.from("SUnothing");
    listen({ credentials: () => ({ jwt: "", seed }) });
    await until(() => failures().length >= 2);
    expect(failures()[0]?.detail).toBe("the key for NATS is not the seed of a user");
    expect(JSON.stringify(log)).not.toContain("SUnothing");
    ({ seed } = user);
    await until(() => connects === 1);
  });

  it("leaves no socket behind with a server that takes connections and says nothing, before or after TLS is offered", async () => {
    for (const greeting of ["", `INFO ${JSON.stringify({ version: "2.9.10", proto: 1, tls_required: true, max_payload: 1 })}\r\n`]) {
      let count = 0;
      const sockets = new Set<Socket>();
      const silent = createServer((socket) => {
        count += 1;
        sockets.add(socket);
        socket.on("close", () => sockets.delete(socket)).on("error", () => {});
        socket.resume().write(greeting);
      });
      await new Promise<void>((resolve) => silent.listen(port, "127.0.0.1", resolve));
      listen({ connectTimeoutMs: 50 });
      await until(() => count >= 4);
      await until(() => sockets.size <= 1);
      subscription?.close();
      await until(() => sockets.size === 0);
      await new Promise((resolve) => silent.close(resolve));
    }
  });
});
