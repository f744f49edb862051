/**
 * The calls that are under way, so that those of a caller who may no longer call can be ended at once: a watch may last for days.
 */
import { status } from "@grpc/grpc-js";
import type { Caller } from "./caller.ts";

interface OpenCall {
  readonly caller: Caller;
  readonly refuse: (code: status, message: string) => void;
}

export class OpenCalls {
  readonly #calls = new Set<OpenCall>();

  /** Returns what is to be called when the call is over. */
  enter(caller: Caller, refuse: OpenCall["refuse"]): () => void {
    const call = { caller, refuse };
    this.#calls.add(call);
    return () => void this.#calls.delete(call);
  }

  /** Ends the calls of those callers; returns how many there were. */
  end(isMeant: (caller: Caller) => boolean, message: string): number {
    const meant = [...this.#calls].filter(({ caller }) => isMeant(caller));
    for (const { refuse } of meant) refuse(status.UNAUTHENTICATED, message);
    return meant.length;
  }
}
