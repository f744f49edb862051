/**
 * How many machines a size means. Waves round up, so that a percentage is reached; limits round down, so that one is never passed.
 */
import type { Size } from "./strategy.ts";

/** Hundredths of a percent are whole numbers, so 30% of 10 is 3 and not the 3.0000000000000004 that rounds up to 4. */
function hundredths(percent: number): number {
  return Math.round(percent * 100);
}

export function roundedUp(size: Size, of: number): number {
  return size.kind === "count" ? size.count : Math.ceil((of * hundredths(size.percent)) / 10_000);
}

export function roundedDown(size: Size, of: number): number {
  return size.kind === "count" ? size.count : Math.floor((of * hundredths(size.percent)) / 10_000);
}

export function sizeText(size: Size): string {
  return size.kind === "count" ? String(size.count) : `${size.percent}%`;
}
