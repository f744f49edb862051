/**
 * One session with the controller, from hello to its end: reports go out and are acknowledged, heartbeats are answered.
 * Never connects again by itself, and never takes a report for delivered before it is acknowledged.
 *
 *     hello ─▶ welcome ─▶ batch ─▶ ack ─▶ batch …      beside it: heartbeat ─▶ ack, with the newest generation
 *
 * Always holds: at most one batch is under way, and nothing is written while the stream is blocked.
 */
import { connectivityState, type StatusObject, status } from "@grpc/grpc-js";
import type { AgentServiceClient, AssignmentKeys, Heartbeat, Hello, Report, SessionRequest, SessionResponse, Welcome } from "@muster/proto/gen/muster/v1/agent.ts";
import { unreachable } from "../machine/state.ts";

/** The contract's bound of one ReportBatch. */
const BATCH_REPORTS_MAX = 256;
/** Heartbeats without an answer after which the controller is taken for gone. */
const MISSED_ACKS_MAX = 3;
const HEARTBEAT_MS = { least: 50, most: 60_000 };

/** Where reports come from: the spool. */
export interface ReportSource {
  /** The highest sequence that is still to be acknowledged; 0 when there is none. */
  readonly newestPendingSeq: number;
  /** Up to which one they were acknowledged last, in this life of the agent; 0: none was. */
  readonly acknowledgedSeq: number;
  /** Up to which one the controller has this source's for certain, or may have them by this life of the agent. */
  readonly sentSeq: number;
  after(seq: number, limit: number): readonly Report[];
  acknowledge(seq: number): void;
  onAppend(listener: () => void): void;
}

export interface SessionOptions {
  readonly client: AgentServiceClient;
  /** Asked once the controller is reached, so that it is of that moment. */
  readonly hello: () => Hello;
  readonly reports: ReportSource;
  readonly heartbeat: () => Heartbeat;
  readonly onKeys: (keys: AssignmentKeys) => void;
  /** `beat`: sends a heartbeat beside those that are due; its answer says whether this machine is behind. */
  readonly onWelcome: (welcome: Welcome, beat: () => void) => void;
  /** What the controller has acknowledged is not what this agent said: how its apps are has to be said again. */
  readonly onOtherPast: () => void;
  /** The controller was heard. `paceMs`: after so long at most it should have been; 0: it was away before. */
  readonly onHeard: (paceMs: number) => void;
  /** The newest generation that the controller has for this machine, again and again. */
  readonly onGeneration: (generation: number) => void;
  /** The controller wants the credentials renewed soon. */
  readonly onRenew: () => void;
  /** The newest version of the trust root, again and again; 0: there is none. */
  readonly onTrustRoot: (version: number) => void;
  /** How far a fleet of this size spreads its return, again and again. */
  readonly onReturnSpread: (spreadMs: number) => void;
  /** From the first packet to a connection that stands. */
  readonly connectTimeoutMs: number;
  /** From there to welcome. */
  readonly welcomeTimeoutMs: number;
  readonly signal: AbortSignal;
}

export interface SessionEnd {
  /** `lost`: the connection; `ended`: the controller ended the session and the connection stands. */
  readonly kind: "closed" | "never_welcomed" | "lost" | "ended" | "refused_as_second" | "not_accepted";
  readonly detail: string;
}

export function runSession(options: SessionOptions): Promise<SessionEnd> {
  const { promise, resolve } = Promise.withResolvers<SessionEnd>();
  const { signal } = options;
  const onAbort = (): void => resolve({ kind: "closed", detail: "the agent ends" });
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  connect(options, (failure) => {
    signal.removeEventListener("abort", onAbort);
    if (signal.aborted) return;
    if (failure === undefined) new Session(options, resolve).begin();
    else resolve({ kind: "never_welcomed", detail: failure });
  });
  return promise;
}

/**
 * Makes one connection, and says once how that went. The first failure ends it: gRPC would try again by itself, soon and for ever, and when this machine comes back is not for gRPC to say. While the handshake is
 * under way it waits, however long the controller lets it wait, until `connectTimeoutMs`.
 */
function connect({ client, connectTimeoutMs }: SessionOptions, done: (failure: string | undefined) => void): void {
  const channel = client.getChannel();
  const deadline = Date.now() + connectTimeoutMs;
  const look = (late?: Error): void => {
    if (late !== undefined) return done("no connection in time");
    try {
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY) return done(undefined);
      if (state === connectivityState.TRANSIENT_FAILURE) return done("no connection");
      channel.watchConnectivityState(state, deadline, look);
    } catch {
      done("the connection was closed");
    }
  };
  setImmediate(look);
}

class Session {
  readonly #options: SessionOptions;
  readonly #resolve: (end: SessionEnd) => void;
  readonly #call: ReturnType<AgentServiceClient["session"]>;
  readonly #onAbort = (): void => this.#end("closed", "the agent ends");
  #isWelcomed = false;
  #isBlocked = false;
  #hasEnded = false;
  #sentSeq = 0;
  #acknowledgedSeq = 0;
  #missedAcks = 0;
  #heartbeatMs = 0;
  /** Heartbeats since the batch under way was sent. */
  #batchAge = 0;
  #welcomeTimer: NodeJS.Timeout | undefined;
  #heartbeatTimer: NodeJS.Timeout | undefined;

  constructor(options: SessionOptions, resolve: (end: SessionEnd) => void) {
    this.#options = options;
    this.#resolve = resolve;
    this.#call = options.client.session();
  }

