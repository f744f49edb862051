/**
 * Somebody who has nothing: no credentials, or a token that is none. What they can't do, and that the others don't notice.
 */
import { connect as connectHttp2 } from "node:http2";
import { get } from "node:http";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { credentials, status } from "@grpc/grpc-js";
import { channelTo, tlsIdentityOf } from "@muster/agent/identity/channel.ts";
import type { Identity } from "@muster/agent/identity/identity-store.ts";
import { JoinError } from "@muster/agent/identity/join.ts";
import { IdentityServiceClient } from "@muster/proto/gen/muster/v1/identity.ts";
import { parseJoinToken } from "@muster/proto/join-token.ts";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../../sim/random.ts";
import { ControllerProcess } from "../controller-process.ts";
import { agentClient, joinAs, makeToken } from "../member.ts";
import { everyMethod, Wire } from "./wire.ts";

const NOTHING = Buffer.alloc(0);
/** For whoever has no credentials yet: how to get some. */
const FOR_ANYBODY = ["/muster.v1.AccessService/GetLoginMethods", "/muster.v1.JoinService/Join"];

let controller: ControllerProcess;
let member: Identity;
const sockets: { destroy(): void }[] = [];
beforeAll(async () => {
  controller = await ControllerProcess.start();
  member = await joinAs(controller, await makeToken(controller), "member");
});
afterEach(() => sockets.splice(0).forEach((socket) => socket.destroy()));
afterAll(() => controller.stop());

const ports = () => [controller.grpc, controller.https, controller.nats].map((address) => Number(address.split(":").at(-1)));

async function works(): Promise<void> {
  const client = agentClient(controller, member.current);
  try {
    await new Promise<void>((resolve, reject) => client.sync({ machine: "member" }, (error) => (error === null ? resolve() : reject(error))));
  } finally {
    client.close();
  }
}

function nobody(): Wire {
  const { options } = channelTo(member.current.authorities.at(-1)!);
  return new Wire(controller.grpc, credentials.createSsl(Buffer.from(member.current.authorities.join(""))), options);
}

