/** For tests alone: a disk that takes no writes for a while, from a given write on. */
import { diskFault } from "../disk/disk-fault.ts";
import type { Outcome } from "./ports.ts";

export const WRITES = ["record", "spool", "pull", "secrets", "link", "launch", "delete"] as const;
export type Write = (typeof WRITES)[number];

export interface Failure {
  /** The first write that fails, counted from 1 of those of these kinds. */
  readonly from: number;
  readonly kinds: readonly Write[];
  /** From that write on. */
  readonly forMs: number;
  readonly code: "ENOSPC" | "EDQUOT" | "EIO" | "EROFS";
}

export class FailingDisk {
  readonly #now: () => number;
  #failure: Failure | undefined;
  #count = 0;
  #since: number | undefined;
  /** Writes that were refused. */
  refused = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  fail(failure: Failure): void {
    this.#failure = failure;
    this.#count = 0;
    this.#since = undefined;
    this.refused = 0;
  }

  /** Whether the first of its writes has come. */
  get hasFailed(): boolean {
    return this.#since !== undefined;
  }

  get isFailing(): boolean {
    return this.#failure !== undefined && this.#since !== undefined && this.#now() < this.#since + this.#failure.forMs;
  }

  /** Throws as the system does. */
  write(kind: Write): void {
    const failure = this.#failure;
    if (failure === undefined || !failure.kinds.includes(kind)) return;
    this.#count += 1;
    if (this.#count >= failure.from) this.#since ??= this.#now();
    if (!this.isFailing) return;
    this.refused += 1;
    throw Object.assign(new Error(`${failure.code}: refused by the test, write`), { code: failure.code, errno: -1, syscall: "write" });
  }

  outcome<T>(kind: Write, effect: () => T): Outcome<T> {
    try {
      this.write(kind);
    } catch (error) {
      return { ok: false, fault: diskFault(error, kind, "/srv/agent") };
    }
    return { ok: true, value: effect() };
  }
}
