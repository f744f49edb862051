/**
 * The part of a file that a `Range` header asks for (RFC 9110 §14). Only single ranges: what is malformed, of another unit or has several
 * ranges is answered with the whole file, as the RFC allows.
 */

export type Range =
  | { readonly kind: "whole" }
  /** Both ends included. */
  | { readonly kind: "part"; readonly start: number; readonly end: number }
  | { readonly kind: "unsatisfiable" };

/** No file has more than 15 digits of bytes, and so every number here is exact. */
const SINGLE = /^bytes=(?:(?<start>\d{1,15})-(?<end>\d{1,15})?|-(?<suffix>\d{1,15}))$/i;

export function parseRange(header: string | undefined, sizeBytes: number): Range {
  const groups = header === undefined ? undefined : SINGLE.exec(header.trim())?.groups;
  if (groups === undefined) return { kind: "whole" };
  if (groups["suffix"] !== undefined) {
    const length = Number(groups["suffix"]);
    return length === 0 || sizeBytes === 0 ? { kind: "unsatisfiable" } : { kind: "part", start: Math.max(0, sizeBytes - length), end: sizeBytes - 1 };
  }
  const start = Number(groups["start"]);
  const end = groups["end"] === undefined ? Number.MAX_SAFE_INTEGER : Number(groups["end"]);
  if (start > end) return { kind: "whole" };
  return start >= sizeBytes ? { kind: "unsatisfiable" } : { kind: "part", start, end: Math.min(end, sizeBytes - 1) };
}
