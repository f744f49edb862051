/**
 * A controller for tests: the real operator services over a real connection, with a memory instead of an engine.
 */
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
import { FleetServiceService, type Budget, type FleetServiceServer, type Freeze, type Machine } from "@muster/proto/gen/muster/v1/fleet.ts";
import { ForecastServiceService, PlanResponse, type ForecastServiceServer } from "@muster/proto/gen/muster/v1/forecast.ts";
import {
  DiffReleasesResponse,
  HistoryServiceService,
  WhyResponse,
  type HistoryServiceServer,
  type ReleaseRecord,
  type ReplayResponse,
  type Retention,
} from "@muster/proto/gen/muster/v1/history.ts";
import { type Secret, SecretsServiceService, type SecretsServiceServer } from "@muster/proto/gen/muster/v1/secrets.ts";
import { TrustServiceService, type TrustRoot, type TrustServiceServer } from "@muster/proto/gen/muster/v1/trust.ts";
import { createHash } from "node:crypto";
import { NOON } from "./samples.ts";
import { sayingNow } from "./saying-now.ts";

type WatchCall = ServerWritableStream<WatchDeploymentRequest, WatchDeploymentResponse>;

interface Steered {
  readonly command: string;
  readonly id: string;
  readonly reason: string;
  readonly by: string;
}

/** What all requests that steer a rollout have. */
interface SteeringRequest {
  readonly id: string;
  readonly reason: string;
  readonly by: string;
}

interface Asked {
  readonly method: string;
  readonly request: unknown;
}

export class FakeController {
  /** Its clock, where that is another than ours. */
  now: number | undefined;
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
  budgets: Budget[] = [];
  freezes: Freeze[] = [];
  plan: PlanResponse = PlanResponse.fromPartial({});
  why: WhyResponse = WhyResponse.fromPartial({});
  pictures: ReplayResponse[] = [];
  releases: ReleaseRecord[] = [];
  difference: DiffReleasesResponse = DiffReleasesResponse.fromPartial({});
  retention: Retention = { keep: 10, keepForMs: 2_592_000_000, stepsForMs: 2_592_000_000 };
  archived = { archivedSteps: 0, archivedBytes: 0, archivedSince: 0, archiveFaults: [] as string[] };
  /** By rising version. */
  trustRoots: TrustRoot[] = [];
  secrets: Secret[] = [];
  /** Releases that need every secret. */
  neededBy: string[] = [];
  /** What SetRetention removes. */
  removed: string[] = [];
  /** Called when a rollout has been steered, before the answer. */
  onSteer: () => void = () => undefined;
  /** Called with each answer of GetMachine, to change what the next one says. */
  onGetMachine: (time: number) => void = () => undefined;
  /** Answers of the next calls of a method, by its name. */
  readonly failures = new Map<string, { readonly code: status; readonly details: string }>();
  readonly steered: Steered[] = [];
  /** Every request that is answered once, in order. */
  readonly asked: Asked[] = [];
  readonly selectors: string[] = [];
  readonly pushed: { digest: string; manifest: Buffer; pack: Buffer; largestPieceBytes: number }[] = [];
  readonly readFrom: number[] = [];
  readonly #watchers = new Set<WatchCall>();
  #server: Server | undefined;
  #machineReads = 0;
  readonly #dir = mkdtempSync(join(tmpdir(), "muster-fake-"));
  /** Resolves each time that somebody begins to watch. */
  onWatch: () => void = () => undefined;

  static async start(): Promise<FakeController> {
    const controller = new FakeController();
    await controller.listen();
    return controller;
  }

  /** Of its unix socket. */
  get address(): string {
    return `unix:${join(this.#dir, "operators.sock")}`;
  }

