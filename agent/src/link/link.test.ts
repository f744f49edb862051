import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { type Socket, connect as connectPlain, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials, status } from "@grpc/grpc-js";
import { AppPhase } from "@muster/proto/gen/muster/v1/agent.ts";
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { assignmentSubject, requestSubject } from "@muster/proto/subjects.ts";
import { connect, type NatsConnection, type TlsOptions } from "nats";
import pino from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Spool, openSpool } from "../report/spool.ts";
import type { LogReader } from "../runner/ports.ts";
import { Believer } from "../trust/believer.ts";
import { assignmentOf, bytesOf, Signer } from "../trust/signer.fixture.ts";
import { openTrustStore } from "../trust/trust-store.ts";
import { Link, type LinkOptions } from "./link.ts";
import { FakeController, freePort, stopNats, until } from "./controller.fixture.ts";
import { certify, SERVER_NAME, type ServerIdentity, startTlsNats } from "./nats-tls.fixture.ts";
import { answerWith, createUserNkey, type UserNkey } from "../identity/user-nkey.ts";

let dir: string;
let controller: FakeController;
let spool: Spool;
const links: Link[] = [];
let nats: ChildProcess | undefined;
let identity: ServerIdentity;
let user: UserNkey;

beforeEach(async () => {
  [listened, lines, saidAgain] = [0, [], 0];
  dir = mkdtempSync(join(tmpdir(), "muster-link-"));
  [identity, user] = [await certify(), createUserNkey()];
  controller = new FakeController();
  await controller.listen();
  spool = openSpool({ dir, newInstanceId: () => "instance-1", now: () => 1, onDamage: () => {} });
});
afterEach(async () => {
  await Promise.all(links.splice(0).map((link) => link.close()));
  controller.close();
  if (nats !== undefined) await stopNats(nats);
  nats = undefined;
  spool.close();
  rmSync(dir, { recursive: true });
});

/** How often the agent began to listen on NATS. */
let listened: number;
interface LogLine {
  readonly msg: string;
  readonly delayMs?: number;
}
let lines: LogLine[];
const taken: Assignment[] = [];
const assignments = {
  get generation(): number {
    return taken.at(-1)?.generation ?? 0;
  },
  refusal: undefined,
  offer(assignment: Assignment): void {
    if (assignment.generation > this.generation) taken.push(assignment);
  },
  heard(): void {},
  sayAgain(): void {
    saidAgain += 1;
  },
};
let saidAgain: number;

function open(options: Partial<LinkOptions> = {}): Link {
  taken.length = 0;
  const link = new Link({
    controller: `127.0.0.1:${controller.port}`,
    hello: { machine: "m-1", instanceId: "instance-1", agentVersion: "0", hostname: "h", os: "linux", arch: "x64" },
    reports: spool,
    trust: new Believer({ machineId: "m-1", store: openTrustStore({ dir, onDamage: () => {} }), generation: 0, maxAgeMs: 3_600_000, now: Date.now, logger: pino({ level: "silent" }) }),
    assignments,
    nats: { credentials: () => ({ jwt: "", seed: user.seed }), tls: () => ({ ca: [identity.ca], servername: SERVER_NAME }) },
    connect: () => ({ credentials: credentials.createInsecure(), options: {}, onWelcome: () => {}, onReturnSpread: () => {}, onRenew: () => {}, onEnd: () => {} }),
    onWelcome: () => {},
    trustRoots: { version: () => Promise.resolve(0), take: () => Promise.resolve({ version: 0, refusal: undefined }) },
    logs: { async *read() {} },
    fraction: () => 0.1,
    logger: pino({ level: "debug" }, { write: hear }),
    connectTimeoutMs: 300,
    welcomeTimeoutMs: 300,
    ...options,
  });
  links.push(link);
  link.open();
  return link;
}

function hear(line: string): void {
  const heard = JSON.parse(line) as LogLine;
  lines.push(heard);
  if (heard.msg === "nats connected") listened += 1;
}

/** How long the agent waited each time before it connected again. */
const delays = (msg: string): (number | undefined)[] => lines.filter((line) => line.msg === msg).map(({ delayMs }) => delayMs);

