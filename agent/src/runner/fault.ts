/** What an adapter throws, as a fault: anything that it did not foresee is of the surroundings, and worth another try. */
import type { Refusal } from "@muster/proto/gen/muster/v1/agent.ts";
import type { RefusalCode } from "@muster/proto/refusal.ts";
import type { Fault } from "./ports.ts";

interface DiskTrouble {
  readonly code: "disk_full" | "io_error";
  readonly words: (disk: string) => string;
  readonly remedy: string;
}

/** What the system says of a disk, for people. All of it passes once somebody has seen to the disk, and says nothing of a release. */
const DISK_TROUBLES: Readonly<Record<string, DiskTrouble>> = {
  ENOSPC: { code: "disk_full", words: (disk) => `no space left on ${disk}`, remedy: "free some space there" },
  EDQUOT: { code: "disk_full", words: (disk) => `the quota of ${disk} is used up`, remedy: "free some space there, or raise the quota" },
  EROFS: { code: "io_error", words: (disk) => `${disk} is mounted read-only`, remedy: "see that the agent can write there" },
  EIO: { code: "io_error", words: (disk) => `${disk} reports an input/output error`, remedy: "see to the disk, of which the system's log says more" },
};

/** Undefined: it is not the disk that fails. */
export function diskTrouble(error: unknown): DiskTrouble | undefined {
  const code = errorCode(error);
  return code === undefined ? undefined : DISK_TROUBLES[code];
}

export function faultOf(error: unknown): Fault {
  const trouble = diskTrouble(error);
  if (trouble !== undefined) return { code: trouble.code, message: `${troubleWords(trouble, error)}; ${trouble.remedy}`, retryable: true };
  return { code: "io_error", message: error instanceof Error ? error.message : String(error), retryable: true };
}

/** `where`: for an error that names no path. */
export function troubleWords({ words }: DiskTrouble, error: unknown, where?: string): string {
  const path = pathOf(error) ?? where;
  return words(path === undefined ? "the disk" : `the disk of ${path}`);
}

/** For heartbeats, which need no disk: `what` cannot be written down, and what to do about it. */
export function cannotStore(what: string, error: unknown): Refusal {
  const trouble = diskTrouble(error);
  const why = trouble === undefined ? faultOf(error).message : troubleWords(trouble, error);
  const remedy = trouble?.remedy ?? "see that the agent can write there";
  return refusal("cannot_store", `${what} cannot be stored in the agent's directory: ${why}; ${remedy}, and the agent goes on by itself`);
}

/** To whoever started the agent. */
export function cannotStart(trouble: DiskTrouble, error: unknown): string {
  return `cannot start yet: ${troubleWords(trouble, error)}; ${trouble.remedy}, and the agent starts by itself`;
}

export function refusal(code: RefusalCode, message: string): Refusal {
  return { code, message };
}

/** `ENOENT` and the like, or undefined. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** Says which file it was about: a write to an open file does not. */
export function withPath(error: unknown, path: string): unknown {
  return error instanceof Error && pathOf(error) === undefined ? Object.assign(error, { path }) : error;
}

/** Of a link it is the link's own. */
function pathOf(error: unknown): string | undefined {
  if (error instanceof Error && "dest" in error && typeof error.dest === "string") return error.dest;
  return error instanceof Error && "path" in error && typeof error.path === "string" ? error.path : undefined;
}
