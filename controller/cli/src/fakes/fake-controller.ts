/**
 * A controller for tests: the real operator services over a real connection, with a memory instead of an engine.
 */
import { once } from "node:events";
import {
  Server,
  ServerCredentials,
  status,
  type sendUnaryData,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  Metadata,
} from "@grpc/grpc-js";
import type { LogLine } from "@muster/proto/gen/muster/v1/agent.ts";
import {
  ArtifactsServiceService,
  type Artifact,
  type ArtifactsServiceServer,
  type PushArtifactRequest,
  type PushArtifactResponse,
} from "@muster/proto/gen/muster/v1/artifacts.ts";
import {
  DeploymentPhase,
  DeploymentsServiceService,
  type Deployment,
  type DeploymentsServiceServer,
  type Fault,
  type PauseRequest,
  type PauseResponse,
  type WatchDeploymentRequest,
  type WatchDeploymentResponse,
} from "@muster/proto/gen/muster/v1/deployments.ts";
import {
  EventsServiceService,
  type Event,
  type EventsServiceServer,
  type ReadEventsRequest,
  type ReadEventsResponse,
} from "@muster/proto/gen/muster/v1/events.ts";
import { FleetServiceService, type FleetServiceServer, type Machine } from "@muster/proto/gen/muster/v1/fleet.ts";
import { createHash } from "node:crypto";

type WatchCall = ServerWritableStream<WatchDeploymentRequest, WatchDeploymentResponse>;

interface Steered {
  readonly command: string;
  readonly id: string;
  readonly reason: string;
}

export class FakeController {
  /** Newest first. */
  deployments: Deployment[] = [];
  machines: Machine[] = [];
  artifacts: Artifact[] = [];
  events: Event[] = [];
  logs: LogLine[] = [];
  /** What Check and Submit find wrong. */
  faults: Fault[] = [];
  artifactPath = "dist";
  notes: string[] = [];
  /** Answers of the next calls of a method, by its name. */
  readonly failures = new Map<string, { readonly code: status; readonly details: string }>();
  readonly steered: Steered[] = [];
  readonly selectors: string[] = [];
  readonly pushed: { digest: string; manifest: Buffer; pack: Buffer; largestPieceBytes: number }[] = [];
  readonly readFrom: number[] = [];
  readonly #watchers = new Set<WatchCall>();
  #server: Server | undefined;
  #port = 0;
  /** Resolves each time that somebody begins to watch. */
  onWatch: () => void = () => undefined;

