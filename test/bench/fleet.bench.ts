/**
 * How fast a whole fleet is told and answers: real controller, journal with synchronous=FULL, real nats-server, and agents in this process that speak the real
 * protocols and apply nothing. Controller and agents share the machine, so each figure includes the agents' own work.
 */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { credentials } from "@grpc/grpc-js";
import { ArtifactsServiceClient } from "@muster/proto/gen/muster/v1/artifacts.ts";
import { type Deployment, DeploymentPhase, DeploymentsServiceClient, type SubmitResponse } from "@muster/proto/gen/muster/v1/deployments.ts";
import { FleetServiceClient, type ListMachinesResponse, MachineState } from "@muster/proto/gen/muster/v1/fleet.ts";
import { encodeManifest, MANIFEST_FORMAT } from "@muster/proto/manifest.ts";
import pino from "pino";
import { BenchAgent } from "./bench-agent.ts";
import { ControllerProcess } from "../integration/controller-process.ts";
import { joinAs, makeToken } from "../integration/member.ts";

/** Enough that the first commits, caches and connections do not count for much. */
const REPORTS_PER_FLEET = 40_000;
const STEP_TIMEOUT_MS = 120_000;
const LOOP_MONITOR = new URL("loop-monitor.ts", import.meta.url).href;

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: "ms" | "µs" | "reports/s" | "events/s" | "rows/s" | "rows" | "bytes" | "MiB" | "×";
  /** Of a time: what the thread itself computed. The rest is waiting for a core or for the disk. */
  readonly cpuMs?: number;
}

export async function benchFleet(size: number): Promise<readonly Figure[]> {
  const controller = await ControllerProcess.start({ loads: [LOOP_MONITOR] });
  const told = new Set<string>();
  let acknowledged = 0;
  let lastToldAt = 0;
  const token = await makeToken(controller, { uses: size });
  controller.send("reset");
  const joinAt = performance.now();
  const identities = await eachOf(size, (index) => joinAs(controller, token, `bench-${index}`, { role: "bench" }));
  const joinMs = performance.now() - joinAt;
  const joinBlockedMs = await longestBlock(controller);
  const agents = identities.map(
    ({ machine, current }) =>
      new BenchAgent({
        id: machine,
        controller: controller.grpc,
        credentials: current,
        logger: pino({ level: "silent" }),
        onTold: (machine) => {
          told.add(machine);
          lastToldAt = performance.now();
        },
        onAcknowledged: (reports) => (acknowledged += reports),
      }),
  );
  const channel = credentials.createInsecure();
  const clients = {
    artifacts: new ArtifactsServiceClient(controller.operators, channel),
    deployments: new DeploymentsServiceClient(controller.operators, channel),
    fleet: new FleetServiceClient(controller.operators, channel),
  };
  try {
    const connectAt = performance.now();
    for (const agent of agents) agent.open();
    await until("all agents connected", async () => (await connected(clients.fleet)) === size);
    const connectMs = performance.now() - connectAt;
    // NATS subscriptions follow the welcome; what is published before them would be fetched after the next heartbeat, which is not what is measured.
    await sleep(2000);

    const artifact = await push(clients.artifacts);
    const submitAt = performance.now();
    const { id } = await submit(clients.deployments, artifact);
    await until("the deployment succeeded", async () => (await phase(clients.deployments, id)) === DeploymentPhase.SUCCEEDED);
    const healthyMs = performance.now() - submitAt;
    if (told.size !== size) throw new Error(`${told.size} of ${size} agents were told`);

    const before = acknowledged;
    const perAgent = Math.ceil(REPORTS_PER_FLEET / size);
    const reportAt = performance.now();
    for (const agent of agents) agent.report(perAgent);
    await until("all reports acknowledged", () => Promise.resolve(acknowledged - before >= perAgent * size), 5);
    const reportMs = performance.now() - reportAt;

    return [
      { name: "all machines joined", value: joinMs, unit: "ms" },
      { name: "… the controller's loop blocked, longest", value: joinBlockedMs, unit: "ms" },
      { name: "all agents connected", value: connectMs, unit: "ms" },
      { name: "submit → last machine told", value: lastToldAt - submitAt, unit: "ms" },
      { name: "submit → all healthy", value: healthyMs, unit: "ms" },
      { name: "reports acknowledged", value: (perAgent * size * 1000) / reportMs, unit: "reports/s" },
      { name: "controller RSS", value: controller.rssBytes() / 1024 / 1024, unit: "MiB" },
    ];
  } finally {
    for (const client of Object.values(clients)) client.close();
    await Promise.all(agents.map((agent) => agent.close()));
    await controller.stop();
  }
}

async function longestBlock(controller: ControllerProcess): Promise<number> {
  const answer = controller.nextMessage();
  controller.send("read");
  return ((await answer) as { readonly longestMs: number }).longestMs;
}

/** So many at once, as when a fleet is brought up. */
const JOINS_AT_ONCE = 16;

async function eachOf<T>(size: number, make: (index: number) => Promise<T>): Promise<readonly T[]> {
  const made: T[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < size; index = next++) made[index] = await make(index);
  };
  await Promise.all(Array.from({ length: JOINS_AT_ONCE }, worker));
  return made;
}

async function until(what: string, holds: () => Promise<boolean>, everyMs = 10): Promise<void> {
  for (const end = performance.now() + STEP_TIMEOUT_MS; !(await holds()); await sleep(everyMs)) {
    if (performance.now() > end) throw new Error(`not reached within ${STEP_TIMEOUT_MS / 1000}s: ${what}`);
  }
}

async function connected(client: FleetServiceClient): Promise<number> {
  const { machines } = await new Promise<ListMachinesResponse>((resolve, reject) => {
    client.listMachines({ selector: "" }, (error, response) => (error === null ? resolve(response) : reject(error)));
  });
  return machines.filter((machine) => machine.state === MachineState.CONNECTED).length;
}

/** The smallest artifact there is: a manifest of nothing. */
function push(client: ArtifactsServiceClient): Promise<string> {
  const manifest = Buffer.from(encodeManifest({ format: MANIFEST_FORMAT, packBytes: 0, entries: [] }));
  return new Promise((resolve, reject) => {
    const call = client.pushArtifact((error, response) => (error === null ? resolve(response.digest) : reject(error)));
    call.write({ part: { $case: "manifest", value: manifest } });
    call.end();
  }).then((digest) => {
    if (digest !== createHash("sha256").update(manifest).digest("hex")) throw new Error("the controller stored another artifact");
    return digest as string;
  });
}

async function submit(client: DeploymentsServiceClient, artifact: string): Promise<Deployment> {
  const content = Buffer.from(`
app: bench
version: "1"
artifact: .
run: { driver: files }
rollout:
  targets: role=bench
  waves: [100%]
  max_unavailable: 100%
  min_healthy_time: 0s
`);
  const { faults, deployment } = await new Promise<SubmitResponse>((resolve, reject) => {
    client.submit({ fileName: "bench.yaml", content, artifact, by: "", signed: "" }, (error, response) => (error === null ? resolve(response) : reject(error)));
  });
  if (deployment === undefined) throw new Error(faults.map((fault) => fault.message).join("; "));
  return deployment;
}

function phase(client: DeploymentsServiceClient, id: string): Promise<DeploymentPhase | undefined> {
  return new Promise((resolve, reject) => {
    client.getDeployment({ id, includeTargets: false, at: 0 }, (error, response) => (error === null ? resolve(response.deployment?.phase) : reject(error)));
  });
}
