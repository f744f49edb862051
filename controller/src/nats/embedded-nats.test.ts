import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assignmentSubject } from "@muster/proto/subjects.ts";
import { connect, type TlsOptions } from "nats";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createEmbeddedNats, type EmbeddedNats, type EmbeddedNatsOptions } from "./embedded-nats.ts";
import { findNatsServer } from "./find-nats-server.ts";
import { type NatsAuthority, openNatsAuthority } from "./nats-authority.ts";
import { NatsClient } from "./nats-client.ts";
import { type Certified, certify, machine, SERVER_NAME } from "./nats.fixture.ts";

const host = "127.0.0.1";
const logger = pino({ level: "silent" });
const patience = { timeout: 15_000, interval: 20 };
const SUBJECT = assignmentSubject("m-1");
let dir: string;
let authority: NatsAuthority;
let certified: Certified;
let undo: (() => unknown)[];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "muster-nats-"));
  authority = openNatsAuthority({ dir: join(dir, "keys"), now: Date.now });
  certified = await certify(dir);
  undo = [];
});

afterEach(async () => {
  for (const step of undo.reverse()) await step();
  rmSync(dir, { recursive: true, force: true });
});

function whole(): EmbeddedNatsOptions {
  return { dir, host, port: 0, trust: { authority, ...certified }, logger };
}

async function embedded(port = 0, more: { readonly onExit?: () => void } = {}): Promise<EmbeddedNats> {
  const nats = await createEmbeddedNats({ ...whole(), port, ...more });
  undo.push(() => nats.stop());
  return nats;
}

async function client(url: string) {
  const made = new NatsClient({ url, answer: authority.answerAs("CONTROL"), trusted: () => ({ ca: [certified.ca], servername: SERVER_NAME }), logger });
  undo.push(() => made.close());
  await made.firstConnected;
  return made;
}

/** An agent's side. */
async function listener(url: string): Promise<{ readonly heard: string[] }> {
  const { key, jwt } = machine(authority, "m-1");
  const connection = await connect({
    servers: url,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
    tls: { ca: certified.ca, servername: SERVER_NAME } as TlsOptions,
    authenticator: (nonce = "") => ({ jwt, nkey: key.publicKey, sig: Buffer.from(key.sign(Buffer.from(nonce))).toString("base64url") }),
  });
  undo.push(() => connection.close());
  const heard: string[] = [];
  connection.subscribe(SUBJECT, { callback: (_, message) => heard.push(message.string()) });
  await connection.flush();
  return { heard };
}

/** The processes whose command line names the directory: nats-server and its guardian. */
function processesOf(path: string): readonly number[] {
  return readdirSync("/proc").map(Number).filter((pid) => {
    try {
      return pid > 0 && readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").some((part) => part.startsWith(`${path}/nats-server`));
    } catch {
      return false; // ended meanwhile
    }
  });
}

