/**
 * AgentService: the sessions of agents. It answers and never speaks first.
 *
 * Always holds: at most one session a machine; reports are acknowledged only when the engine has them on disk; a session that says something malformed is ended
 * with a message, and touches no other machine.
 */
import { type ServerDuplexStream, status } from "@grpc/grpc-js";
import type { AgentServiceServer, ExternalNats, Heartbeat, Hello, ReportBatch, SendLogsRequest, SessionRequest, SessionResponse } from "@muster/proto/gen/muster/v1/agent.ts";
import type { MachineId } from "@muster/proto/ids.ts";
import type { Labels } from "@muster/proto/selector.ts";
import { clip } from "@muster/proto/text.ts";
import type { Logger } from "pino";
import { CallError, invalid, toServiceError, unary } from "../grpc/answer.ts";
import { callerOf, type MachineCaller, machineOf } from "../grpc/caller.ts";
import type { Engine } from "../engine/engine.ts";
import type { AssignmentSigner } from "../identity/assignment-signer.ts";
import type { Epoch } from "../identity/epoch.ts";
import type { MachineJoined } from "../journal/entry.ts";
import type { TrustRoots } from "../trust/trust-roots.ts";
import type { LogRelay } from "./log-relay.ts";
import { checkHello, checkReport, MESSAGE_UNITS_MAX, refusalOf } from "./said.ts";

/** As the contract says: muster.v1.ReportBatch. */
const REPORTS_MAX = 256;
/** Of the name that a machine gives itself and that is not its own, for the log. */
const NAMED_UNITS_MAX = 80;

export interface AgentApiOptions {
  readonly engine: Engine;
  readonly logs: LogRelay;
  readonly signer: AssignmentSigner;
  readonly epoch: Epoch;
  readonly logger: Logger;
  readonly natsUrl: string;
  /** When the server is not the controller's own. */
  readonly externalNats?: ExternalNats;
  readonly artifactUrl: string;
  readonly heartbeatIntervalMs: number;
  /** How far the fleet, as large as it is now, is to spread its return. */
  readonly returnSpreadMs: () => number;
  /** Labels are the record's, not what an agent says of itself. */
  readonly labelsOf: (machine: MachineId) => Labels;
  /** Its credentials are of an authority that will be retired. */
  readonly shouldRenew: (caller: MachineCaller) => boolean;
  /** A machine spoke of another one as itself. */
  readonly onForeign: (caller: MachineCaller, named: string) => void;
  readonly trustRoots: TrustRoots;
}

type Call = ServerDuplexStream<SessionRequest, SessionResponse>;

interface Session {
  readonly call: Call;
  readonly caller: MachineCaller;
  readonly machine: MachineId;
  readonly instance: string;
  /** Monotonic, for telling a living session from a forgotten one. */
  heardAt: number;
  /** Its newest report that is stored. */
  storedSeq: number;
}

export function agentApi(options: AgentApiOptions): AgentServiceServer {
  const { engine, logs, signer, logger, trustRoots } = options;
  const sessions = new Sessions(options);
  signer.onAnnounce(() => sessions.announce());
  return {
    session: (call) => sessions.serve(call),

    sync: unary(logger, (request, caller) => {
      const { machine } = own(options, machineOf(caller), request.machine);
      const assignment = engine.assignmentFor(machine);
      return { envelope: assignment === undefined ? undefined : signer.assignment(assignment) };
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
            sink ??= logs.claim(machineOf(callerOf(call)).machine, message.requestId);
            if (sink === undefined || sink.stopped.aborted) break;
            sink.stopped.addEventListener("abort", () => call.destroy(), { once: true });
            if (message.error !== undefined) {
              sink.fail(clip(message.error.message, MESSAGE_UNITS_MAX));
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

/** The caller, when it speaks of itself. */
function own({ onForeign }: AgentApiOptions, caller: MachineCaller, named: string): MachineCaller {
  if (caller.machine === named) return caller;
  onForeign(caller, clip(named, NAMED_UNITS_MAX));
  throw new CallError(status.PERMISSION_DENIED, `this machine is ${caller.machine} by its certificate, and may speak for itself alone`);
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
        if (message.$case === "heartbeat") this.#heartbeat(session, message.value);
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

  /** Those that connect later hear of new keys in their welcome. */
  announce(): void {
    const value = this.#options.signer.announced();
    for (const session of this.#live.values()) this.#write(session, { $case: "assignmentKeys", value });
  }

  #open(call: Call, hello: Hello): Session {
    const checked = checkHello(hello);
    if (!checked.ok) throw invalid(checked.message);
    const caller = own(this.#options, machineOf(callerOf(call)), checked.value.machine);
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
    const session: Session = { call, caller, machine, instance, heardAt: performance.now(), storedSeq: 0 };
    this.#live.set(machine, session);
    this.#welcome(session, { ...checked.value, labels: this.#options.labelsOf(machine) }, hello).catch((error: unknown) => this.#refuse(call, error));
    return session;
  }

  async #welcome(session: Session, said: MachineJoined, hello: Hello): Promise<void> {
    const { engine, signer, epoch, natsUrl, externalNats, artifactUrl, heartbeatIntervalMs, returnSpreadMs, shouldRenew, trustRoots, logger } = this.#options;
    const { machine } = session;
    const stored = epoch.fromWire(hello.generation);
    const acknowledgedSeq = await engine.hello(said, stored, hello.newestPendingSeq);
    session.storedSeq = acknowledgedSeq;
    if (this.#live.get(machine) !== session) {
      // It went while its hello was written down; whoever took its place has been heard by now.
      if (!this.#live.has(machine)) engine.sessionEnded(machine);
      return;
    }
    const generation = engine.heartbeat(machine, stored);
    const value = {
      natsUrl,
      externalNats,
      artifactUrl,
      heartbeatIntervalMs,
      generation: epoch.toWire(generation),
      acknowledgedSeq,
      assignmentKeys: signer.announced(),
      renew: shouldRenew(session.caller),
      trustRootVersion: trustRoots.newestVersion(),
      returnSpreadMs: returnSpreadMs(),
    };
    this.#write(session, { $case: "welcome", value });
    logger.info({ machineId: machine, generation }, "agent connected");
  }

  #heartbeat(session: Session, { generation, refusal, newestPendingSeq }: Heartbeat): void {
    const { engine, epoch, returnSpreadMs, shouldRenew, trustRoots } = this.#options;
    const newest = engine.heartbeat(session.machine, epoch.fromWire(generation), { refusal: refusalOf(refusal), owed: newestPendingSeq > session.storedSeq ? newestPendingSeq : 0 });
    const value = { generation: epoch.toWire(newest), renew: shouldRenew(session.caller), trustRootVersion: trustRoots.newestVersion(), returnSpreadMs: returnSpreadMs() };
    this.#write(session, { $case: "heartbeatAck", value });
  }

  #reports(session: Session, { reports }: ReportBatch): void {
    if (reports.length > REPORTS_MAX) throw invalid(`${reports.length} reports in one batch; at most ${REPORTS_MAX} are allowed`);
    const entries = reports.map((report) => {
      const checked = checkReport(session.machine, session.instance, { ...report, generation: this.#options.epoch.fromWire(report.generation) });
      if (!checked.ok) throw invalid(checked.message);
      return checked.value;
    });
    const last = entries.at(-1);
    if (last === undefined) return;
    this.#options.engine.report(entries).then(
      () => {
        session.storedSeq = Math.max(session.storedSeq, last.reportSeq);
        this.#write(session, { $case: "reportsAck", value: { seq: last.reportSeq } });
      },
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
