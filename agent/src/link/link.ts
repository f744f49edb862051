/**
 * The agent's link to its controller: a session that is opened again for ever, the subscription on NATS, and asking for the newest assignment whenever
 * this machine may be behind. Nothing here touches a workload: a controller that is away is only waited for.
 */
import { isIP } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type ChannelCredentials, type ClientOptions, Metadata } from "@grpc/grpc-js";
import { AgentServiceClient, type AssignmentKeys, type Hello, type LogsWanted, type Refusal, type SyncResponse, type Welcome } from "@muster/proto/gen/muster/v1/agent.ts";
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Envelope } from "@muster/proto/gen/muster/v1/envelope.ts";
import type { Logger } from "pino";
import { cannotStore } from "../runner/fault.ts";
import type { LogReader } from "../runner/ports.ts";
import { boundedSpreadMs, returnDelayMs } from "./return.ts";
import { type LogsCall, sendLogs } from "./send-logs.ts";
import { type ReportSource, type SessionEnd, runSession } from "./session.ts";
import type { Believed } from "../trust/check-envelope.ts";
import { Subscription, type SubscriptionOptions } from "./subscription.ts";
import { TrustUpdate, type TrustRoots } from "./trust-roots.ts";

/** Who is believed; what is not is neither kept nor answered. */
export interface Trust {
  readonly refusal: Refusal | undefined;
  hearKeys(keys: AssignmentKeys): void;
  /** From bytes that came over NATS. */
  read(bytes: Uint8Array): Believed | undefined;
  readRequest(bytes: Uint8Array): LogsWanted | undefined;
  check(envelope: Envelope, source: "sync"): Believed | undefined;
  /** Throws when it can't be kept. */
  take(believed: Believed): Assignment | undefined;
}

export interface LinkOptions {
  /** `host:port`. */
  readonly controller: string;
  /** How the controller is spoken to. Asked for each session: credentials are renewed. */
  readonly connect: () => Connection;
  /** All but what changes. */
  readonly hello: Omit<Hello, "generation" | "newestPendingSeq">;
  readonly reports: ReportSource;
  readonly trust: Trust;
  readonly assignments: {
    readonly generation: number;
    /** What keeps the machine from doing what it has taken. */
    readonly refusal: Refusal | undefined;
    /** Ignores what is not newer; throws when it can't be kept. */
    offer(assignment: Assignment): void;
    /** Reports again how each app is. */
    sayAgain(): void;
    /** The controller was heard. `paceMs`: after so long at most it should have been; 0: it was away before. */
    heard(paceMs: number): void;
  };
  readonly nats: Pick<SubscriptionOptions, "credentials" | "tls">;
  readonly onWelcome: (welcome: Welcome) => void;
  readonly trustRoots: TrustRoots;
  readonly logs: LogReader;
  /** From 0 to below 1. */
  readonly fraction: () => number;
  readonly logger: Logger;
  readonly connectTimeoutMs?: number;
  readonly welcomeTimeoutMs?: number;
}

export interface Connection {
  readonly credentials: ChannelCredentials;
  readonly options: Partial<ClientOptions>;
  /** How a session with it ended; called once. */
  onEnd(end: SessionEnd): void;
  onWelcome(): void;
  /** Over so long a fleet spreads what all of it does. */
  onReturnSpread(spreadMs: number): void;
  /** They should be renewed soon. */
  onRenew(): void;
}

/**
 * From the first packet to the end of the handshake. A controller whose fleet comes back lets handshakes wait in a queue, and whoever gives up and comes again stands at its end: so this is longer than any queue takes. It is
 * bounded because a peer that accepts connections and says nothing must not hold the agent.
 */
const CONNECT_TIMEOUT_MS = 3 * 60_000;
/** From then on the agent is served, which takes a moment. */
const WELCOME_TIMEOUT_MS = 30_000;
const SYNC_TIMEOUT_MS = 10_000;
/** While another agent has the machine's session. */
const SECOND_DELAY_MS = 5_000;
/** Operators who read logs of one machine at once. */
const LOG_CALLS_MAX = 4;

const CHANNEL: Partial<ClientOptions> = {
  // Heartbeats tell sooner that the controller has gone; and one that a whole fleet comes back to answers late.
  "grpc.keepalive_time_ms": 60_000,
  "grpc.keepalive_timeout_ms": 20_000,
  "grpc.keepalive_permit_without_calls": 1,
  // An assignment of a few hundred apps.
  "grpc.max_receive_message_length": 16 * 1024 * 1024,
  "grpc.enable_channelz": 0,
  "grpc.service_config_disable_resolution": 1,
  // A connection of its own, also where many agents share one process, as in benchmarks.
  "grpc.use_local_subchannel_pool": 1,
};

