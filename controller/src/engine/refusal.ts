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