/** Another process that owns a nats-server in the same directory. */
async function owner(): Promise<{ readonly child: ChildProcess; readonly pid: number; readonly url: string }> {
  const module = (path: string): string => new URL(path, import.meta.url).href;
  const script = `
    import { createEmbeddedNats } from ${JSON.stringify(module("./embedded-nats.ts"))};
    import { openNatsAuthority } from ${JSON.stringify(module("./nats-authority.ts"))};
    const authority = openNatsAuthority({ dir: ${JSON.stringify(join(dir, "keys"))}, now: Date.now });
    const trust = { authority, ...${JSON.stringify(certified)} };
    const logger = { info() {}, warn() {}, error() {} };
    const nats = await createEmbeddedNats({ dir: ${JSON.stringify(dir)}, host: "127.0.0.1", port: 0, trust, logger });
    console.log(JSON.stringify({ pid: nats.pid(), url: nats.url }));
    setInterval(() => {}, 1000);
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  undo.push(() => child.kill("SIGKILL"));
  const line = await new Promise<string>((resolve) => child.stdout.once("data", (data: Buffer) => resolve(data.toString("utf8"))));
  return { child, ...(JSON.parse(line) as { pid: number; url: string }) };
}

describe("an embedded nats-server", () => {
  test("carries messages, on the same port after each restart, and leaves no process behind", async () => {
    const first = await embedded();
    const { heard } = await listener(first.url);
    (await client(first.url)).publish(SUBJECT, Buffer.from("hello"));
    await vi.waitFor(() => expect(heard).toEqual(["hello"]), patience);
    expect(processesOf(dir)).toHaveLength(2);
    await first.stop();
    await vi.waitFor(() => expect(processesOf(dir)).toEqual([]), patience);
    expect((await embedded()).url).toBe(first.url);
  });

  test("that listens on every address is reached by loopback", async () => {
    const nats = await createEmbeddedNats({ ...whole(), host: "0.0.0.0" });
    undo.push(() => nats.stop());
    expect(nats.url).toBe(`tls://127.0.0.1:${nats.port}`);
    expect((await client(nats.url)).connected).toBe(true);
  });

  test("is started again on the same port when it is killed, and everybody reconnects", async () => {
    let exits = 0;
    const nats = await embedded(0, { onExit: () => (exits += 1) });
    const pids: number[] = [];
    nats.onPid((pid) => pids.push(pid));
    const { heard } = await listener(nats.url);
    const publisher = await client(nats.url);
    let reconnects = 0;
    publisher.onConnect(() => (reconnects += 1));

    for (let round = 1; round <= 2; round += 1) {
      const before = nats.pid();
      process.kill(before, "SIGKILL");
      await vi.waitFor(() => expect(publisher.connected).toBe(false), patience);
      publisher.publish(SUBJECT, Buffer.from("lost"));
      expect(publisher.droppedCount).toBe(round);
      await vi.waitFor(() => expect(reconnects).toBe(round), patience);
      expect(publisher.connected).toBe(true);
      expect(nats.pid()).not.toBe(before);
      expect(exits).toBe(round);
      await vi.waitFor(() => {
        publisher.publish(SUBJECT, Buffer.from(`round ${round}`));
        expect(heard).toContain(`round ${round}`);
      }, patience);
    }
    expect(pids).toHaveLength(2);
    expect(heard).not.toContain("lost");
  });

  test("ends when its owner is killed, even while it is stopped itself", async () => {
    const { child, pid } = await owner();
    expect(processesOf(dir)).toContain(pid);
    process.kill(pid, "SIGSTOP");
    child.kill("SIGKILL");
    await vi.waitFor(() => expect(processesOf(dir)).toEqual([]), patience);
  });

  test("is guarded again when the guardian is killed", async () => {
    const { child, pid } = await owner();
    const guardianPid = processesOf(dir).find((one) => one !== pid)!;
    process.kill(guardianPid, "SIGKILL");
    await vi.waitFor(() => {
      const [another, ...more] = processesOf(dir).filter((one) => one !== pid);
      expect(more).toEqual([]);
      expect(another).toBeDefined();
      expect(another).not.toBe(guardianPid);
    }, patience);
    child.kill("SIGKILL");
    await vi.waitFor(() => expect(processesOf(dir)).toEqual([]), patience);
  });

  test("does not get the Ctrl-C of the controller's terminal: it has a process group of its own", async () => {
    const nats = await embedded();
    const groups = processesOf(dir).map((pid) => Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ")[2]));
    expect(groups).toHaveLength(2);
    expect(groups).toContain(nats.pid());
    expect(groups).not.toContain(Number(readFileSync("/proc/self/stat", "utf8").split(") ")[1]!.split(" ")[2]));
  });

  test("stops one that a former run left behind, and takes its port over", async () => {
    const config = join(dir, "nats-server.conf");
    const { url } = await (async () => {
      const nats = await embedded();
      await nats.stop();
      return nats;
    })();
    const orphan = spawn(await findNatsServer(), ["-c", config], { stdio: "ignore", detached: true });
    undo.push(() => orphan.kill("SIGKILL"));
    const ended = new Promise((resolve) => orphan.once("exit", resolve));
    await vi.waitFor(() => expect(readFileSync(join(dir, "nats-server.pid"), "utf8").trim()).toBe(String(orphan.pid)), patience);
    const nats = await embedded();
    await ended;
    expect(nats.url).toBe(url);
    expect(nats.pid()).not.toBe(orphan.pid);
  });

  test("never touches a process that only has the pid of the former one", async () => {
    const stranger = spawn("sleep", ["60"], { stdio: "ignore" });
    undo.push(() => stranger.kill("SIGKILL"));
    writeFileSync(join(dir, "nats-server.pid"), String(stranger.pid));
    await embedded();
    expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
  });

  test("says when the wanted port is taken, and chooses another when it was only the former one", async () => {
    const other = createServer();
    const port = await new Promise<number>((resolve) => other.listen(0, host, () => resolve((other.address() as AddressInfo).port)));
    undo.push(() => new Promise((resolve) => other.close(resolve)));
    await expect(embedded(port)).rejects.toMatchObject({ code: "port_in_use", message: `port ${port} on ${host} is in use by another program; free it, or choose another with --nats-port` });
    writeFileSync(join(dir, "port"), String(port));
    expect((await embedded()).url).not.toBe(`tls://${host}:${port}`);
  });

  test("says when its directory can't be used", async () => {
    writeFileSync(join(dir, "file"), "");
    await expect(createEmbeddedNats({ ...whole(), dir: join(dir, "file", "nats") })).rejects.toMatchObject({ code: "io_error" });
  });

  test("says what to install when there is no nats-server", async () => {
    await expect(findNatsServer([join(dir, "none")])).rejects.toMatchObject({ code: "missing", message: expect.stringContaining("apt-get install nats-server") });
  });

  test("refuses a message beyond the limit without failing its caller", async () => {
    const nats = await embedded();
    const publisher = await client(nats.url);
    publisher.publish(SUBJECT, Buffer.alloc(2 * 1024 * 1024));
    expect(publisher.droppedCount).toBe(1);
    expect(publisher.connected).toBe(true);
  });
});
