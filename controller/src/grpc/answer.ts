/**
 * How a call is answered and how it fails: the one table from what can go wrong to a gRPC status.
 */
import { type handleUnaryCall, type Metadata, type ServiceError, status, Metadata as GrpcMetadata } from "@grpc/grpc-js";
import type { Logger } from "pino";
import { type Caller, callerOf } from "./caller.ts";
import { ArchiveError } from "../journal/archive-error.ts";
import { type Answer, HelloOverBudget, MachineGone, type Refusal } from "../engine/refusal.ts";

/** A status with a message for people, thrown by a handler. */
export class CallError extends Error implements ServiceError {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata = new GrpcMetadata();

  constructor(code: status, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "CallError";
    this.code = code;
    this.details = message;
  }
}

export function invalid(message: string): CallError {
  return new CallError(status.INVALID_ARGUMENT, message);
}

export function missing(message: string): CallError {
  return new CallError(status.NOT_FOUND, message);
}

const REFUSAL_STATUS: Readonly<Record<Refusal["kind"], status>> = {
  not_found: status.NOT_FOUND,
  conflict: status.FAILED_PRECONDITION,
};

/** The value, or the refusal as an error. */
export function valueOf<T>(answer: Answer<T>): T {
  if (answer.ok) return answer.value;
  throw new CallError(REFUSAL_STATUS[answer.refusal.kind], answer.refusal.message);
}

export function toServiceError(error: unknown, logger: Logger): CallError {
  if (error instanceof CallError) return error;
  if (error instanceof MachineGone) return missing(error.message);
  if (error instanceof HelloOverBudget) return new CallError(status.RESOURCE_EXHAUSTED, error.message);
  // The log has it, from where it was found.
  if (error instanceof ArchiveError) return new CallError(status.DATA_LOSS, error.message, { cause: error });
  if (isPrematureEnd(error)) return new CallError(status.CANCELLED, "the caller went away, or sent what can't be read", { cause: error });
  if (isAdapterFault(error)) {
    logger.error({ err: error }, "call failed for a fault of the surroundings");
    return new CallError(status.RESOURCE_EXHAUSTED, error.message, { cause: error });
  }
  logger.error({ err: error }, "call failed unexpectedly");
  return new CallError(status.INTERNAL, "an internal fault; the controller's log has it", { cause: error });
}

/** A stream of the caller's that ended before its end, which is nobody's fault here. */
function isPrematureEnd(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ERR_STREAM_PREMATURE_CLOSE";
}

/** Each adapter has one class for the faults of its part of the world, with `code` and `retryable`; their messages are for people. */
export function isAdapterFault(error: unknown): error is Error & { readonly code: string; readonly retryable: boolean } {
  return error instanceof Error && "retryable" in error && typeof error.retryable === "boolean";
}

/** `call` is what `remark` wants. */
export function unary<Request, Response>(
  logger: Logger,
  answer: (request: Request, caller: Caller, call: { readonly metadata: Metadata }) => Response | Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    void (async () => {
      try {
        callback(null, await answer(call.request, callerOf(call), call));
      } catch (error) {
        callback(toServiceError(error, logger));
      }
    })();
  };
}
