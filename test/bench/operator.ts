/**
 * What a bench asks of a controller, as an operator of its machine.
 */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { credentials } from "@grpc/grpc-js";
import { ArtifactsServiceClient } from "@muster/proto/gen/muster/v1/artifacts.ts";
import { type Deployment, DeploymentPhase, DeploymentsServiceClient, type SubmitResponse } from "@muster/proto/gen/muster/v1/deployments.ts";
import { EventsServiceClient, type ReadEventsResponse } from "@muster/proto/gen/muster/v1/events.ts";
import { FleetServiceClient, type ListMachinesResponse, MachineState } from "@muster/proto/gen/muster/v1/fleet.ts";
import { encodeManifest, MANIFEST_FORMAT } from "@muster/proto/manifest.ts";
import type { ControllerProcess } from "../integration/controller-process.ts";

const STEP_TIMEOUT_MS = 300_000;

export class BenchOperator {
  readonly #artifacts: ArtifactsServiceClient;
  readonly #deployments: DeploymentsServiceClient;
  readonly #fleet: FleetServiceClient;
  readonly #events: EventsServiceClient;

  constructor({ operators }: ControllerProcess) {
    const channel = credentials.createInsecure();
    this.#artifacts = new ArtifactsServiceClient(operators, channel);
    this.#deployments = new DeploymentsServiceClient(operators, channel);
    this.#fleet = new FleetServiceClient(operators, channel);
    this.#events = new EventsServiceClient(operators, channel);
  }

  close(): void {
    for (const client of [this.#artifacts, this.#deployments, this.#fleet, this.#events]) client.close();
  }

  async connected(): Promise<number> {
    let connected = 0;
    for await (const { machines } of this.#fleet.listMachines({ selector: "", withoutApps: true }) as AsyncIterable<ListMachinesResponse>) {
      connected += machines.filter(({ state }) => state === MachineState.CONNECTED).length;
    }
    return connected;
  }

  /** The smallest artifact there is: a manifest of nothing. */
  async push(): Promise<string> {
    const manifest = Buffer.from(encodeManifest({ format: MANIFEST_FORMAT, packBytes: 0, entries: [] }));
    const digest = await new Promise<string>((resolve, reject) => {
      const call = this.#artifacts.pushArtifact((error, response) => (error === null ? resolve(response.digest) : reject(error)));
      call.write({ part: { $case: "manifest", value: manifest } });
      call.end();
    });
    if (digest !== createHash("sha256").update(manifest).digest("hex")) throw new Error("the controller stored another artifact");
    return digest;
  }

  /** To all machines, in one wave and at once. */
  async submit(artifact: string): Promise<Deployment> {
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
      this.#deployments.submit({ fileName: "bench.yaml", content, artifact, by: "", signed: "" }, (error, response) => (error === null ? resolve(response) : reject(error)));
    });
    if (deployment === undefined) throw new Error(faults.map((fault) => fault.message).join("; "));
    return deployment;
  }

  async hasSucceeded(id: string): Promise<boolean> {
    const phase = await new Promise<DeploymentPhase | undefined>((resolve, reject) => {
      this.#deployments.getDeployment({ id, includeTargets: false, at: 0 }, (error, response) => (error === null ? resolve(response.deployment?.phase) : reject(error)));
    });
    return phase === DeploymentPhase.SUCCEEDED;
  }

  /** How many rows of the journal are of each kind. */
  async events(): Promise<ReadonlyMap<string, number>> {
    const counts = new Map<string, number>();
    for await (const { events } of this.#events.readEvents({ fromSeq: 1, follow: false, deploymentId: "" }) as AsyncIterable<ReadEventsResponse>) {
      for (const { kind } of events) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
    return counts;
  }
}

export async function until(what: string, holds: () => boolean | Promise<boolean>, everyMs = 10): Promise<void> {
  for (const end = performance.now() + STEP_TIMEOUT_MS; !(await holds()); await sleep(everyMs)) {
    if (performance.now() > end) throw new Error(`not reached within ${STEP_TIMEOUT_MS / 1000}s: ${what}`);
  }
}
