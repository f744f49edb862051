/** How many machines a size of the file means, in plain arithmetic. Waves and thresholds round up, so that they are reached; limits and windows round down, so that they are never passed. */
import type { Size } from "@muster/controller/src/plan/strategy.ts";

/** Of a percentage of machines: 30% of 10 is 3, whatever a fraction in binary makes of it. */
const NOTHING = 1e-6;

export function roundedUp(size: Size, of: number): number {
  return size.kind === "count" ? size.count : Math.ceil((of * size.percent - NOTHING) / 100);
}

export function roundedDown(size: Size, of: number): number {
  return size.kind === "count" ? size.count : Math.floor((of * size.percent + NOTHING) / 100);
}
