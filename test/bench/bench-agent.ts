/**
 * An agent that speaks the real protocols (the agent's own link: its own gRPC session and its own NATS connection) and applies nothing: whatever it is
 * told, it believes, and says at once that it is healthy: checking is the work of ten thousand machines, and would be done here by one.
 */
import type { Report } from "@muster/proto/gen/muster/v1/agent.ts";
import { AppPhase } from "@muster/proto/gen/muster/v1/agent.ts";
import { type Assignment, SignedAssignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { Envelope } from "@muster/proto/gen/muster/v1/envelope.ts";
import type { Logger } from "pino";
import { channelOf } from "@muster/agent/identity/channel.ts";
import { CONTROLLER_NAME } from "@muster/proto/identity.ts";
import type { Credentials } from "@muster/agent/identity/identity-store.ts";
import { Link, type Trust } from "@muster/agent/link.ts";

export interface BenchAgentOptions {
  readonly id: string;
  readonly controller: string;
  readonly credentials: Credentials;
  readonly logger: Logger;
  readonly onWelcome?: () => void;
  readonly onTold: (machine: string) => void;
  readonly onAcknowledged: (reports: number) => void;
}

export class BenchAgent {
  readonly #id: string;
  readonly #link: Link;
  readonly #options: BenchAgentOptions;
  readonly #stored = { generation: 0 };
  #app = "";
  #appGeneration = 0;
  #nextSeq = 1;
  #pending: Report[] = [];
  #wake: () => void = () => {};

  constructor(options: BenchAgentOptions) {
    this.#id = options.id;
    this.#options = options;
    const stored = this.#stored;
    const newestPendingSeq = (): number => this.#pending.at(-1)?.seq ?? 0;
    const { natsJwt, keys, authorities } = options.credentials;
    const natsCredentials = { jwt: natsJwt, seed: Buffer.from(keys.nats) };
    this.#link = new Link({
      controller: options.controller,
      connect: () => ({ ...channelOf(options.credentials), onWelcome: () => {}, onReturnSpread: () => {}, onRenew: () => {}, onEnd: () => {} }),
      nats: {
        credentials: () => natsCredentials,
        tls: () => ({ ca: authorities, servername: CONTROLLER_NAME }),
      },
      hello: { machine: options.id, instanceId: `bench-${options.id}`, agentVersion: "bench", hostname: "bench", os: "linux", arch: "x64" },
      reports: {
        get newestPendingSeq() {
          return newestPendingSeq();
        },
        acknowledgedSeq: 0,
        sentSeq: Number.MAX_SAFE_INTEGER,
        after: (seq, limit) => this.#pending.filter((report) => report.seq > seq).slice(0, limit),
        acknowledge: (seq) => this.#acknowledge(seq),
        onAppend: (listener) => (this.#wake = listener),
      },
      trust: CREDULOUS,
      assignments: {
        get generation() {
          return stored.generation;
        },
        refusal: undefined,
        offer: (assignment) => this.#take(assignment),
        sayAgain: () => {},
        heard: () => {},
      },
      onWelcome: () => options.onWelcome?.(),
      trustRoots: { version: () => Promise.resolve(0), take: () => Promise.resolve({ version: 0, refusal: undefined }) },
      logs: { read: () => noLogs() },
      fraction: Math.random,
      logger: options.logger,
    });
  }

  open(): void {
    this.#link.open();
  }

  close(): Promise<void> {
    return this.#link.close();
  }

  /** Says so many times that its app is healthy. */
  report(times: number): void {
    for (let count = 0; count < times; count += 1) this.#say();
    this.#wake();
  }

  #take(assignment: Assignment): void {
    if (assignment.generation <= this.#stored.generation) return;
    this.#stored.generation = assignment.generation;
    const [app] = assignment.apps;
    // One that only confirms a release raises the machine's generation alone, and is no news to report.
    if (app === undefined || app.generation <= this.#appGeneration) return;
    this.#app = app.app;
    this.#appGeneration = app.generation;
    this.#options.onTold(this.#id);
    this.report(1);
  }

  #say(): void {
    this.#pending.push({
      seq: this.#nextSeq,
      observedAt: Date.now(),
      app: this.#app,
      generation: this.#appGeneration,
      phase: AppPhase.HEALTHY,
      reason: undefined,
      runningVersion: "1",
      runningArtifact: "",
      starts: 1,
      pid: 1,
      ports: {},
    });
    this.#nextSeq += 1;
  }

  #acknowledge(seq: number): void {
    const before = this.#pending.length;
    this.#pending = this.#pending.filter((report) => report.seq > seq);
    this.#options.onAcknowledged(before - this.#pending.length);
  }
}

function taken({ payload }: Envelope): ReturnType<Trust["check"]> {
  const assignment = SignedAssignment.decode(payload).assignment!;
  return { ok: true, assignment, highest: { generation: assignment.generation, content: "" }, aheadMs: 0 };
}

const CREDULOUS: Trust = {
  refusal: undefined,
  hearKeys: () => {},
  read: (bytes) => taken(Envelope.decode(bytes)),
  readRequest: () => undefined,
  check: taken,
  take: ({ assignment }) => assignment,
};

async function* noLogs(): AsyncGenerator<never> {}
