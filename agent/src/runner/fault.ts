/** What an adapter throws, as a fault: anything that it did not foresee is of the surroundings, and worth another try. */
import type { Fault } from "./ports.ts";

export function faultOf(error: unknown): Fault {
  const code = errorCode(error);
  if (code === "ENOSPC" || code === "EDQUOT") return { code: "disk_full", message: "no space left on the disk", retryable: true };
  return { code: "io_error", message: error instanceof Error ? error.message : String(error), retryable: true };
}

/** `ENOENT` and the like, or undefined. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
