/** The one error of `pull/`: why a try ended. Its message is shown to people, so it says what was asked of whom and what came instead. */
import type { ReasonCode } from "@muster/proto/reason.ts";

export class PullError extends Error {
  readonly code: ReasonCode;
  readonly retryable: boolean;

  constructor(code: ReasonCode, message: string, options: { readonly retryable: boolean; readonly cause?: unknown }) {
    super(message, { cause: options.cause });
    this.name = "PullError";
    this.code = code;
    this.retryable = options.retryable;
  }
}

/** The network or the server failed: the same request may do better later. */
export function unavailable(message: string, cause?: unknown): PullError {
  return new PullError("artifact_unavailable", message, { retryable: true, cause });
}

/** What came is not what the digest names, and asking again did not help. */
export function corrupt(message: string): PullError {
  return new PullError("artifact_corrupt", message, { retryable: false });
}

/** A hash as people compare it. */
export function short(hash: string): string {
  return hash.slice(0, 12);
}
