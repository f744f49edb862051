/** The agents' side over a real connection, to an engine without its adapters: what of the trust between the two goes over the wire. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClientDuplexStream, credentials } from "@grpc/grpc-js";
import { AgentServiceClient, AgentServiceService, AppPhase, Hello, Report, type SessionRequest, type SessionResponse, type SyncResponse } from "@muster/proto/gen/muster/v1/agent.ts";
import { SignedAssignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { generationOf } from "@muster/proto/generation.ts";
import type { DeploymentId, Instant, MachineId } from "@muster/proto/ids.ts";
import pino from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { World } from "../engine/world.fixture.ts";
import { returnSpreadMs } from "../fleet/return-spread.ts";
import type { Caller } from "../grpc/caller.ts";
import { serveOpenly } from "../grpc/open.fixture.ts";
import { AssignmentKeys } from "../identity/assignment-key.ts";
import { AssignmentSigner } from "../identity/assignment-signer.ts";
import { Epoch } from "../identity/epoch.ts";
import { TrustRoots } from "../trust/trust-roots.ts";
import { agentApi } from "./agent-api.ts";
import { LogRelay } from "./log-relay.ts";

type Said = NonNullable<SessionRequest["message"]>;

let dir: string;
let world: World;
let keys: AssignmentKeys;
let server: Awaited<ReturnType<typeof serveOpenly>>;
let client: AgentServiceClient;
let stream: ClientDuplexStream<SessionRequest, SessionResponse>;
let answers: AsyncIterator<SessionResponse>;
let id: DeploymentId;
/** Names of others that the machine has given as its own. */
let foreign: string[];
/** Of what the machine is told, in the journal. */
let generation: number;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "muster-agent-api-"));
  world = new World();
  await world.join("m-1", "m-2");
  id = world.deploy("1");
  generation = world.generation("m-1");
  foreign = [];
  const logger = pino({ level: "silent" });
  const epoch = new Epoch(1);
  keys = AssignmentKeys.open(dir, Date.now);
  const signer = new AssignmentSigner(keys, epoch, Date.now, (assignment) => assignment);
  const implementation = agentApi({
    engine: world.engine,
    logs: new LogRelay(() => undefined),
    signer,
    epoch,
    logger,
    natsUrl: "nats://x",
    artifactUrl: "http://x",
    heartbeatIntervalMs: 1000,
    returnSpreadMs: () => returnSpreadMs(world.fleet.size),
    labelsOf: () => ({ role: "web" }),
    trustRoots: new TrustRoots(world.journal.db, () => Date.now() as Instant),
    shouldRenew: () => false,
    onForeign: (_, named) => foreign.push(named),
  });
  const machine: Caller = { kind: "machine", machine: "m-1" as MachineId, membership: 1, authority: "", expiresAt: Infinity, address: "127.0.0.1:1" };
  server = await serveOpenly([{ definition: AgentServiceService, implementation }], machine);
  client = new AgentServiceClient(server.address, credentials.createInsecure());
  stream = client.session();
  stream.on("error", () => {});
  answers = stream[Symbol.asyncIterator]() as AsyncIterator<SessionResponse>;
});

afterEach(async () => {
  client.close();
  server.close();
  world.engine.stop();
  world.journal.close();
  rmSync(dir, { recursive: true });
});

async function ask(message: Said): Promise<SessionResponse["message"]> {
  stream.write({ message });
  return ((await answers.next()).value as SessionResponse).message;
}

const hello = (wire: number) => ask({ $case: "hello", value: Hello.fromPartial({ machine: "m-1", instanceId: "i-m-1", generation: wire }) });
const heartbeat = (wire: number, refusal?: { code: string; message: string }) => ask({ $case: "heartbeat", value: { generation: wire, refusal, newestPendingSeq: 0 } });
const report = (seq: number, wire: number) =>
  ask({ $case: "reports", value: { reports: [Report.fromPartial({ seq, app: "app", phase: AppPhase.HEALTHY, generation: wire, runningVersion: "1" })] } });