  static async start(): Promise<FakeController> {
    const controller = new FakeController();
    await controller.listen();
    return controller;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Again on the port that it had. */
  async listen(): Promise<void> {
    const server = new Server({ "grpc.max_receive_message_length": 2 * 1024 * 1024 });
    server.addService(DeploymentsServiceService, this.#deploymentsService());
    server.addService(FleetServiceService, this.#fleetService());
    server.addService(ArtifactsServiceService, this.#artifactsService());
    server.addService(EventsServiceService, this.#eventsService());
    this.#port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${this.#port}`, ServerCredentials.createInsecure(), (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      });
    });
    this.#server = server;
  }

  /** As kill -9 looks from outside. */
  async die(): Promise<void> {
    this.#watchers.clear();
    this.#server?.forceShutdown();
    await new Promise(setImmediate);
  }

  /** Replaces a deployment, and tells those who watch it. */
  change(deployment: Deployment): void {
    this.deployments = this.deployments.map((one) => (one.id === deployment.id ? deployment : one));
    for (const call of this.#watchers) if (call.request.id === deployment.id) call.write({ deployment });
  }

  endWatches(): void {
    for (const call of this.#watchers) call.end();
    this.#watchers.clear();
  }

  #failure(method: string): Partial<ServiceError> | undefined {
    const failure = this.failures.get(method);
    return failure === undefined ? undefined : { ...failure, metadata: new Metadata() };
  }

  #unary<Request, Response>(method: string, answer: (request: Request) => Response) {
    return (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>): void => {
      const failure = this.#failure(method);
      if (failure !== undefined) return callback(failure);
      try {
        callback(null, answer(call.request));
      } catch (error) {
        callback(error as ServiceError);
      }
    };
  }

  #find(id: string): Deployment {
    const found = id === "" ? this.deployments[0] : this.deployments.find((one) => one.id === id);
    if (found !== undefined) return found;
    throw Object.assign(new Error(), { code: status.NOT_FOUND, details: `there is no deployment ${id}` });
  }

  #steer(command: string, phase: DeploymentPhase) {
    return this.#unary<PauseRequest, PauseResponse>(command, ({ id, reason }) => {
      this.steered.push({ command, id, reason });
      this.change({ ...this.#find(id), phase });
      return { deployment: this.#find(id) };
    });
  }

  #deploymentsService(): DeploymentsServiceServer {
    return {
      check: this.#unary("check", () => ({ faults: this.faults, app: "shop-web", version: "1.4.2", artifactPath: this.artifactPath })),
      submit: this.#unary("submit", ({ artifact }) => {
        const deployment = this.deployments[0];
        return { faults: [], deployment: deployment === undefined ? undefined : { ...deployment, artifact }, notes: this.notes };
      }),
      getDeployment: this.#unary("getDeployment", ({ id, includeTargets }) => {
        const deployment = this.#find(id);
        return { deployment: includeTargets ? deployment : { ...deployment, targets: [] } };
      }),
      listDeployments: this.#unary("listDeployments", ({ activeOnly, app }) => ({
        deployments: this.deployments.filter((one) => (!activeOnly || one.endedAt === 0) && (app === "" || one.app === app)),
      })),
      watchDeployment: (call) => this.#watch(call),
      pause: this.#steer("pause", DeploymentPhase.PAUSED),
      resume: this.#steer("resume", DeploymentPhase.ROLLING),
      abort: this.#steer("abort", DeploymentPhase.ABORTED),
      rollback: this.#steer("rollback", DeploymentPhase.ROLLING_BACK),
    };
  }

  #watch(call: WatchCall): void {
    this.#watchers.add(call);
    call.on("cancelled", () => this.#watchers.delete(call));
    call.write({ deployment: this.#find(call.request.id) });
    this.onWatch();
  }

  #fleetService(): FleetServiceServer {
    return {
      listMachines: this.#unary("listMachines", ({ selector }) => {
        this.selectors.push(selector);
        return { machines: this.machines };
      }),
      getMachine: this.#unary("getMachine", ({ id }) => {
        const machine = this.machines.find((one) => one.id === id);
        if (machine !== undefined) return { machine };
        throw Object.assign(new Error(), { code: status.NOT_FOUND, details: `there is no machine ${id}` });
      }),
      readLogs: (call) => {
        const failure = this.#failure("readLogs");
        if (failure !== undefined) return void call.emit("error", failure);
        call.write({ lines: this.logs.slice(-call.request.tailLines) });
        call.end();
      },
    };
  }

  #artifactsService(): ArtifactsServiceServer {
    return {
      hasArtifact: this.#unary("hasArtifact", ({ digest }) => ({ present: this.pushed.some((one) => one.digest === digest) })),
      pushArtifact: (call, callback) => void this.#receive(call).then((response) => callback(null, response), callback),
      listArtifacts: this.#unary("listArtifacts", () => ({ artifacts: this.artifacts })),
    };
  }

  async #receive(call: ServerReadableStream<PushArtifactRequest, PushArtifactResponse>): Promise<PushArtifactResponse> {
    const pieces = { manifest: [] as Buffer[], pack: [] as Buffer[] };
    let largestPieceBytes = 0;
    for await (const { part } of call as AsyncIterable<PushArtifactRequest>) {
      const failure = this.#failure("pushArtifact");
      if (failure !== undefined) throw failure;
      if (part === undefined) continue;
      largestPieceBytes = Math.max(largestPieceBytes, part.value.length);
      pieces[part.$case].push(part.value);
    }
    const manifest = Buffer.concat(pieces.manifest);
    const digest = createHash("sha256").update(manifest).digest("hex");
    this.pushed.push({ digest, manifest, pack: Buffer.concat(pieces.pack), largestPieceBytes });
    return { digest, created: true };
  }

  #eventsService(): EventsServiceServer {
    return {
      readEvents: (call) => void this.#readEvents(call),
    };
  }

  async #readEvents(call: ServerWritableStream<ReadEventsRequest, ReadEventsResponse>): Promise<void> {
    const { fromSeq, follow, deploymentId } = call.request;
    this.readFrom.push(fromSeq);
    for (const one of this.events) {
      if (one.seq < fromSeq || (deploymentId !== "" && one.deploymentId !== deploymentId)) continue;
      if (!call.write({ events: [one] })) await once(call, "drain");
    }
    if (!follow) call.end();
    else this.onWatch();
  }
}