/** A peer that accepts connections; `then` gets each. */
async function peer(then: (socket: Socket) => void): Promise<{ readonly address: string; readonly sockets: readonly Socket[]; close(): void }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    then(socket);
  }).listen(0, "127.0.0.1");
  await until(() => server.listening);
  return {
    address: `127.0.0.1:${(server.address() as { port: number }).port}`,
    sockets,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** Says what it likes. */
function inControlOf(port: number): Promise<NatsConnection> {
  return connect({ servers: `127.0.0.1:${port}`, tls: { ca: identity.ca, servername: SERVER_NAME } as TlsOptions, authenticator: answerWith({ jwt: "", seed: user.seed }) });
}

function append(count: number): void {
  for (let index = 0; index < count; index += 1) {
    spool.append({ app: "web", generation: index, phase: AppPhase.HEALTHY, reason: undefined, runningVersion: "1", runningArtifact: "", starts: 1, pid: 1, ports: {} });
  }
}

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index);

describe("reports", () => {
  it("go out in order, in batches of at most 256, and are forgotten when they are acknowledged", async () => {
    append(600);
    open();
    await until(() => controller.newestSeq === 600);
    expect(controller.reports.map(({ seq }) => seq)).toEqual(numbers(1, 600));
    expect(controller.batches.map((batch) => batch.length)).toEqual([256, 256, 88]);
    await until(() => spool.after(0, 1).length === 0);
  });

  it("are named by hello up to the newest that is to be acknowledged, and not when none is", async () => {
    open();
    await until(() => controller.pendingSeqs.length === 1);
    append(3);
    await until(() => spool.after(0, 1).length === 0 && controller.newestSeq === 3);
    controller.sessions.at(-1)?.end();
    await until(() => controller.pendingSeqs.length === 2);
    controller.acknowledges = false;
    append(1);
    await until(() => controller.batches.at(-1)?.includes(4) === true);
    controller.sessions.at(-1)?.end();
    await until(() => controller.pendingSeqs.length === 3);
    expect(controller.pendingSeqs).toEqual([0, 0, 4]);
  });

  it("that come later go out at once", async () => {
    open();
    await until(() => controller.hellos.length === 1);
    append(1);
    await until(() => controller.newestSeq === 1);
  });

  it("wait for the acknowledgement of those before them", async () => {
    controller.acknowledges = false;
    append(300);
    open();
    await until(() => controller.batches.length === 1 && controller.heartbeats >= 2);
    expect(controller.batches).toEqual([numbers(1, 256)]);
  });

  it("that were not acknowledged go out again in the next session, and only these", async () => {
    append(3);
    open();
    await until(() => controller.newestSeq === 3);
    controller.acknowledges = false;
    append(1);
    await until(() => controller.batches.length === 2);
    append(1);
    controller.acknowledges = true;
    controller.sessions.at(-1)?.end();
    await until(() => controller.newestSeq === 5);
    expect(controller.batches).toEqual([[1, 2, 3], [4], [4, 5]]);
  });

  it("that the controller does not have any more are made anew, once", async () => {
    append(3);
    open();
    await until(() => controller.newestSeq === 3);
    const next = async (acknowledgedSeq: number): Promise<void> => {
      controller.welcome = { acknowledgedSeq };
      const heard = controller.hellos.length;
      controller.sessions.at(-1)?.end();
      await until(() => controller.hellos.length > heard && controller.heartbeats > 0);
      controller.heartbeats = 0;
      await until(() => controller.heartbeats > 0);
    };
    await next(3);
    expect(saidAgain).toBe(0);
    await next(0);
    expect(saidAgain).toBe(1);
    await next(0);
    expect(saidAgain).toBe(1);
  });

  it("that this agent never made have been acknowledged: its disk was put back to an older state, and it says again how its apps are, once", async () => {
    append(3);
    controller.welcome = { acknowledgedSeq: 7 };
    open();
    await until(() => controller.heartbeats > 0);
    expect(saidAgain).toBe(1);
    append(1);
    await until(() => controller.batches.length === 1);
    expect(controller.batches).toEqual([[8]]);
    const heard = controller.hellos.length;
    controller.welcome = { acknowledgedSeq: 8 };
    controller.sessions.at(-1)?.end();
    await until(() => controller.hellos.length > heard && controller.heartbeats > 1);
    expect(saidAgain).toBe(1);
  });

  it("that are never acknowledged end the session", async () => {
    controller.acknowledges = false;
    append(1);
    open();
    await until(() => controller.sessions.length >= 2);
  });
});