/** Ends of a session that had been welcomed. */
const STOOD: readonly SessionEnd["kind"][] = ["lost", "ended", "closed"];

export class Link {
  readonly #options: LinkOptions;
  readonly #closing = new AbortController();
  readonly #subscription: Subscription;
  readonly #trustUpdate: TrustUpdate;
  /** One slot: of assignments that arrive faster than they are taken, only the newest counts, and nothing that is not believed gets there. */
  #newest: Believed | undefined;
  /** Present from an assignment that could not be kept to the next that could. */
  #untaken: Refusal | undefined;
  /** Of the session that was welcomed; `stop` aborts with it. */
  #live: (LogsCall & { readonly beat: () => void }) | undefined;
  #session = new AbortController();
  #ended: Promise<void> | undefined;
  /** How far the fleet spreads its return, as this controller said last. */
  #spreadMs = 0;
  #isSyncing = false;
  #mustSyncAgain = false;
  #logCalls = 0;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#trustUpdate = new TrustUpdate({ client: () => this.#live?.client, roots: options.trustRoots, logger: options.logger });
    this.#subscription = new Subscription({
      machineId: options.hello.machine,
      ...options.nats,
      fraction: options.fraction,
      spreadMs: () => this.#spreadMs,
      logger: options.logger,
      onAssignment: (bytes) => this.#hear(bytes),
      onRequest: (bytes) => this.#answer(bytes),
      // What was told while nobody listened: the answer says whether this machine is behind.
      onConnected: () => this.#live?.beat(),
    });
  }

  /** There are newer credentials: the session begins anew with them. */
  reconnect(): void {
    this.#session.abort();
  }

  open(): void {
    this.#ended = this.#keepSession();
  }

  /** Asks for the newest assignment, though this machine is not behind. Does nothing without a session. */
  ask(): void {
    void this.#sync();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#subscription.close();
    await this.#ended;
  }

  /** Asks for newer trust roots, while the controller can be asked. Never throws. */
  updateTrustRoot(): Promise<void> {
    return this.#trustUpdate.run();
  }

  async #keepSession(): Promise<void> {
    const { fraction } = this.#options;
    const { signal } = this.#closing;
    let failures = 0;
    while (!signal.aborted) {
      const end = await this.#openSession();
      if (signal.aborted) return;
      failures = STOOD.includes(end.kind) ? 0 : failures + 1;
      // The controller is there and has ended this session alone, or this agent has: that is no fleet's return.
      const spreadMs = end.kind === "lost" || end.kind === "never_welcomed" ? this.#spreadMs : 0;
      const delayMs = end.kind === "refused_as_second" ? SECOND_DELAY_MS : returnDelayMs({ spreadMs, failures, fraction: fraction() });
      this.#tell(end, failures, delayMs);
      await sleep(delayMs, undefined, { signal }).catch(() => {});
    }
  }

  /** Each session has a client of its own: one that is stuck in connecting is thrown away with it. */
  async #openSession(): Promise<SessionEnd> {
    const { controller, connect, hello, reports, trust, assignments, connectTimeoutMs = CONNECT_TIMEOUT_MS, welcomeTimeoutMs = WELCOME_TIMEOUT_MS } = this.#options;
    const connection = connect();
    const client = new AgentServiceClient(targetOf(controller), connection.credentials, { ...CHANNEL, ...connection.options });
    const ended = new AbortController();
    this.#session = new AbortController();
    try {
      const end = await runSession({
        client,
        hello: () => ({ ...hello, generation: assignments.generation, newestPendingSeq: reports.newestPendingSeq }),
        reports,
        heartbeat: () => ({ generation: assignments.generation, refusal: trust.refusal ?? this.#untaken ?? assignments.refusal, newestPendingSeq: reports.newestPendingSeq }),
        onKeys: (keys) => trust.hearKeys(keys),
        onWelcome: (welcome, beat) => {
          connection.onWelcome();
          this.#live = { client, stop: ended.signal, beat };
          this.#onWelcome(welcome);
        },
        onOtherPast: () => assignments.sayAgain(),
        onHeard: (paceMs) => assignments.heard(paceMs),
        onGeneration: (generation) => {
          const isBehind = generation > assignments.generation;
          // A controller that is older than what this machine has is asked once, so that what it says is refused, and that is said.
          const isOlder = generation < assignments.generation && trust.refusal === undefined;
          if (isBehind || isOlder) void this.#sync();
        },
        onRenew: () => connection.onRenew(),
        onTrustRoot: (version) => void this.#trustUpdate.offered(version),
        onReturnSpread: (heardMs) => {
          this.#spreadMs = boundedSpreadMs(heardMs);
          connection.onReturnSpread(this.#spreadMs);
        },
        connectTimeoutMs: Math.max(connectTimeoutMs, 2 * this.#spreadMs),
        welcomeTimeoutMs,
        signal: AbortSignal.any([this.#closing.signal, this.#session.signal]),
      });
      connection.onEnd(end);
      return end;
    } finally {
      this.#live = undefined;
      ended.abort();
      client.close();
    }
  }

  #onWelcome(welcome: Welcome): void {
    this.#options.logger.info({ generation: welcome.generation, acknowledgedSeq: welcome.acknowledgedSeq }, "controller connected");
    this.#options.onWelcome(welcome);
    this.#subscription.listenAt(reachable(welcome.natsUrl, this.#options.controller));
  }

  /** Asks for the newest assignment. Asked again meanwhile, it asks once more: what it has by then may be older. */
  async #sync(): Promise<void> {
    this.#mustSyncAgain = true;
    if (this.#isSyncing) return;
    this.#isSyncing = true;
    while (this.#mustSyncAgain && this.#live !== undefined) {
      this.#mustSyncAgain = false;
      try {
        const { envelope } = await callSync(this.#live.client, this.#options.hello.machine);
        const believed = envelope === undefined ? undefined : this.#options.trust.check(envelope, "sync");
        if (believed !== undefined) this.#offer(believed);
      } catch (error) {
        // The next heartbeat's answer leads here again.
        this.#options.logger.warn({ err: error }, "sync failed");
      }
    }
    this.#isSyncing = false;
  }

  #hear(bytes: Uint8Array): void {
    const believed = this.#options.trust.read(bytes);
    if (believed === undefined || believed.highest.generation <= (this.#newest?.highest.generation ?? 0)) return;
    if (this.#newest === undefined) setImmediate(() => this.#hand());
    this.#newest = believed;
  }

  #hand(): void {
    const believed = this.#newest;
    this.#newest = undefined;
    if (believed !== undefined) this.#offer(believed);
  }

  #offer(believed: Believed): void {
    const { trust, assignments, logger } = this.#options;
    try {
      const assignment = trust.take(believed);
      if (assignment !== undefined) assignments.offer(assignment);
      this.#untaken = undefined;
    } catch (error) {
      this.#untaken = cannotStore("the assignment", error);
      // Not kept, so the answer to the next heartbeat is newer still, and it is asked for again.
      logger.error({ generation: believed.highest.generation, err: error }, "assignment not written");
    }
  }

  #answer(bytes: Uint8Array): void {
    const wanted = this.#options.trust.readRequest(bytes);
    if (wanted !== undefined) void this.#sendLogs(wanted);
  }

  async #sendLogs(wanted: LogsWanted): Promise<void> {
    if (this.#live === undefined) return;
    this.#logCalls += 1;
    const refusal = this.#logCalls > LOG_CALLS_MAX ? `this machine sends logs to ${LOG_CALLS_MAX} readers already` : undefined;
    await sendLogs(this.#live, wanted, this.#options.logs, refusal);
    this.#logCalls -= 1;
  }

  /** A controller that is away for days is said once, not every few seconds. */
  #tell({ kind, detail }: SessionEnd, failures: number, delayMs: number): void {
    const { logger, controller } = this.#options;
    const fields = { controller, detail, failures, delayMs };
    if (kind === "refused_as_second") logger.error(fields, "another agent holds the session of this machine");
    else if (kind === "not_accepted" && failures === 1) logger.warn(fields, "controller does not accept this machine");
    else if (kind === "lost" || kind === "ended") logger.warn(fields, "controller lost");
    else if (failures === 1) logger.warn(fields, "controller not reached");
    else logger.debug(fields, "controller not reached");
  }
}

/** For gRPC: an address is not asked of DNS. */
function targetOf(controller: string): string {
  const host = new URL(`tcp://${controller}`).hostname.replace(/^\[|\]$/g, "");
  const version = isIP(host);
  return version === 0 ? controller : `ipv${version}:${controller}`;
}

/** A controller that listens on all its addresses can't know by which one this machine reaches it; this machine does. */
export function reachable(url: string, controller: string): string {
  const parsed = new URL(url);
  if (parsed.hostname !== "0.0.0.0" && parsed.hostname !== "[::]") return url;
  parsed.hostname = new URL(`tcp://${controller}`).hostname;
  return parsed.href.replace(/\/$/, "");
}

function callSync(client: AgentServiceClient, machine: string): Promise<SyncResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<SyncResponse>();
  const deadline = Date.now() + SYNC_TIMEOUT_MS;
  client.sync({ machine }, new Metadata(), { deadline }, (error, response) => (error === null ? resolve(response) : reject(error)));
  return promise;
}
