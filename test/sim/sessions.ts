/**
 * The sessions of agents: the real ones (controller/src/report/agent-api.ts) over simulated calls. A call here is what gRPC makes of a connection: messages in order, an end,
 * an error with a status; its caller is known, as the gate before every method would have made it known.
 */
import { EventEmitter } from "node:events";
import { Metadata, type ServerDuplexStream, status } from "@grpc/grpc-js";
import { AppPhase, type SessionRequest, type SessionResponse, type SyncResponse } from "@muster/proto/gen/muster/v1/agent.ts";
import { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { MachineId } from "@muster/proto/ids.ts";
import type { Engine } from "@muster/controller/src/engine/engine.ts";
import { rememberCaller } from "@muster/controller/src/grpc/caller.ts";
import { Epoch } from "@muster/controller/src/identity/epoch.ts";
import { type MachineJoined, type ReportAccepted } from "@muster/controller/src/journal/entry.ts";
import { JournalError } from "@muster/controller/src/journal/disk-fault.ts";
import { agentApi, type AgentApiOptions } from "@muster/controller/src/report/agent-api.ts";
import type { Timeline } from "./clock.ts";
import type { AgentEnd, ControllerSide, Turning } from "./life.ts";
import { HEARTBEAT_MS } from "./link.ts";
import type { Network, Stream } from "./network.ts";
import { plainSigner } from "./signer.ts";

interface SessionsOptions {
  readonly controller: Turning;
  readonly timeline: Timeline;
  readonly network: Network;
  /** An assignment was asked for. */
  readonly onAssignment: (assignment: Assignment) => void;
  /** Whether its credentials are good: not those of a machine that was removed. */
  readonly isAdmitted: (machine: MachineId) => boolean;
  /** As it was told them when it joined. */
  readonly labelsOf: (machine: MachineId) => Readonly<Record<string, string>>;
  /** Something arrived from the machine, and was read. */
  readonly onHeard: (machine: MachineId) => void;
}

/** So many steps of promises lie between the engine's answer and the message that says it. */
const TURNS_OF_PROMISES = 8;
const QUIET = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} } as unknown as AgentApiOptions["logger"];

class SimCall extends EventEmitter {
  readonly metadata = new Metadata();
  readonly stream: Stream;
  readonly #link: AgentEnd;
  readonly #network: Network;
  writableEnded = false;
  readonly destroyed = false;

  constructor(stream: Stream, link: AgentEnd, network: Network) {
    super();
    this.stream = stream;
    this.#link = link;
    this.#network = network;
    rememberCaller(this.metadata, { kind: "machine", machine: stream.machine, membership: 1, authority: "", expiresAt: Infinity, address: "" });
    this.on("error", ({ code }: { readonly code: status }) => this.finish(code === status.ALREADY_EXISTS));
  }

  /** The other end reads as fast as it is written. */
  write({ message }: SessionResponse): boolean {
    const { stream } = this;
    const link = this.#link;
    this.#network.send(stream, "toMachine", () => {
      if (message?.$case === "welcome") link.welcome(stream, message.value.generation, message.value.acknowledgedSeq);
      if (message?.$case === "heartbeatAck") link.heartbeatAck(stream, message.value.generation);
      if (message?.$case === "reportsAck") link.acknowledge(stream, message.value.seq);
    });
    return true;
  }

  end(): void {
    this.finish(false);
    this.emit("close");
  }

  finish(isSecond: boolean): void {
    if (this.writableEnded) return;
    this.writableEnded = true;
    this.stream.isBroken.toController = true;
    this.#network.send(this.stream, "toMachine", () => this.#link.end(this.stream, isSecond));
  }
}