describe("the session", () => {
  it("is opened again when the controller comes back", async () => {
    open();
    await until(() => controller.hellos.length === 1);
    const { port } = controller;
    controller.close();
    const next = new FakeController();
    await next.listen(port);
    append(1);
    await until(() => next.newestSeq === 1);
    next.close();
  });

  it("is given up when heartbeats are not answered, and opened again", async () => {
    controller.answersHeartbeats = false;
    open();
    await until(() => controller.hellos.length >= 2);
    expect(controller.heartbeats).toBeGreaterThanOrEqual(3);
  });

  it("is not held by a peer that accepts connections and says nothing", async () => {
    const silent = await peer(() => undefined);
    open({ controller: silent.address });
    await until(() => silent.sockets.length >= 2);
    silent.close();
  });

  it("waits for a handshake that the controller lets wait, though others are given up meanwhile", async () => {
    const held: (() => void)[] = [];
    const queue = await peer((socket) => {
      held.push(() => {
        const there = connectPlain(controller.port, "127.0.0.1");
        there.on("error", () => undefined);
        socket.pipe(there).pipe(socket);
      });
    });
    const silent = await peer(() => undefined);
    open({ controller: silent.address, connectTimeoutMs: 50 });
    open({ controller: queue.address, connectTimeoutMs: 60_000, welcomeTimeoutMs: 50 });
    await until(() => silent.sockets.length >= 4 && held.length === 1);
    held[0]!();
    await until(() => controller.hellos.length === 1);
    expect(queue.sockets).toHaveLength(1);
    silent.close();
    queue.close();
  });

  it("tries again when the agent says, and not when gRPC would: each attempt is one connection", async () => {
    const refusing = await peer((socket) => socket.destroy());
    open({ controller: refusing.address, connectTimeoutMs: 60_000, fraction: () => 0 });
    await until(() => delays("controller not reached").length >= 5);
    expect(refusing.sockets.length - delays("controller not reached").length).toBeLessThanOrEqual(1);
    refusing.close();
  });

  it("is not held by a controller that never says welcome", async () => {
    controller.onHello = () => {};
    open();
    await until(() => controller.hellos.length >= 2);
  });

  it("that another agent holds is said so plainly", async () => {
    controller.onHello = (call) => call.emit("error", { code: status.ALREADY_EXISTS, details: "m-1 has a session" });
    const lines: string[] = [];
    open({ logger: pino({}, { write: (line: string) => lines.push(line) }) });
    await until(() => lines.some((line) => line.includes("another agent holds the session of this machine")));
  });

  it("ends at once when the agent does, connected or not", async () => {
    await open({ controller: `127.0.0.1:${await freePort()}`, connectTimeoutMs: 60_000 }).close();
    const link = open();
    await until(() => controller.hellos.length === 1);
    await link.close();
  });
});

describe("the return of a fleet", () => {
  it("is spread over the time that the controller said in its welcome", async () => {
    controller.returnSpreadMs = 40_000;
    open({ fraction: () => 0.5 });
    await until(() => controller.hellos.length === 1);
    controller.close();
    await until(() => lines.some(({ msg }) => msg === "controller lost"));
    expect(delays("controller lost")).toEqual([2_000 + 20_000]);
  });

  it("is spread over what it said last, as the fleet grew", async () => {
    open({ fraction: () => 0.5 });
    await until(() => controller.heartbeats === 1);
    controller.returnSpreadMs = 8_000;
    const { heartbeats } = controller;
    await until(() => controller.heartbeats >= heartbeats + 2);
    controller.close();
    await until(() => lines.some(({ msg }) => msg === "controller lost"));
    expect(delays("controller lost")).toEqual([2_000 + 4_000]);
  });

  it("is spread as far by those who found the door closed", async () => {
    controller.returnSpreadMs = 400;
    const tight: number[] = [];
    open({ fraction: () => (tight.push(0) === 1 ? 0 : 0.9) });
    await until(() => controller.hellos.length === 1);
    controller.close();
    await until(() => delays("controller not reached").length >= 1);
    expect(delays("controller not reached")[0]).toBeGreaterThanOrEqual(200 + 0.9 * 400);
  });

  it("is no matter of one whose session the controller ends alone", async () => {
    controller.returnSpreadMs = 60_000;
    open({ fraction: () => 0.9 });
    await until(() => controller.hellos.length === 1);
    controller.sessions[0]!.end();
    await until(() => controller.hellos.length === 2);
    expect(delays("controller lost")[0]).toBeLessThanOrEqual(250);
  });

  it("is spread over NATS as over gRPC", async () => {
    const port = await freePort();
    nats = await startTlsNats(dir, port, identity, [user.publicKey]);
    controller.welcome = { natsUrl: `tls://127.0.0.1:${port}` };
    controller.returnSpreadMs = 40_000;
    open({ fraction: () => 0.5 });
    await until(() => listened === 1);
    await stopNats(nats);
    await until(() => delays("nats disconnected").length === 1);
    expect(delays("nats disconnected")).toEqual([2_000 + 20_000]);
  });
});

