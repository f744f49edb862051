/**
 * Brings a workload's output from its machine to an operator: the controller tells the agent over NATS what is wanted, and the agent answers
 * with a gRPC stream that names the request. Nothing is stored, and nobody waits for ever: an agent that does not answer ends the request.
 */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { status } from "@grpc/grpc-js";
import { durationText } from "@muster/proto/duration.ts";
import type { LogLine, LogsWanted } from "@muster/proto/gen/muster/v1/agent.ts";
import { CallError } from "../grpc/answer.ts";

/** From the request to the agent's first word. */
const ANSWER_TIMEOUT_MS = 10_000;
/** Batches waiting for a slow reader before the agent is made to wait. */
const BATCHES_MAX = 64;

export interface LogRequest {
  readonly machine: string;
  readonly app: string;
  readonly tailLines: number;
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

/** Where an agent's answer goes. */
export interface LogSink {
  /** False: wait until `drained` resolves. */
  write(lines: readonly LogLine[]): boolean;
  drained(): Promise<void>;
  fail(message: string): void;
  end(): void;
  /** Aborts when the operator has stopped reading. */
  readonly stopped: AbortSignal;
}

export class LogRelay {
  readonly #ask: (machine: string, wanted: LogsWanted) => void;
  /** By request; taken out when an agent begins to answer. */
  readonly #waiting = new Map<string, { readonly machine: string; readonly sink: LogSink; readonly onClaim: () => void }>();

  constructor(ask: (machine: string, wanted: LogsWanted) => void) {
    this.#ask = ask;
  }

  /** Throws CallError when the logs can't be had. */
  async *read({ machine, app, tailLines, follow, signal }: LogRequest): AsyncGenerator<readonly LogLine[]> {
    const requestId = randomUUID();
    const stopped = new AbortController();
    const pipe = new PassThrough({ objectMode: true, highWaterMark: BATCHES_MAX });
    const stop = (): void => {
      stopped.abort();
      pipe.end();
    };
    const timer = setTimeout(() => pipe.destroy(unavailable(`${machine} did not answer within ${durationText(ANSWER_TIMEOUT_MS)}`)), ANSWER_TIMEOUT_MS);
    signal.addEventListener("abort", stop);
    const sink: LogSink = {
      write: (lines) => pipe.write(lines),
      drained: async () => void (await Promise.race([once(pipe, "drain"), once(pipe, "close")])),
      fail: (message) => pipe.destroy(unavailable(message)),
      end: () => pipe.end(),
      stopped: stopped.signal,
    };
    this.#waiting.set(requestId, { machine, sink, onClaim: () => clearTimeout(timer) });
    try {
      this.#ask(machine, { requestId, app, tailLines, follow });
      for await (const lines of pipe) yield lines as readonly LogLine[];
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      this.#waiting.delete(requestId);
      stopped.abort();
    }
  }

  /** A machine begins to answer; undefined when nobody waits for that, or waits for it from another machine. */
  claim(machine: string, requestId: string): LogSink | undefined {
    const waiting = this.#waiting.get(requestId);
    if (waiting?.machine !== machine) return undefined;
    this.#waiting.delete(requestId);
    waiting.onClaim();
    return waiting.sink;
  }
}

function unavailable(message: string): CallError {
  return new CallError(status.FAILED_PRECONDITION, message);
}
