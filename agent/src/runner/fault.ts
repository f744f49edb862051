/** What an adapter throws, as a fault: anything that it did not foresee is of the surroundings, and worth another try. */
import type { Refusal } from "@muster/proto/gen/muster/v1/agent.ts";
import type { RefusalCode } from "@muster/proto/refusal.ts";
import type { Fault } from "./ports.ts";

export function faultOf(error: unknown): Fault {
  const code = errorCode(error);
  if (code === "ENOSPC" || code === "EDQUOT") return { code: "disk_full", message: "no space left on the disk", retryable: true };
  return { code: "io_error", message: error instanceof Error ? error.message : String(error), retryable: true };
}

/** For heartbeats, which need no disk: `what` cannot be written down, and what to do about it. */
export function cannotStore(what: string, error: unknown): Refusal {
  const { code, message } = faultOf(error);
  const remedy = code === "disk_full" ? "free some space there" : "see that the agent can write there";
  return refusal("cannot_store", `${what} cannot be stored in the agent's directory: ${message}; ${remedy}, and the agent goes on by itself`);
}

export function refusal(code: RefusalCode, message: string): Refusal {
  return { code, message };
}

/** `ENOENT` and the like, or undefined. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
