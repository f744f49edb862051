/**
 * Turns what the filesystem says into a fault that the runner understands. Every such fault is of the surroundings: worth another try.
 */
import { diskTrouble, troubleWords } from "../runner/fault.ts";
import type { Fault } from "../runner/ports.ts";

/** `doing` completes the sentence "could not …"; `where`: the folder that it was done in. What did not come from the system is a bug, and is thrown on. */
export function diskFault(error: unknown, doing: string, where: string): Fault {
  if (!(error instanceof Error && "syscall" in error)) throw error;
  const trouble = diskTrouble(error);
  if (trouble === undefined) return { code: "io_error", message: `could not ${doing}: ${error.message}`, retryable: true };
  return { code: trouble.code, message: `could not ${doing}: ${troubleWords(trouble, error, where)}; ${trouble.remedy}`, retryable: true };
}
