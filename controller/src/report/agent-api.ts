/**
 * AgentService: the sessions of agents. It answers and never speaks first.
 *
 * Always holds: at most one session a machine; reports are acknowledged only when the engine has them on disk; a session that says something malformed is ended
 * with a message, and touches no other machine.
 */
import { type ServerDuplexStream, status } from "@grpc/grpc-js";
import type { AgentServiceServer, Hello, ReportBatch, SendLogsRequest, SessionRequest, SessionResponse } from "@muster/proto/gen/muster/v1/agent.ts";
import { type Generation, type MachineId, parseMachineId } from "@muster/proto/ids.ts";
import type { Logger } from "pino";
import { CallError, invalid, toServiceError, unary } from "../grpc/answer.ts";
import type { Engine } from "../engine/engine.ts";
import type { MachineJoined } from "../journal/entry.ts";
import type { TrustRoots } from "../trust/trust-roots.ts";
import type { LogRelay } from "./log-relay.ts";
import { checkHello, checkReport } from "./said.ts";

/** As the contract says: muster.v1.ReportBatch. */
const REPORTS_MAX = 256;

export interface AgentApiOptions {
  readonly engine: Engine;
  readonly logs: LogRelay;
  readonly logger: Logger;
  readonly natsUrl: () => string;
  readonly artifactUrl: string;
  readonly heartbeatIntervalMs: number;
  readonly trustRoots: TrustRoots;
}

type Call = ServerDuplexStream<SessionRequest, SessionResponse>;

interface Session {
  readonly call: Call;
  readonly machine: MachineId;
  readonly instance: string;
  /** Monotonic, for telling a living session from a forgotten one. */
  heardAt: number;
}

export function agentApi(options: AgentApiOptions): AgentServiceServer {
  const { engine, logs, logger, trustRoots } = options;
  const sessions = new Sessions(options);
  return {
    session: (call) => sessions.serve(call),

    sync: unary(logger, ({ machine }) => {
      const id = parseMachineId(machine);
      if (id === undefined) throw invalid("the machine id can't be read");
      return { assignment: engine.assignmentFor(id) };
    }),

    fetchTrustRoots: unary(logger, ({ afterVersion }) => {
      if (!(afterVersion > 0)) throw invalid("an agent that has pinned no trust root asks for none");
      return { envelopes: trustRoots.after(afterVersion).map(({ envelope }) => envelope) };
    }),

    sendLogs: (call, callback) => {
      void (async () => {
        let sink: ReturnType<LogRelay["claim"]>;
        try {
          for await (const message of call as AsyncIterable<SendLogsRequest>) {
            sink ??= logs.claim(message.requestId);
            if (sink === undefined || sink.stopped.aborted) break;
            sink.stopped.addEventListener("abort", () => call.destroy(), { once: true });
            if (message.error !== undefined) {
              sink.fail(message.error.message);
              break;
            }
            if (message.lines.length > 0 && !sink.write(message.lines)) await sink.drained();
          }
        } catch {
          // The agent has gone or the operator has: either way the answer ends here.
        }
        sink?.end();
        callback(null, {});
      })();
    },
  };
}

class Sessions {
  readonly #options: AgentApiOptions;
  readonly #live = new Map<MachineId, Session>();

  constructor(options: AgentApiOptions) {
    this.#options = options;
  }

  serve(call: Call): void {
    let session: Session | undefined;
    const end = (): void => {
      if (session !== undefined) this.#close(session);
      session = undefined;
    };
    call.on("data", (request: SessionRequest) => {
      try {
        const { message } = request;
        if (message === undefined) throw invalid("an empty message");
        if (message.$case === "hello") {
          if (session !== undefined) throw invalid("a second hello in one session");
          session = this.#open(call, message.value);
          return;
        }
        if (session === undefined) throw invalid("a session begins with hello");
        session.heardAt = performance.now();
        if (message.$case === "heartbeat") this.#heartbeat(session, message.value.generation as Generation);
        else this.#reports(session, message.value);
      } catch (error) {
        this.#refuse(call, error);
        end();
      }
    });
    call.on("end", () => {
      end();
      call.end();
    });
    call.on("cancelled", end);
    call.on("close", end);
    call.on("error", end);
  }

  #open(call: Call, hello: Hello): Session {
    const checked = checkHello(hello);
    if (!checked.ok) throw invalid(checked.message);
    const { machine, instance } = checked.value;
    const { heartbeatIntervalMs } = this.#options;
    const other = this.#live.get(machine);
    if (other !== undefined) {
      const alive = performance.now() - other.heardAt < 3 * heartbeatIntervalMs;
      if (alive && other.instance !== instance) {
        throw new CallError(status.ALREADY_EXISTS, `another agent is connected as ${machine}; give each agent an id and a directory of its own`);
      }
      other.call.end();
    }
    const session: Session = { call, machine, instance, heardAt: performance.now() };
    this.#live.set(machine, session);
    this.#welcome(session, checked.value, hello.generation as Generation).catch((error: unknown) => this.#refuse(call, error));
    return session;
  }

  async #welcome(session: Session, said: MachineJoined, stored: Generation): Promise<void> {
    const { engine, natsUrl, artifactUrl, heartbeatIntervalMs, logger, trustRoots } = this.#options;
    const { machine } = session;
    const acknowledgedSeq = await engine.hello(said, stored);
    if (this.#live.get(machine) !== session) {
      // It went while its hello was written down; whoever took its place has been heard by now.
      if (!this.#live.has(machine)) engine.sessionEnded(machine);
      return;
    }
    const generation = engine.heartbeat(machine, stored);
    const trustRootVersion = trustRoots.newestVersion();
    this.#write(session, { $case: "welcome", value: { natsUrl: natsUrl(), artifactUrl, heartbeatIntervalMs, generation, acknowledgedSeq, trustRootVersion } });
    logger.info({ machineId: machine, generation }, "agent connected");
  }

  #heartbeat(session: Session, generation: Generation): void {
    const { engine, trustRoots } = this.#options;
    const value = { generation: engine.heartbeat(session.machine, generation), trustRootVersion: trustRoots.newestVersion() };
    this.#write(session, { $case: "heartbeatAck", value });
  }

  #reports(session: Session, { reports }: ReportBatch): void {
    if (reports.length > REPORTS_MAX) throw invalid(`${reports.length} reports in one batch; at most ${REPORTS_MAX} are allowed`);
    const entries = reports.map((report) => {
      const checked = checkReport(session.machine, session.instance, report);
      if (!checked.ok) throw invalid(checked.message);
      return checked.value;
    });
    const last = entries.at(-1);
    if (last === undefined) return;
    this.#options.engine.report(entries).then(
      () => this.#write(session, { $case: "reportsAck", value: { seq: last.reportSeq } }),
      (error: unknown) => this.#refuse(session.call, error),
    );
  }

  #write({ call }: Session, message: NonNullable<SessionResponse["message"]>): void {
    if (call.writableEnded || call.destroyed) return;
    if (call.write({ message })) return;
    // An agent that does not read its answers is not read either.
    call.pause();
    call.once("drain", () => call.resume());
  }

  #refuse(call: Call, error: unknown): void {
    if (call.writableEnded || call.destroyed) return;
    const refusal = toServiceError(error, this.#options.logger);
    this.#options.logger.warn({ reason: refusal.message }, "agent session refused");
    call.emit("error", refusal);
  }

  #close(session: Session): void {
    if (this.#live.get(session.machine) !== session) return;
    this.#live.delete(session.machine);
    this.#options.engine.sessionEnded(session.machine);
    this.#options.logger.info({ machineId: session.machine }, "agent disconnected");
  }
}
