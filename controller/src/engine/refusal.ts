/**
 * What the engine says when it is asked for something that can't be: an expected outcome, mapped to a gRPC code in api/ alone.
 */
import type { MachineId } from "@muster/proto/ids.ts";

export type Refusal =
  | { readonly kind: "not_found"; readonly message: string }
  /** The request can't be carried out as things stand. */
  | { readonly kind: "conflict"; readonly message: string };

/** The machine was removed from the fleet while it spoke: nothing of what it said is kept. */
export class MachineGone extends Error {
  constructor(machine: MachineId) {
    super(`there is no machine ${machine} any more`);
    this.name = "MachineGone";
  }
}

/** An agent that says something else of itself each time it connects, as several do that share one identity, or one whose directory is lost again and again. */
export class HelloOverBudget extends Error {
  constructor(machine: MachineId) {
    super(`the agent of ${machine} began anew, or was another, more often than its budget allows; is its directory kept, and does no other agent have a copy of it? It is let in again in half a minute`);
    this.name = "HelloOverBudget";
  }
}

export type Answer<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: Refusal };

export function granted<T>(value: T): Answer<T> {
  return { ok: true, value };
}

export function notFound(message: string): { readonly ok: false; readonly refusal: Refusal } {
  return { ok: false, refusal: { kind: "not_found", message } };
}

export function conflict(message: string): { readonly ok: false; readonly refusal: Refusal } {
  return { ok: false, refusal: { kind: "conflict", message } };
}
