/**
 * The epoch of a controller that is restored: later than the backup's, so agents that saw what the lost controller issued after the backup follow the restored one.
 */
import { EPOCH_MAX } from "@muster/proto/generation.ts";
import { BackupError } from "./backup-error.ts";

export const EPOCH_ENTRY = "identity/epoch";

/** Of a controller restored from a backup of epoch `former`. */
export function nextEpoch(former: number, wanted: number | undefined): number {
  const epoch = wanted ?? former + 1;
  if (epoch > former && epoch <= EPOCH_MAX) return epoch;
  throw new BackupError("bad_epoch", `--epoch ${epoch} does not fit: the backup is of epoch ${former}, and the highest is ${EPOCH_MAX}; say a number between`);
}