const newest = (generation: number): Assignment => assignmentOf("m-1", generation);
const told = (generation: number): Uint8Array => bytesOf(controller.signer.assignment(newest(generation)));

describe("assignments", () => {
  it("that the welcome knows of are asked for", async () => {
    controller.assignment = newest(7);
    open();
    await until(() => assignments.generation === 7);
  });

  it("that the answer to a heartbeat knows of are asked for", async () => {
    open();
    await until(() => controller.heartbeats >= 1);
    controller.assignment = newest(8);
    await until(() => assignments.generation === 8);
  });

  it("that cannot be kept are asked for again, and heartbeats say so until they are", async () => {
    controller.assignment = newest(9);
    let isFull = true;
    const picky = {
      get generation() {
        return assignments.generation;
      },
      refusal: undefined,
      sayAgain: () => {}, heard: () => {},
      offer(assignment: Assignment) {
        if (isFull) throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
        assignments.offer(assignment);
      },
    };
    open({ assignments: picky });
    await until(() => controller.refusal !== undefined);
    expect(controller.refusal).toEqual({
      code: "cannot_store",
      message: "the assignment cannot be stored in the agent's directory: no space left on the disk; free some space there, and the agent goes on by itself",
    });
    isFull = false;
    await until(() => assignments.generation === 9);
    await until(() => controller.refusal === undefined);
  });

  it("that were kept, and cannot be carried out, are complained of in heartbeats", async () => {
    const refusal = { code: "unsupported", message: "a driver that this agent does not know" };
    open({ assignments: { generation: 0, refusal, offer: () => {}, sayAgain: () => {}, heard: () => {} } });
    await until(() => controller.refusal !== undefined);
    expect(controller.refusal).toEqual(refusal);
  });

  it("come over NATS, and are asked for when NATS is back after it was away and this machine is behind", async () => {
    const port = await freePort();
    nats = await startTlsNats(dir, port, identity, [user.publicKey]);
    controller.welcome = { natsUrl: `tls://127.0.0.1:${port}`, heartbeatIntervalMs: 60_000 };
    open();
    await until(() => listened === 1);
    const client = await inControlOf(port);
    client.publish(assignmentSubject("m-2"), told(99));
    client.publish(assignmentSubject("m-1"), new Uint8Array([255, 255, 255]));
    client.publish(assignmentSubject("m-1"), told(3));
    await until(() => assignments.generation === 3);
    await client.close();

    await stopNats(nats);
    controller.assignment = newest(4);
    nats = await startTlsNats(dir, port, identity, [user.publicKey]);
    await until(() => assignments.generation === 4);
    expect(controller.syncs).toBe(1);
  });
});

