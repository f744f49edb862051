/**
 * Turns what the filesystem says into a fault that the runner understands. Every such fault is of the surroundings: worth another try.
 */
import { errorCode } from "../runner/fault.ts";
import type { Fault } from "../runner/ports.ts";

/** `doing` completes the sentence "could not …". What did not come from the system is a bug, and is thrown on. */
export function diskFault(error: unknown, doing: string): Fault {
  if (!(error instanceof Error && "syscall" in error)) throw error;
  const code = errorCode(error);
  if (code === "ENOSPC" || code === "EDQUOT") {
    return { code: "disk_full", message: `could not ${doing}: no space left on the disk`, retryable: true };
  }
  return { code: "io_error", message: `could not ${doing}: ${error.message}`, retryable: true };
}
