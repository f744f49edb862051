import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect as connectPlain, createServer as createPlainServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, createServer, type TLSSocket } from "node:tls";
import { authorityName } from "@muster/proto/identity.ts";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Authorities } from "../identity/authorities.ts";
import { openTlsDoor, type TlsDoor, type TlsDoorOptions, tlsOptions } from "./tls-door.ts";

let dir: string;
let authorities: Authorities;
let door: TlsDoor;
let sockets: Socket[];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "muster-door-"));
  authorities = await Authorities.open(dir, Date.now);
  sockets = [];
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await door.close();
  rmSync(dir, { recursive: true });
});

async function open(bounds: TlsDoorOptions["bounds"] = {}): Promise<void> {
  const options: TlsDoorOptions = {
    host: "127.0.0.1",
    port: 0,
    portOption: "--port",
    protocol: "h2",
    contextFor: (name) => authorities.contextFor(name),
    certify: (certificate) => authorities.certify(certificate),
    bounds,
  };
  door = await openTlsDoor(createServer(tlsOptions(options), (socket) => socket.resume()), options);
}

/** One that knocks and says no more. */
function silent(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectPlain(door.port, "127.0.0.1", () => resolve(socket));
    socket.on("error", reject);
    // Else it would never notice that it was closed.
    socket.resume();
    sockets.push(socket);
  });
}

/** What a client says first. */
async function firstMessage(): Promise<Buffer> {
  const listener = createPlainServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const client = connectTls({ port: (listener.address() as AddressInfo).port, host: "127.0.0.1", servername: authorityName(authorities.newest.pin), ALPNProtocols: ["h2"] });
  client.on("error", () => undefined);
  const [socket] = (await once(listener, "connection")) as [Socket];
  const [hello] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  listener.close();
  return hello;
}

/** Stands before the door: what comes back goes through as it is. */
async function proxyOf(forward: (data: Buffer, there: Socket) => void): Promise<{ readonly port: number; close(): void }> {
  const proxy = createPlainServer({ noDelay: true }, (client) => {
    const there = connectPlain({ port: door.port, host: "127.0.0.1", noDelay: true });
    sockets.push(client, there);
    for (const socket of [client, there]) socket.on("error", () => undefined);
    there.pipe(client);
    client.on("data", (data: Buffer) => forward(data, there));
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  return { port: (proxy.address() as AddressInfo).port, close: () => void proxy.close() };
}

/** One that shakes hands as it should. */
function stranger(more: object = {}): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const { pin, certificate } = authorities.newest;
    const socket = connectTls({ port: door.port, host: "127.0.0.1", ca: certificate.toString(), servername: authorityName(pin), ALPNProtocols: ["h2"], ...more }, () => resolve(socket));
    socket.on("error", reject);
    sockets.push(socket);
  });
}

