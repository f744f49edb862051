/** A bug that is put into the engine or the agent. */
import type { Invariant } from "./violation.ts";

export interface Edit {
  /** From the repository's root. */
  readonly file: string;
  /** Found exactly once. */
  readonly find: string;
  readonly put: string;
}

export interface Mutation {
  /** What the bug does, in words. */
  readonly name: string;
  readonly breaks: Invariant;
  /** One of the seeds that found it when this was written: it is tried first, so that not all of them have to be. Default: none is known. */
  readonly seed?: number;
  /** Where the 200 seeds begin of which one has to find it: of a rare bug none may be among the first. Default 1. */
  readonly from?: number;
  readonly edits: readonly Edit[];
}
