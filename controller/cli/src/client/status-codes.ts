/**
 * The one table from gRPC status codes to exit codes and to `error.code` of `-o json`.
 */
import { status } from "@grpc/grpc-js";
import { EXIT, type ExitCode } from "../errors.ts";

interface Ending {
  readonly exit: ExitCode;
  readonly code: string;
}

const ENDINGS: Readonly<Record<status, Ending>> = {
  [status.OK]: { exit: EXIT.done, code: "ok" },
  [status.CANCELLED]: { exit: EXIT.failed, code: "cancelled" },
  [status.UNKNOWN]: { exit: EXIT.failed, code: "unknown" },
  [status.INVALID_ARGUMENT]: { exit: EXIT.badInput, code: "bad_input" },
  [status.DEADLINE_EXCEEDED]: { exit: EXIT.unreachable, code: "unreachable" },
  [status.NOT_FOUND]: { exit: EXIT.notFound, code: "not_found" },
  [status.ALREADY_EXISTS]: { exit: EXIT.badInput, code: "already_exists" },
  [status.PERMISSION_DENIED]: { exit: EXIT.failed, code: "permission_denied" },
  [status.RESOURCE_EXHAUSTED]: { exit: EXIT.failed, code: "resource_exhausted" },
  [status.FAILED_PRECONDITION]: { exit: EXIT.badInput, code: "failed_precondition" },
  [status.ABORTED]: { exit: EXIT.failed, code: "aborted" },
  [status.OUT_OF_RANGE]: { exit: EXIT.badInput, code: "out_of_range" },
  [status.UNIMPLEMENTED]: { exit: EXIT.failed, code: "unimplemented" },
  [status.INTERNAL]: { exit: EXIT.failed, code: "internal" },
  [status.UNAVAILABLE]: { exit: EXIT.unreachable, code: "unreachable" },
  [status.DATA_LOSS]: { exit: EXIT.failed, code: "data_loss" },
  [status.UNAUTHENTICATED]: { exit: EXIT.failed, code: "unauthenticated" },
};

export function endingOf(code: status): Ending {
  return ENDINGS[code];
}