export class Sessions implements ControllerSide {
  readonly #options: SessionsOptions;
  readonly #calls = new Map<Stream, SimCall>();
  #api: ReturnType<typeof agentApi>;
  /** Answers of the engine that somebody waits for. */
  #awaited: Promise<unknown>[] = [];

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#api = this.#newApi();
  }

  get isUp(): boolean {
    return this.#options.controller.isUp;
  }

  /** The controller has died: its connections end, and the next one begins with none. */
  endAll(): void {
    for (const call of this.#calls.values()) call.finish(false);
    this.#calls.clear();
    this.#api = this.#newApi();
  }

  hello(stream: Stream, link: AgentEnd, said: MachineJoined, generation: number, newestPendingSeq: number): void | Promise<void> {
    const { controller, network, isAdmitted } = this.#options;
    return controller.whenTurning(() => {
      if (!isAdmitted(stream.machine)) {
        network.send(stream, "toMachine", () => link.end(stream));
        return undefined;
      }
      const call = new SimCall(stream, link, network);
      this.#calls.set(stream, call);
      this.#api.session(call as unknown as ServerDuplexStream<SessionRequest, SessionResponse>);
      const { machine, instance: instanceId, agentVersion, hostname, os, arch } = said;
      return this.#hear(call, { $case: "hello", value: { machine, instanceId, agentVersion, hostname, os, arch, generation, newestPendingSeq } });
    });
  }

  heartbeat(stream: Stream, generation: number, newestPendingSeq: number): void | Promise<void> {
    return this.#options.controller.whenTurning(() => this.#hear(this.#calls.get(stream), { $case: "heartbeat", value: { generation, refusal: undefined, newestPendingSeq } }));
  }

  report(stream: Stream, accepted: readonly ReportAccepted[]): void | Promise<void> {
    const reports = accepted.map(({ reportSeq: seq, phase, reason, ...rest }) => ({ ...rest, seq, phase: AppPhase[phase.toUpperCase() as keyof typeof AppPhase], reason: reason ?? undefined, ports: { ...rest.ports } }));
    return this.#options.controller.whenTurning(() => this.#hear(this.#calls.get(stream), { $case: "reports", value: { reports } }));
  }

  sync(machine: MachineId, answer: (assignment: Assignment | undefined) => void): void | Promise<void> {
    const { controller, onAssignment } = this.#options;
    return controller.whenTurning(() => {
      const metadata = new Metadata();
      rememberCaller(metadata, { kind: "machine", machine, membership: 1, authority: "", expiresAt: Infinity, address: "" });
      const { promise, resolve } = Promise.withResolvers<void>();
      const answered = (error: unknown, response?: SyncResponse | null): void => {
        const envelope = error === null ? response?.envelope : undefined;
        const assignment = envelope === undefined ? undefined : Assignment.decode(envelope.payload);
        if (assignment !== undefined) onAssignment(assignment);
        answer(assignment);
        resolve();
      };
      this.#api.sync({ request: { machine }, metadata } as never, answered as never);
      return promise;
    });
  }

  ended(stream: Stream): void | Promise<void> {
    return this.#options.controller.whenTurning(() => {
      this.#calls.get(stream)?.emit("cancelled");
      this.#calls.delete(stream);
    });
  }

  /** Its credentials have been revoked. */
  cutOff(machine: MachineId): void {
    for (const call of this.#calls.values()) if (call.stream.machine === machine) call.end();
  }

  /** Resolves when what is said to it has been answered. */
  async #hear(call: SimCall | undefined, message: SessionRequest["message"]): Promise<void> {
    if (call === undefined || call.writableEnded) return;
    const { timeline, onHeard } = this.#options;
    const real = performance.now;
    performance.now = () => timeline.now;
    try {
      call.emit("data", { message });
    } finally {
      performance.now = real;
    }
    if (!call.writableEnded) onHeard(call.stream.machine);
    const awaited = this.#awaited;
    this.#awaited = [];
    await Promise.all(awaited);
    for (let turn = 0; turn < TURNS_OF_PROMISES; turn += 1) await Promise.resolve();
  }

  #newApi(): ReturnType<typeof agentApi> {
    const { controller, labelsOf } = this.#options;
    let life: number | undefined;
    const isOver = (): boolean => life !== undefined && life !== controller.life;
    const answered = <T>(question: (engine: Engine) => Promise<T>): Promise<T> => {
      life ??= controller.life;
      const awaited = controller.await(question);
      this.#awaited.push(awaited);
      return awaited.then((answer) => {
        if (answer !== undefined) return answer.value;
        // A dead controller says nothing; one that lives says that its disk fails.
        if (isOver()) return new Promise<T>(() => {});
        throw new JournalError("SQLITE_FULL", "cannot write the journal: database or disk is full", undefined);
      });
    };
    const engine: Pick<Engine, "hello" | "heartbeat" | "report" | "sessionEnded" | "assignmentFor"> = {
      hello: (said, generation, newestPending) => answered((real) => real.hello(said, generation, newestPending)),
      report: (reports) => answered((real) => real.report(reports)),
      heartbeat: (machine, generation, said) => controller.ask((real) => real.heartbeat(machine, generation, said)) ?? generation,
      sessionEnded: (machine) => void (isOver() ? undefined : controller.ask((real) => real.sessionEnded(machine))),
      assignmentFor: (machine) => controller.ask((real) => real.assignmentFor(machine)),
    };
    const options = {
      engine,
      signer: plainSigner,
      epoch: new Epoch(0),
      logger: QUIET,
      natsUrl: "",
      artifactUrl: "",
      heartbeatIntervalMs: HEARTBEAT_MS,
      labelsOf,
      shouldRenew: () => false,
      onForeign: () => {},
      returnSpreadMs: () => 0,
      trustRoots: { newestVersion: () => 0 },
    };
    return agentApi(options as unknown as AgentApiOptions);
  }
}