  begin(): void {
    const { signal, welcomeTimeoutMs, hello } = this.#options;
    signal.addEventListener("abort", this.#onAbort, { once: true });
    this.#welcomeTimer = setTimeout(() => this.#end("never_welcomed", "no welcome in time"), welcomeTimeoutMs);
    this.#call.on("data", (response: SessionResponse) => this.#hear(response));
    this.#call.on("drain", () => {
      this.#isBlocked = false;
      this.#sendReports();
    });
    // Every end comes as a status too, and only there with its code whatever the order of the others.
    this.#call.on("error", () => {});
    this.#call.on("status", ({ code, details }: StatusObject) => {
      if (code === status.ALREADY_EXISTS) this.#end("refused_as_second", details);
      else if (code === status.UNAUTHENTICATED) this.#end("not_accepted", details);
      else if (code === status.UNAVAILABLE || code === status.INTERNAL || code === status.CANCELLED) this.#end("lost", details);
      else this.#end("ended", code === status.OK ? "the controller ended the session" : details);
    });
    this.#write({ $case: "hello", value: hello() });
  }

  #hear({ message }: SessionResponse): void {
    if (message === undefined || this.#hasEnded) return;
    switch (message.$case) {
      case "welcome":
        return this.#welcome(message.value);
      case "reportsAck":
        return this.#acknowledge(message.value.seq);
      case "heartbeatAck":
        this.#missedAcks = 0;
        this.#options.onHeard(this.#heartbeatMs);
        if (message.value.renew) this.#options.onRenew();
        this.#options.onTrustRoot(message.value.trustRootVersion);
        this.#options.onReturnSpread(message.value.returnSpreadMs);
        return this.#options.onGeneration(message.value.generation);
      case "assignmentKeys":
        return this.#options.onKeys(message.value);
      default:
        return unreachable(message);
    }
  }

  #welcome(welcome: Welcome): void {
    if (this.#isWelcomed) return;
    this.#isWelcomed = true;
    clearTimeout(this.#welcomeTimer);
    const { reports, onKeys, onWelcome, onOtherPast, onGeneration, onTrustRoot, onReturnSpread } = this.#options;
    // Another instance has spoken for this machine meanwhile, or the controller was put back to an older state; or this machine's disk was, and what it has to say is numbered as what it had said.
    const isOtherPast = welcome.acknowledgedSeq < reports.acknowledgedSeq || welcome.acknowledgedSeq > reports.sentSeq;
    this.#heartbeatMs = Math.min(HEARTBEAT_MS.most, Math.max(HEARTBEAT_MS.least, welcome.heartbeatIntervalMs));
    this.#heartbeatTimer = setInterval(() => this.#beat(), this.#heartbeatMs);
    this.#options.onHeard(0);
    // Before anything that is to be believed by them.
    if (welcome.assignmentKeys !== undefined) onKeys(welcome.assignmentKeys);
    onWelcome(welcome, () => this.#sayHeartbeat());
    if (welcome.renew) this.#options.onRenew();
    onTrustRoot(welcome.trustRootVersion);
    onReturnSpread(welcome.returnSpreadMs);
    onGeneration(welcome.generation);
    this.#sentSeq = welcome.acknowledgedSeq;
    reports.onAppend(() => this.#sendReports());
    this.#acknowledge(welcome.acknowledgedSeq);
    if (isOtherPast) onOtherPast();
  }

  #acknowledge(seq: number): void {
    this.#acknowledgedSeq = Math.max(this.#acknowledgedSeq, seq);
    this.#options.reports.acknowledge(seq);
    this.#sendReports();
  }

  #sendReports(): void {
    if (!this.#isWelcomed || this.#isBlocked || this.#hasEnded || this.#acknowledgedSeq < this.#sentSeq) return;
    const reports = this.#options.reports.after(this.#sentSeq, BATCH_REPORTS_MAX);
    const last = reports.at(-1);
    if (last === undefined) return;
    this.#sentSeq = last.seq;
    this.#batchAge = 0;
    this.#write({ $case: "reports", value: { reports: [...reports] } });
  }

  #beat(): void {
    const isBatchUnderWay = this.#acknowledgedSeq < this.#sentSeq;
    this.#batchAge = isBatchUnderWay ? this.#batchAge + 1 : 0;
    if (this.#missedAcks >= MISSED_ACKS_MAX) return this.#end("lost", "heartbeats are not answered");
    if (this.#batchAge > MISSED_ACKS_MAX) return this.#end("lost", "reports are not acknowledged");
    this.#missedAcks += 1;
    this.#sayHeartbeat();
  }

  #sayHeartbeat(): void {
    if (!this.#isBlocked && !this.#hasEnded) this.#write({ $case: "heartbeat", value: this.#options.heartbeat() });
  }

  #write(message: SessionRequest["message"]): void {
    this.#isBlocked = !this.#call.write({ message });
  }

  #end(kind: SessionEnd["kind"], detail: string): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clearTimeout(this.#welcomeTimer);
    clearInterval(this.#heartbeatTimer);
    this.#options.reports.onAppend(() => {});
    this.#options.signal.removeEventListener("abort", this.#onAbort);
    this.#call.cancel();
    this.#resolve({ kind: (kind === "lost" || kind === "ended") && !this.#isWelcomed ? "never_welcomed" : kind, detail });
  }
}
