/**
 * Who gives an order, and why. Users are who the gate found them to be, whatever they say; those on the controller's own machine are believed.
 */
import type { Order } from "../engine/operators.ts";
import { invalid } from "../grpc/answer.ts";
import type { Caller } from "../grpc/caller.ts";

const REASON_CHARS_MAX = 500;
const BY_CHARS_MAX = 128;

export function orderOf(request: { readonly by: string; readonly reason: string }, caller: Caller): Order {
  if (request.reason.length > REASON_CHARS_MAX) throw invalid(`a reason has at most ${REASON_CHARS_MAX} characters`);
  return { by: byOf(request, caller), reason: request.reason };
}

export function byOf({ by }: { readonly by: string }, caller: Caller): string {
  if (caller.kind === "operator") return caller.name;
  if (by.length > BY_CHARS_MAX) throw invalid(`a name has at most ${BY_CHARS_MAX} characters`);
  return by;
}