  /** Again where it was. */
  async listen(): Promise<void> {
    mkdirSync(this.#dir, { recursive: true });
    const server = new Server({ "grpc.max_receive_message_length": 2 * 1024 * 1024, interceptors: [sayingNow(() => this.now)] });
    server.addService(DeploymentsServiceService, this.#deploymentsService());
    server.addService(FleetServiceService, this.#fleetService());
    server.addService(ArtifactsServiceService, this.#artifactsService());
    server.addService(EventsServiceService, this.#eventsService());
    server.addService(HistoryServiceService, this.#historyService());
    server.addService(ForecastServiceService, this.#forecastService());
    server.addService(SecretsServiceService, this.#secretsService());
    server.addService(TrustServiceService, this.#trustService());
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(this.address, ServerCredentials.createInsecure(), (error) => (error === null ? resolve() : reject(error)));
    });
    this.#server = server;
  }

  /** As kill -9 looks from outside. */
  async die(): Promise<void> {
    this.#watchers.clear();
    this.#server?.forceShutdown();
    rmSync(this.#dir, { recursive: true, force: true });
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
      this.asked.push({ method, request: call.request });
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
    throw notFound(`there is no deployment ${id}`);
  }

  #findMachine(id: string): Machine {
    const machine = this.machines.find((one) => one.id === id);
    if (machine !== undefined) return machine;
    throw notFound(`there is no machine ${id}`);
  }

  changeMachine(id: string, change: Partial<Machine>): void {
    this.#findMachine(id);
    this.machines = this.machines.map((one) => (one.id === id ? { ...one, ...change } : one));
  }

  #steer(command: string, phase?: DeploymentPhase) {
    return this.#unary<SteeringRequest, PauseResponse>(command, ({ id, reason, by }) => {
      this.steered.push({ command, id, reason, by });
      if (phase !== undefined) this.change({ ...this.#find(id), phase });
      this.onSteer();
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
      rollback: this.#unary("rollback", ({ id, reason, by, toVersion }) => {
        this.steered.push({ command: "rollback", id, reason, by });
        if (toVersion !== "") {
          this.deployments.unshift({ ...this.#find(id), id: "d-8", version: toVersion, phase: DeploymentPhase.PENDING });
          return { deployment: this.#find("d-8") };
        }
        this.change({ ...this.#find(id), phase: DeploymentPhase.ROLLING_BACK });
        return { deployment: this.#find(id) };
      }),
      approve: this.#steer("approve", DeploymentPhase.ROLLING),
      retry: this.#steer("retry", DeploymentPhase.ROLLING),
      promote: this.#steer("promote", DeploymentPhase.ROLLING),
      setMaxUnavailable: this.#steer("setMaxUnavailable"),
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
      // As a large fleet comes: in more messages than one.
      listMachines: (call) => {
        this.asked.push({ method: "listMachines", request: call.request });
        const failure = this.#failure("listMachines");
        if (failure !== undefined) return void call.emit("error", failure);
        this.selectors.push(call.request.selector);
        for (const machine of this.machines) call.write({ machines: [machine] });
        call.end();
      },
      getMachine: this.#unary("getMachine", ({ id }) => {
        const answer = { machine: this.#findMachine(id) };
        this.#machineReads += 1;
        this.onGetMachine(this.#machineReads);
        return answer;
      }),
      cordon: this.#unary("cordon", ({ machine, reason, by, drain }) => {
        this.changeMachine(machine, { cordon: { since: NOON, by, reason, drained: drain } });
        return { machine: this.#findMachine(machine) };
      }),
      uncordon: this.#unary("uncordon", ({ machine }) => {
        this.changeMachine(machine, { cordon: undefined });
        return { machine: this.#findMachine(machine) };
      }),
      labelMachine: this.#unary("labelMachine", ({ machine, set, remove }) => {
        const kept = Object.entries(this.#findMachine(machine).labels).filter(([key]) => !remove.includes(key));
        this.changeMachine(machine, { labels: { ...Object.fromEntries(kept), ...set } });
        return { machine: this.#findMachine(machine) };
      }),
      removeMachine: this.#unary("removeMachine", ({ machine }) => {
        this.#findMachine(machine);
        this.machines = this.machines.filter(({ id }) => id !== machine);
        return {};
      }),
      setBudget: this.#unary("setBudget", ({ selector, maxUnavailable }) => {
        const budget = { selector, maxUnavailable, machines: 3, unavailable: ["db-2"] };
        this.budgets = [...this.budgets.filter((one) => one.selector !== selector), budget];
        return { budget };
      }),
      removeBudget: this.#unary("removeBudget", ({ selector }) => {
        const left = this.budgets.filter((one) => one.selector !== selector);
        if (left.length === this.budgets.length) throw notFound(`${selector} has no budget`);
        this.budgets = left;
        return {};
      }),
      listBudgets: this.#unary("listBudgets", () => ({ budgets: this.budgets })),
      addFreeze: this.#unary("addFreeze", ({ from, until, reason, by }) => {
        const freeze = { id: `f-${this.freezes.length + 1}`, from: from === 0 ? NOON : from, until, reason, by };
        this.freezes.push(freeze);
        return { freeze };
      }),
      endFreeze: this.#unary("endFreeze", ({ id }) => {
        if (!this.freezes.some((one) => one.id === id)) throw notFound(`there is no freeze ${id}`);
        this.freezes = this.freezes.filter((one) => one.id !== id);
        return {};
      }),
      listFreezes: this.#unary("listFreezes", () => ({ freezes: this.freezes })),
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

  #historyService(): HistoryServiceServer {
    return {
      why: this.#unary("why", () => this.why),
      replay: (call) => {
        const failure = this.#failure("replay");
        if (failure !== undefined) return void call.emit("error", failure);
        for (const picture of this.pictures) call.write(picture);
        call.end();
      },
      listReleases: this.#unary("listReleases", ({ app }) => ({
        releases: this.releases.filter(({ release }) => app === "" || release?.app === app),
      })),
      diffReleases: this.#unary("diffReleases", () => this.difference),
      getRetention: this.#unary("getRetention", () => ({ retention: this.retention, ...this.archived })),
      setRetention: this.#unary("setRetention", ({ retention }) => {
        this.retention = retention ?? this.retention;
        return { retention: this.retention, removed: this.removed };
      }),
    };
  }

  #secretsService(): SecretsServiceServer {
    return {
      setSecret: this.#unary("setSecret", ({ name, value, apps, by }) => {
        const known = this.secrets.find((one) => one.name === name);
        const version = { version: (known?.versions.length ?? 0) + 1, sizeBytes: value.length, setAt: NOON, setBy: by, neededBy: [] };
        const secret = { name, apps: apps === "" ? (known?.apps ?? "*") : apps, versions: [...(known?.versions ?? []), version] };
        this.secrets = [...this.secrets.filter((one) => one !== known), secret];
        return { secret };
      }),
      listSecrets: this.#unary("listSecrets", () => ({ secrets: this.secrets })),
      removeSecret: this.#unary("removeSecret", ({ name }) => {
        if (!this.secrets.some((one) => one.name === name)) throw notFound(`there is no secret ${name}`);
        this.secrets = this.secrets.filter((one) => one.name !== name);
        return { neededBy: this.neededBy };
      }),
    };
  }

  #forecastService(): ForecastServiceServer {
    return { plan: this.#unary("plan", () => ({ ...this.plan, faults: this.faults })) };
  }

  /** Believes what it gets, as the real one does not. */
  #trustService(): TrustServiceServer {
    return {
      publishTrustRoot: this.#unary("publishTrustRoot", ({ envelope, by }) => {
        const root = { version: this.trustRoots.length + 1, envelope, publishedAt: NOON, publishedBy: by };
        this.trustRoots.push(root);
        return { root };
      }),
      listTrustRoots: this.#unary("listTrustRoots", ({ afterVersion }) => ({
        roots: this.trustRoots.slice(afterVersion),
        newestVersion: this.trustRoots.length,
      })),
    };
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

function notFound(details: string): Error {
  return Object.assign(new Error(details), { code: status.NOT_FOUND, details });
}
