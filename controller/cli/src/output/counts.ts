/**
 * Counts of targets where the protocol leaves them out. Not made with the generated `create`: that module loads gRPC,
 * which `muster --help` should not wait for.
 */
import type { TargetCounts } from "@muster/proto/gen/muster/v1/deployments.ts";

const NONE: TargetCounts = {
  total: 0,
  pending: 0,
  updating: 0,
  healthy: 0,
  failed: 0,
  unreachable: 0,
  reverting: 0,
  reverted: 0,
  unchanged: 0,
  skipped: 0,
  removed: 0,
};

/** Nothing said of a deployment or a wave means that all of its targets are pending. */
export function countsOf(counts: TargetCounts | undefined, size: number = 0): TargetCounts {
  return counts ?? { ...NONE, total: size, pending: size };
}