describe("without credentials", () => {
  test("no method of the contract answers, but those by which somebody gets some", async () => {
    const wire = nobody();
    for (const method of everyMethod()) {
      const { code } = await wire.call(method, NOTHING);
      const wanted = FOR_ANYBODY.includes(method.path) ? [status.OK, status.INVALID_ARGUMENT] : [status.UNAUTHENTICATED];
      expect(wanted, method.path).toContain(code);
    }
    wire.close();
  });

  test("no port speaks anything but TLS 1.3, but for the greeting of nats-server", async () => {
    const [grpc, https, nats] = ports() as [number, number, number];
    for (const port of [grpc, https]) {
      await expect(plainHttp(port)).rejects.toThrow(/socket hang up|ECONNRESET|Parse Error/);
      await expect(plainHttp2(port)).resolves.toBe("closed");
      for (const text of ["", "GET / HTTP/1.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "CONNECT {}\r\nPING\r\n"]) expect(await answerTo(port, text)).toMatch(/^(\x15\x03[^]{0,10})?$/);
    }
    expect(await answerTo(nats, 'CONNECT {"verbose":true}\r\nPING\r\nSUB > 1\r\n')).toMatch(/^INFO \{[^\n]*"tls_required":true[^\n]*\}\s*(-ERR [^\n]*\s*|\x15\x03[^]*)?$/);
    for (const port of [grpc, https]) await expect(handshake(port, "TLSv1.2")).rejects.toThrow(/alert|version|protocol/i);
  });

  test("10,000 connections that say nothing keep nobody out", { timeout: 300_000 }, async () => {
    for (const port of ports()) {
      const silent = Array.from({ length: 10_000 }, () => connect({ port, host: "127.0.0.1" }));
      sockets.push(...silent);
      for (const socket of silent) socket.on("error", () => undefined);
      const opened = await Promise.all(silent.map(isOpened));
      expect(opened.filter((open) => open)).toHaveLength(silent.length);
      await works();
      expect(await joinAs(controller, await makeToken(controller), `through-${port}`)).toMatchObject({ machine: `through-${port}` });
      for (const socket of sockets.splice(0)) socket.destroy();
    }
    expect(controller.isAlive).toBe(true);
  });
});

describe("a token that is none", () => {
  test("is refused as one that is used up, revoked, expired or guessed, all in the same words", async () => {
    const said = new Set<string>();
    const refusal = async (attempt: Promise<unknown>): Promise<void> => {
      const error: unknown = await attempt.then(() => undefined, (reason: unknown) => reason);
      expect(error).toBeInstanceOf(JoinError);
      said.add((error as JoinError).message);
    };
    const used = await makeToken(controller);
    await joinAs(controller, used, "first");
    await refusal(joinAs(controller, used, "second"));
    const revoked = await makeToken(controller);
    await revoke(revoked.id);
    await refusal(joinAs(controller, revoked, "second"));
    const expired = await makeToken(controller, { ttlMs: 1_000 });
    await sleep(1_100);
    await refusal(joinAs(controller, expired, "second"));
    const good = await makeToken(controller);
    for (const secret of ["", "A".repeat(43), good.secret.slice(0, -1), `${good.secret}A`, good.secret.toLowerCase()]) await refusal(joinAs(controller, { ...good, secret }, "second"));
    for (const id of ["", "x", "../../etc", "'; DROP TABLE members; --", "\u0000", good.id.toUpperCase()]) await refusal(joinAs(controller, { ...good, id }, "second"));
    expect([...said]).toHaveLength(1);
    expect(await joinAs(controller, good, "second")).toMatchObject({ machine: "second" });
  });

  test("of any text is read as a token or not at all, and never thrown at", () => {
    const random = new Random(7, "tokens");
    const good = `mst1.${"0".repeat(64)}.abcdefgh.${"A".repeat(43)}`;
    for (let count = 0; count < 20_000; count += 1) {
      const bytes = Buffer.from(good);
      for (let change = random.whole(1, 5); change > 0; change -= 1) bytes[random.whole(0, bytes.length - 1)] = random.whole(0, 255);
      const text = random.chance(0.2) ? bytes.toString("latin1").slice(0, random.whole(0, 80)) : bytes.toString("latin1");
      const token = parseJoinToken(text);
      if (token !== undefined) expect(text.trim()).toBe(`mst1.${token.pin}.${token.id}.${token.secret}`);
    }
  });
});

function isOpened(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("close", () => resolve(false));
  });
}

function plainHttp(port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port, path: "/v1/artifacts" }, (response) => resolve(response.statusCode)).on("error", reject);
  });
}

function plainHttp2(port: number): Promise<"answered" | "closed"> {
  return new Promise((resolve) => {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    sockets.push(session);
    session.on("error", () => undefined);
    session.once("remoteSettings", () => resolve("answered"));
    session.once("close", () => resolve("closed"));
  });
}

/** What comes within a moment of having said this, or of being closed. */
function answerTo(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect({ host: "127.0.0.1", port });
    sockets.push(socket);
    const end = (): void => {
      clearTimeout(timer);
      resolve(answer);
    };
    const timer = setTimeout(end, 1_000);
    socket.setEncoding("latin1");
    socket.on("data", (part: string) => (answer += part));
    socket.on("error", () => undefined);
    socket.once("close", end);
    socket.once("connect", () => socket.write(text));
  });
}

function handshake(port: number, version: "TLSv1.2"): Promise<void> {
  const { ca, servername } = tlsIdentityOf(member.current);
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host: "127.0.0.1", port, ca, servername, maxVersion: version }, resolve);
    sockets.push(socket);
    socket.once("error", reject);
  });
}

async function revoke(id: string): Promise<void> {
  const client = new IdentityServiceClient(controller.operators, credentials.createInsecure());
  await new Promise<void>((resolve, reject) => client.revokeToken({ id }, (error) => (error === null ? resolve() : reject(error))));
  client.close();
}
