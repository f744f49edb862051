/**
 * The agent's link to its controller: a session that is opened again for ever, the subscription on NATS, and asking for the newest assignment whenever
 * this machine may be behind. Nothing here touches a workload: a controller that is away is only waited for.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type ClientOptions, Metadata, credentials } from "@grpc/grpc-js";
import { AgentServiceClient, type Hello, type LogsWanted, type SyncResponse, type Welcome } from "@muster/proto/gen/muster/v1/agent.ts";
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Logger } from "pino";
import type { LogReader } from "../runner/ports.ts";
import { type LogsCall, sendLogs } from "./send-logs.ts";
import { type ReportSource, type SessionEnd, runSession } from "./session.ts";
import { Subscription } from "./subscription.ts";

export interface LinkOptions {
  /** `host:port`. */
  readonly controller: string;
  /** All but the generation, which changes. */
  readonly hello: Omit<Hello, "generation">;
  readonly reports: ReportSource;
  readonly assignments: {
    readonly generation: number;
    /** Ignores what is not newer; throws when it can't be kept. */
    offer(assignment: Assignment): void;
  };
  readonly onArtifactUrl: (url: string) => void;
  readonly logs: LogReader;
  /** From 0 to below 1. */
  readonly fraction: () => number;
  readonly logger: Logger;
  readonly welcomeTimeoutMs?: number;
}

const WELCOME_TIMEOUT_MS = 10_000;
const SYNC_TIMEOUT_MS = 10_000;
const BACK_OFF_MS = { first: 250, most: 5_000 };
/** Operators who read logs of one machine at once. */
const LOG_CALLS_MAX = 4;

const CHANNEL: Partial<ClientOptions> = {
  "grpc.keepalive_time_ms": 20_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.keepalive_permit_without_calls": 1,
  // An assignment of a few hundred apps.
  "grpc.max_receive_message_length": 16 * 1024 * 1024,
  "grpc.enable_channelz": 0,
  // A connection of its own, also where many agents share one process, as in benchmarks.
  "grpc.use_local_subchannel_pool": 1,
};

export class Link {
  readonly #options: LinkOptions;
  readonly #closing = new AbortController();
  readonly #subscription: Subscription;
  /** Of the session that was welcomed; `stop` aborts with it. */
  #live: LogsCall | undefined;
  #ended: Promise<void> | undefined;
  #isSyncing = false;
  #mustSyncAgain = false;
  #logCalls = 0;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#subscription = new Subscription({
      machineId: options.hello.machine,
      fraction: options.fraction,
      logger: options.logger,
      onAssignment: (assignment) => this.#offer(assignment),
      onLogsWanted: (wanted) => void this.#sendLogs(wanted),
      onConnected: () => void this.#sync(),
    });
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

  async #keepSession(): Promise<void> {
    const { fraction } = this.#options;
    const { signal } = this.#closing;
    let failures = 0;
    while (!signal.aborted) {
      const end = await this.#session();
      if (signal.aborted) return;
      failures = end.kind === "lost" ? 0 : failures + 1;
      const bound = Math.min(BACK_OFF_MS.most, BACK_OFF_MS.first * 2 ** Math.min(failures, 16));
      const delayMs = end.kind === "refused_as_second" ? BACK_OFF_MS.most : Math.round(fraction() * bound);
      this.#tell(end, failures, delayMs);
      await sleep(delayMs, undefined, { signal }).catch(() => {});
    }
  }

  /** Each session has a client of its own: one that is stuck in connecting is thrown away with it. */
  async #session(): Promise<SessionEnd> {
    const { controller, hello, reports, assignments, welcomeTimeoutMs = WELCOME_TIMEOUT_MS } = this.#options;
    const client = new AgentServiceClient(controller, credentials.createInsecure(), CHANNEL);
    const ended = new AbortController();
    try {
      return await runSession({
        client,
        hello: { ...hello, generation: assignments.generation },
        reports,
        generation: () => assignments.generation,
        onWelcome: (welcome) => this.#onWelcome(welcome, { client, stop: ended.signal }),
        onGeneration: (generation) => {
          if (generation > assignments.generation) void this.#sync();
        },
        welcomeTimeoutMs,
        signal: this.#closing.signal,
      });
    } finally {
      this.#live = undefined;
      ended.abort();
      client.close();
    }
  }

  #onWelcome(welcome: Welcome, live: LogsCall): void {
    this.#live = live;
    this.#options.logger.info({ generation: welcome.generation, acknowledgedSeq: welcome.acknowledgedSeq }, "controller connected");
    this.#options.onArtifactUrl(welcome.artifactUrl);
    this.#subscription.listenAt(welcome.natsUrl);
  }

  /** Asks for the newest assignment. Asked again meanwhile, it asks once more: what it has by then may be older. */
  async #sync(): Promise<void> {
    this.#mustSyncAgain = true;
    if (this.#isSyncing) return;
    this.#isSyncing = true;
    while (this.#mustSyncAgain && this.#live !== undefined) {
      this.#mustSyncAgain = false;
      try {
        const { assignment } = await callSync(this.#live.client, this.#options.hello.machine);
        if (assignment !== undefined) this.#offer(assignment);
      } catch (error) {
        // The next heartbeat's answer leads here again.
        this.#options.logger.warn({ err: error }, "sync failed");
      }
    }
    this.#isSyncing = false;
  }

  #offer(assignment: Assignment): void {
    try {
      this.#options.assignments.offer(assignment);
    } catch (error) {
      // Not kept, so the answer to the next heartbeat is newer still, and it is asked for again.
      this.#options.logger.error({ generation: assignment.generation, err: error }, "assignment not written");
    }
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
    else if (kind === "lost") logger.warn(fields, "controller lost");
    else if (failures === 1) logger.warn(fields, "controller not reached");
    else logger.debug(fields, "controller not reached");
  }
}

function callSync(client: AgentServiceClient, machine: string): Promise<SyncResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<SyncResponse>();
  const deadline = Date.now() + SYNC_TIMEOUT_MS;
  client.sync({ machine }, new Metadata(), { deadline }, (error, response) => (error === null ? resolve(response) : reject(error)));
  return promise;
}