describe("a controller of the second epoch", () => {
  test("says its generations in that epoch, and takes what was stored in the first for nothing", async () => {
    expect(await hello(generation)).toMatchObject({ $case: "welcome", value: { generation: generationOf(1, generation) } });
    expect(world.fleet.presence("m-1" as MachineId).acknowledgedGeneration).toBe(0);
    expect(await heartbeat(generationOf(1, generation))).toEqual({ $case: "heartbeatAck", value: { generation: generationOf(1, generation), renew: false, trustRootVersion: 0, returnSpreadMs: returnSpreadMs(2) } });
    expect(world.fleet.presence("m-1" as MachineId).acknowledgedGeneration).toBe(generation);
  });

  test("counts a report about its own assignment, and not one about the same number of the first epoch, which it acknowledges", async () => {
    await hello(generation);
    expect(await report(1, generation)).toEqual({ $case: "reportsAck", value: { seq: 1 } });
    expect(world.state(id, "m-1")).toBe("updating");
    expect(await report(2, generationOf(1, generation))).toEqual({ $case: "reportsAck", value: { seq: 2 } });
    expect(world.state(id, "m-1")).toBe("healthy");
  });

  test("counts no report from an epoch that it does not know for a machine that was told nothing", async () => {
    expect(world.state(id, "m-2")).toBe("pending");
    await world.engine.report([
      { kind: "report_accepted", machine: "m-2" as MachineId, app: "app" as never, instance: "i-m-2", reportSeq: 1, observedAt: 0 as never, generation: 0, phase: "healthy", reason: null, runningVersion: "9", runningArtifact: "", starts: 1, pid: 1, ports: {} },
    ]);
    expect(world.state(id, "m-2")).toBe("pending");
  });
});

describe("what an agent believes", () => {
  test("is said in its welcome, and again when another key is announced", async () => {
    const announced = () => ({ controllerId: keys.controllerId, keys: keys.announced().map(({ keyid, publicKey }) => ({ keyid, publicKey })) });
    expect(await hello(0)).toMatchObject({ value: { assignmentKeys: announced() } });
    keys.rotate();
    expect(((await answers.next()).value as SessionResponse).message).toEqual({ $case: "assignmentKeys", value: announced() });
    expect(announced().keys).toHaveLength(2);
  });

  test("is its assignment in an envelope, signed with a key that was announced", async () => {
    const { envelope } = await new Promise<SyncResponse>((resolve, reject) => client.sync({ machine: "m-1" }, (error, answer) => (error === null ? resolve(answer) : reject(error))));
    expect(SignedAssignment.decode(envelope!.payload)).toMatchObject({ audience: { machine: "m-1", controllerId: keys.controllerId }, epoch: 1, generation: generationOf(1, generation) });
    expect(keys.announced().map(({ keyid }) => keyid)).toContain(envelope!.signatures[0]!.keyid);
  });

  test("and what it does not is known from its heartbeats, until it is no more", async () => {
    await hello(0);
    await heartbeat(0, { code: "not_fresh", message: "the assignment was signed long ago" });
    expect(world.fleet.refusal("m-1" as MachineId)).toMatchObject({ code: "not_fresh", message: "the assignment was signed long ago" });
    await heartbeat(generationOf(1, generation));
    expect(world.fleet.refusal("m-1" as MachineId)).toBeUndefined();
  });
});

describe("hostile speech", () => {
  test("puts no endless name into the log and the audit", async () => {
    const refused = await new Promise<Error | null>((resolve) => client.sync({ machine: "x".repeat(1_000_000) }, (error) => resolve(error)));
    expect([refused?.message, foreign]).toEqual([expect.stringContaining("may speak for itself alone"), [`${"x".repeat(79)}…`]]);
  });

  test("ends the session that says it, and leaves nothing of it in the journal", async () => {
    await hello(0);
    const before = world.journal.lastSeq;
    const ended = new Promise<Error>((resolve) => stream.once("error", resolve));
    stream.write({ message: { $case: "reports", value: { reports: [Report.fromPartial({ seq: 1, app: "app", phase: AppPhase.HEALTHY, generation: 0, ports: { ["x".repeat(30_000)]: 1 } })] } } });
    expect((await ended).message).toContain("INVALID_ARGUMENT: a report about app has a port");
    expect(world.journal.lastSeq).toBe(before);
  });
});