describe("whoever controls NATS", () => {
  async function inControl() {
    const port = await freePort();
    nats = await startTlsNats(dir, port, identity, [user.publicKey]);
    controller.welcome = { natsUrl: `tls://127.0.0.1:${port}` };
    const link = open();
    await until(() => listened === 1);
    const client = await inControlOf(port);
    return { link, client, send: (bytes: Uint8Array) => client.publish(assignmentSubject("m-1"), bytes) };
  }
  const versions = (): string[] => taken.map(({ apps }) => (apps[0]?.goal?.$case === "run" ? apps[0].goal.value.version : ""));

  it("cannot make a machine take what the controller did not say, by editing, forging or mixing", async () => {
    const { client, send } = await inControl();
    const good = controller.signer.assignment(newest(3));
    const forger = new Signer();
    const other = controller.signer.assignment(assignmentOf("m-1", 9, "2"));
    for (const bytes of [
      bytesOf(forger.assignment(assignmentOf("m-1", 9, "evil"))),
      bytesOf({ ...good, payload: forger.assignment(assignmentOf("m-1", 9, "evil")).payload }),
      bytesOf({ ...good, signatures: other.signatures }),
      bytesOf(controller.signer.assignment(assignmentOf("m-2", 9))),
      told(3).map((byte, at) => (at === 100 ? byte ^ 1 : byte)),
      new Uint8Array(1_000_000),
    ]) {
      send(bytes);
    }
    await until(() => controller.refusal !== undefined);
    expect(taken).toEqual([]);
    send(bytesOf(good));
    await until(() => taken.length === 1);
    expect(versions()).toEqual(["1"]);
    await until(() => controller.refusal === undefined);
    await client.close();
  });

  it("cannot bring back what was, by replaying or reordering, nor after a restart of the agent", async () => {
    const { link, client, send } = await inControl();
    const [three, four, five] = [told(3), told(4), told(5)];
    send(four);
    await until(() => assignments.generation === 4);
    send(three);
    send(four);
    send(five);
    await until(() => assignments.generation === 5);
    expect(taken.map(({ generation }) => generation)).toEqual([4, 5]);

    await link.close();
    open();
    await until(() => listened === 2);
    for (const bytes of [three, four]) send(bytes);
    send(told(6));
    await until(() => assignments.generation === 6);
    expect(taken.map(({ generation }) => generation)).toEqual([6]);
    await client.close();
  });

  it("cannot push a good assignment aside with a forged one of a higher number", async () => {
    const { client, send } = await inControl();
    const forged = bytesOf(new Signer().assignment(assignmentOf("m-1", 99)));
    for (const bytes of [forged, told(3), forged]) send(bytes);
    await until(() => assignments.generation === 3);
    await client.close();
  });

  it("cannot read logs, or have them sent once more", async () => {
    let reads = 0;
    const port = await freePort();
    nats = await startTlsNats(dir, port, identity, [user.publicKey]);
    controller.welcome = { natsUrl: `tls://127.0.0.1:${port}` };
    open({ logs: { async *read() { reads += 1; yield [{ stream: "stdout", text: "hello" }]; } } });
    await until(() => listened === 1);
    const client = await inControlOf(port);
    const ask = (signer: Signer, requestId: string): void => client.publish(requestSubject("m-1"), bytesOf(signer.request("m-1", { requestId })));
    ask(new Signer(), "r-1");
    ask(controller.signer, "r-2");
    ask(controller.signer, "r-2");
    ask(controller.signer, "r-3");
    await until(() => controller.logCallsEnded === 2);
    expect(reads).toBe(2);
    expect(new Set(controller.logs.map(({ requestId }) => requestId))).toEqual(new Set(["r-2", "r-3"]));
    await client.close();
  });
});

describe("assignment keys", () => {
  it("that change are heard in the session, before they are used", async () => {
    controller.assignment = newest(1);
    open();
    await until(() => assignments.generation === 1);
    const before = controller.signer;
    controller.signer = new Signer();
    controller.sessions.at(-1)?.write({ message: { $case: "assignmentKeys", value: before.announced(controller.signer.key) } });
    controller.assignment = newest(2);
    await until(() => assignments.generation === 2);
  });

  it("that are not known are refused until the controller has said them", async () => {
    controller.assignment = newest(1);
    controller.welcome = { assignmentKeys: new Signer().announced() };
    open();
    await until(() => controller.refusal?.code === "unknown_key");
    expect(taken).toEqual([]);
    controller.sessions.at(-1)?.write({ message: { $case: "assignmentKeys", value: controller.signer.announced() } });
    await until(() => assignments.generation === 1);
  });
});