describe("the door", () => {
  test("speaks TLS 1.3 and nothing else", async () => {
    await open();
    expect((await stranger()).getProtocol()).toBe("TLSv1.3");
    await expect(stranger({ maxVersion: "TLSv1.2", minVersion: "TLSv1.2" })).rejects.toThrow(/alert|protocol version/);
    const plain = await silent();
    plain.on("error", () => undefined);
    let said = "";
    plain.on("data", (data: Buffer) => (said += data.toString("latin1")));
    plain.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    await new Promise((resolve) => plain.once("close", resolve));
    expect(said).not.toContain("HTTP");
  });

  test("keeps a bounded number of those that never finish their handshake, and lets others in meanwhile", async () => {
    await open({ silentMax: 20 });
    const crowd = await Promise.all(Array.from({ length: 200 }, silent));
    for (const socket of crowd) socket.on("error", () => undefined);
    expect((await stranger()).authorized).toBe(true);
    await vi.waitFor(() => expect(door.counts().handshakes).toBeLessThanOrEqual(20), 10_000);
  });

  test("serves all of a fleet that comes at once, though it has room for a few handshakes", async () => {
    await open({ silentMax: 200, servedMax: 4, yieldMs: 20 });
    const fleet = await Promise.all(Array.from({ length: 100 }, () => stranger()));
    expect(fleet.filter(({ authorized }) => authorized)).toHaveLength(100);
    await vi.waitFor(() => expect(door.counts()).toMatchObject({ handshakes: 0, connections: 100 }), 10_000);
  });

  test("serves others while some say half of what they have to say, or stop in the middle", async () => {
    await open({ servedMax: 2, yieldMs: 20, slowMax: 5, silentMax: 10 });
    const hello = await firstMessage();
    const crowd = await Promise.all(Array.from({ length: 40 }, silent));
    for (const [index, socket] of crowd.entries()) {
      socket.on("error", () => undefined);
      socket.write(index % 2 === 0 ? hello : hello.subarray(0, 50));
    }
    await vi.waitFor(() => expect(door.counts().handshakes).toBeLessThanOrEqual(10 + 2 + 5), 10_000);
    expect((await stranger()).authorized).toBe(true);
  });

  test("never throws out a handshake that is being served for those who come later", async () => {
    await open({ silentMax: 4, servedMax: 4, yieldMs: 20 });
    let release = (): void => undefined;
    let parts = 0;
    // Its last message is on its way for as long as we like.
    const proxy = await proxyOf((data, there) => {
      parts += 1;
      if (parts === 1) there.write(data);
      else release = () => there.write(data);
    });
    const served = stranger({ port: proxy.port });
    await vi.waitFor(() => expect(parts).toBe(2), 10_000);
    const crowd = await Promise.all(Array.from({ length: 50 }, silent));
    for (const socket of crowd) socket.on("error", () => undefined);
    await Promise.all(Array.from({ length: 20 }, () => stranger()));
    release();
    const socket = await served;
    await vi.waitFor(() => expect(door.counts().connections).toBe(21), 10_000);
    expect(socket.destroyed).toBe(false);
    proxy.close();
  });

  test("refuses at once whoever comes when the queue is full, and takes somebody again when one of it has gone", async () => {
    await open({ servedMax: 1, yieldMs: 60_000, waitingMax: 2 });
    const hello = await firstMessage();
    const first = await Promise.all(Array.from({ length: 3 }, silent));
    for (const socket of first) socket.on("error", () => undefined).write(hello);
    await vi.waitFor(() => expect(door.counts()).toMatchObject({ handshakes: 3, waiting: 2 }), 10_000);
    await expect(stranger()).rejects.toThrow(/disconnected|ECONNRESET|hang up/);
    expect(door.counts()).toMatchObject({ handshakes: 3, waiting: 2 });
    for (const socket of first) socket.destroy();
    await vi.waitFor(() => expect(door.counts().handshakes).toBe(0), 10_000);
    expect((await stranger()).authorized).toBe(true);
  });

  test("puts together a first message that comes byte by byte", async () => {
    await open();
    const proxy = await proxyOf((data, there) => {
      for (const byte of data) there.write(Buffer.of(byte));
    });
    expect((await stranger({ port: proxy.port })).authorized).toBe(true);
    proxy.close();
  });

  test("gives up a handshake that takes too long", async () => {
    await open({ handshakeMs: 50 });
    const slow = await silent();
    slow.on("error", () => undefined);
    await new Promise((resolve) => slow.once("close", resolve));
    await vi.waitFor(() => expect(door.counts()).toEqual({ handshakes: 0, waiting: 0, strangers: 0, connections: 0 }), 10_000);
  });

  test("lets the oldest strangers go when there are too many, and never one that is known", async () => {
    await open({ strangersMax: 3 });
    const first = await stranger();
    // The client is done with its handshake a little before the server is.
    await vi.waitFor(() => expect(door.counts().strangers).toBe(1), 10_000);
    door.know(`127.0.0.1:${first.localPort}`);
    const second = await stranger();
    const isGone = new Promise((resolve) => second.once("close", resolve));
    await Promise.all([stranger(), stranger(), stranger()]);
    await isGone;
    await vi.waitFor(() => expect(door.counts()).toMatchObject({ strangers: 3, connections: 4 }), 10_000);
    expect(first.destroyed).toBe(false);
    expect(door.peerAt(`127.0.0.1:${first.localPort}`)).toMatchObject({ via: "tls", certified: { kind: "nobody" } });
  });

  test("shows the certificate of the authority that is asked for, during a rotation too", async () => {
    await open();
    const [old] = authorities.all;
    await authorities.rotate();
    for (const { pin, certificate } of [old!, authorities.newest]) {
      expect((await stranger({ ca: certificate.toString(), servername: authorityName(pin) })).authorized).toBe(true);
    }
    await expect(stranger({ ca: old!.certificate.toString(), servername: authorityName(authorities.newest.pin) })).rejects.toThrow(/self-signed|unable to verify/);
  });
});
