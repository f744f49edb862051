/**
 * Who gives an order, and why: as they say it themselves, until there are identities.
 */
import type { Order } from "../engine/operators.ts";
import { invalid } from "../grpc/answer.ts";

const REASON_CHARS_MAX = 500;
const BY_CHARS_MAX = 128;

export function orderOf(request: { readonly by: string; readonly reason: string }): Order {
  if (request.reason.length > REASON_CHARS_MAX) throw invalid(`a reason has at most ${REASON_CHARS_MAX} characters`);
  return { by: byOf(request), reason: request.reason };
}

export function byOf({ by }: { readonly by: string }): string {
  if (by.length > BY_CHARS_MAX) throw invalid(`a name has at most ${BY_CHARS_MAX} characters`);
  return by;
}