describe("logs", () => {
  const wanted = (requestId: string, follow: boolean): Uint8Array => bytesOf(controller.signer.request("m-1", { requestId, follow }));

  async function withLogs(logs: LogReader) {
    const port = await freePort();
    nats = await startTlsNats(dir, port, identity, [user.publicKey]);
    controller.welcome = { natsUrl: `tls://127.0.0.1:${port}`, heartbeatIntervalMs: 60_000 };
    open({ logs });
    await until(() => listened === 1);
    return inControlOf(port);
  }

  it("are sent when they are wanted, until they end", async () => {
    const client = await withLogs({
      async *read({ app, tailLines }) {
        yield [{ stream: "stdout", text: `${app} ${tailLines}` }];
        yield [{ stream: "stderr", text: "oops" }];
      },
    });
    client.publish(requestSubject("m-1"), wanted("r-1", false));
    await until(() => controller.logCallsEnded === 1);
    expect(controller.logs.every(({ requestId }) => requestId === "r-1")).toBe(true);
    expect(controller.logs.flatMap(({ lines }) => lines.map(({ text }) => text))).toEqual(["web 2", "oops"]);
    await client.close();
  });

  it("are followed until the reader goes away, by four readers at most", async () => {
    let reading = 0;
    const client = await withLogs({
      async *read({ signal }) {
        reading += 1;
        yield [{ stream: "stdout", text: "begin" }];
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        reading -= 1;
      },
    });
    for (const id of ["r-1", "r-2", "r-3", "r-4"]) client.publish(requestSubject("m-1"), wanted(id, true));
    await until(() => reading === 4);
    client.publish(requestSubject("m-1"), wanted("r-5", true));
    await until(() => controller.logs.some(({ requestId, error }) => requestId === "r-5" && error !== undefined));
    await links[0]?.close();
    await until(() => reading === 0);
    await client.close();
  });

  it("end when the controller ends the call", async () => {
    let isReading = false;
    controller.endsLogs = (logs) => logs.some(({ lines }) => lines.length > 0);
    const client = await withLogs({
      async *read({ signal }) {
        isReading = true;
        yield [{ stream: "stdout", text: "begin" }];
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        isReading = false;
      },
    });
    client.publish(requestSubject("m-1"), wanted("r-1", true));
    await until(() => controller.logs.some(({ lines }) => lines.length > 0) && !isReading);
    await client.close();
  });

  it("that cannot be read are answered with the reason", async () => {
    const client = await withLogs({
      // eslint-disable-next-line require-yield
      async *read() {
        throw new Error("web has no output on this machine");
      },
    });
    client.publish(requestSubject("m-1"), wanted("r-1", false));
    await until(() => controller.logs.some(({ error }) => error?.message === "web has no output on this machine"));
    await client.close();
  });
});

describe("trust roots", () => {
  function pinnedAt(version: number, refusedAt = Infinity) {
    const state = { version, taken: [] as string[] };
    const take = (envelopes: readonly string[]) => {
      for (const envelope of envelopes) {
        if (state.version + 1 >= refusedAt) return Promise.resolve({ version: state.version, refusal: `${envelope} is refused` });
        state.version += 1;
        state.taken.push(envelope);
      }
      return Promise.resolve({ version: state.version, refusal: undefined });
    };
    return { state, trustRoots: { version: () => Promise.resolve(state.version), take } };
  }

  it("that are newer than the pinned one are fetched step by step until there is none, as soon as the controller names one", async () => {
    const { state, trustRoots } = pinnedAt(1);
    controller.trustRoots.set(1, ["two", "three"]).set(3, ["four"]);
    open({ trustRoots });
    await until(() => controller.heartbeats >= 2);
    expect(controller.trustRootsAsked).toEqual([]);
    controller.trustRootVersion = 4;
    await until(() => state.version === 4);
    expect(state.taken).toEqual(["two", "three", "four"]);
    await until(() => controller.trustRootsAsked.length === 3);
  });

  it("are not asked for by a machine that has pinned none", async () => {
    controller.trustRootVersion = 4;
    open({ trustRoots: pinnedAt(0).trustRoots });
    await until(() => controller.heartbeats >= 2);
    expect(controller.trustRootsAsked).toEqual([]);
  });

  it("that are refused end the asking until the next heartbeat", async () => {
    const { state, trustRoots } = pinnedAt(1, 3);
    controller.trustRoots.set(1, ["two", "three"]).set(2, ["three"]);
    controller.trustRootVersion = 3;
    const link = open({ trustRoots });
    await until(() => controller.trustRootsAsked.length >= 2);
    expect(state.taken).toEqual(["two"]);
    await link.updateTrustRoot();
    expect(state.version).toBe(2);
  });
});
