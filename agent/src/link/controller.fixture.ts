/** For tests alone: a controller in this process, and a real nats-server. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import {
  type AgentServiceServer,
  AgentServiceService,
  type Refusal,
  type Report,
  type SendLogsRequest,
  type SessionRequest,
  type SessionResponse,
  type Welcome,
} from "@muster/proto/gen/muster/v1/agent.ts";
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { Signer } from "../trust/signer.fixture.ts";

/** On PATH. */
const NATS_SERVER = "nats-server";

export type SessionCall = ServerDuplexStream<SessionRequest, SessionResponse>;

export class FakeController {
  /** The generation of each hello. */
  readonly hellos: number[] = [];
  /** The newest report that each hello named. */
  readonly pendingSeqs: number[] = [];
  readonly reports: Report[] = [];
  readonly batches: number[][] = [];
  readonly logs: SendLogsRequest[] = [];
  readonly sessions: SessionCall[] = [];
  signer = new Signer();
  heartbeats = 0;
  /** As the newest heartbeat said. */
  refusal: Refusal | undefined;
  syncs = 0;
  assignment: Assignment | undefined;
  welcome: Partial<Welcome> = {};
  credentials = ServerCredentials.createInsecure();
  /** What follows the version that is asked about, by that version. */
  readonly trustRoots = new Map<number, readonly string[]>();
  trustRootVersion = 0;
  returnSpreadMs = 0;
  readonly trustRootsAsked: number[] = [];
  acknowledges = true;
  answersHeartbeats = true;
  /** Called in place of the usual answer to a hello. */
  onHello: ((call: SessionCall) => void) | undefined;
  /** Ends a call of sendLogs when it is true of what came so far. */
  endsLogs: (logs: readonly SendLogsRequest[]) => boolean = () => false;
  logCallsEnded = 0;
  #server: Server | undefined;
  port = 0;

  async listen(port = 0): Promise<void> {
    const implementation: AgentServiceServer = {
      session: (call) => this.#session(call),
      sync: (_call, answer) => {
        this.syncs += 1;
        answer(null, { envelope: this.assignment === undefined ? undefined : this.signer.assignment(this.assignment) });
      },
      fetchTrustRoots: ({ request: { afterVersion } }, answer) => {
        this.trustRootsAsked.push(afterVersion);
        answer(null, { envelopes: [...(this.trustRoots.get(afterVersion) ?? [])] });
      },
      sendLogs: (call, answer) => {
        let isAnswered = false;
        const end = (): void => {
          if (!isAnswered) answer(null, {});
          isAnswered = true;
        };
        call.on("data", (message: SendLogsRequest) => {
          this.logs.push(message);
          if (this.endsLogs(this.logs)) end();
        });
        call.on("end", () => {
          this.logCallsEnded += 1;
          end();
        });
      },
    };
    this.#server = new Server();
    this.#server.addService(AgentServiceService, implementation);
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#server.bindAsync(`127.0.0.1:${port}`, this.credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)));
    this.port = await promise;
  }

  close(): void {
    this.#server?.forceShutdown();
  }

  get newestSeq(): number {
    return this.reports.at(-1)?.seq ?? 0;
  }

  #session(call: SessionCall): void {
    this.sessions.push(call);
    call.on("error", () => {});
    call.on("end", () => call.end());
    call.on("data", ({ message }: SessionRequest) => {
      if (message?.$case === "hello") {
        this.hellos.push(message.value.generation);
        this.pendingSeqs.push(message.value.newestPendingSeq);
        if (this.onHello !== undefined) return this.onHello(call);
        const welcome: Welcome = {
          natsUrl: "nats://127.0.0.1:1",
          artifactUrl: "http://127.0.0.1:1/artifacts",
          heartbeatIntervalMs: 50,
          generation: this.assignment?.generation ?? 0,
          acknowledgedSeq: this.newestSeq,
          renew: false,
          externalNats: undefined,
          assignmentKeys: this.signer.announced(),
          trustRootVersion: this.trustRootVersion,
          returnSpreadMs: this.returnSpreadMs,
          ...this.welcome,
        };
        call.write({ message: { $case: "welcome", value: welcome } });
      }
      if (message?.$case === "reports") {
        this.batches.push(message.value.reports.map(({ seq }) => seq));
        if (!this.acknowledges) return;
        this.reports.push(...message.value.reports.filter(({ seq }) => seq > this.newestSeq));
        call.write({ message: { $case: "reportsAck", value: { seq: this.newestSeq } } });
      }
      if (message?.$case === "heartbeat") {
        this.heartbeats += 1;
        this.refusal = message.value.refusal;
        const generation = this.assignment?.generation ?? 0;
        const { trustRootVersion, returnSpreadMs } = this;
        if (this.answersHeartbeats) call.write({ message: { $case: "heartbeatAck", value: { generation, renew: false, trustRootVersion, returnSpreadMs } } });
      }
    });
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Resolves when it takes connections. */
export async function startNats(port: number): Promise<ChildProcess> {
  const server = spawn(NATS_SERVER, ["-a", "127.0.0.1", "-p", String(port)], { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.stderr.on("data", (data: Buffer) => {
    log += data.toString();
    if (log.includes("Server is ready")) resolve();
  });
  server.on("exit", () => reject(new Error(`nats-server ended: ${log}`)));
  await promise;
  return server;
}

export async function stopNats(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  server.kill("SIGKILL");
  await once(server, "exit");
}

/** The test runner's own time limit is the only one. */
export async function until(isMet: () => boolean): Promise<void> {
  while (!isMet()) await new Promise((resolve) => setTimeout(resolve, 5));
}
