/**
 * The controller's epoch: how often it was brought back from a backup. Everything issued in a later epoch is newer than everything of an earlier one, so agents that saw
 * what the lost controller issued after the backup follow the restored one.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { EPOCH_MAX } from "@muster/proto/backup-job.ts";
import { BackupError } from "./backup-error.ts";
import { isMissing } from "./contents.ts";

export const EPOCH_ENTRY = "identity/epoch";

/** 0: it never was. */
export function readEpoch(dir: string): number {
  let text: string;
  try {
    text = readFileSync(join(dir, EPOCH_ENTRY), "utf8").trim();
  } catch (cause) {
    if (isMissing(cause)) return 0;
    throw cause;
  }
  const epoch = Number(text);
  if (/^\d+$/.test(text) && epoch <= EPOCH_MAX) return epoch;
  throw new BackupError("damaged", `${join(dir, EPOCH_ENTRY)} holds no epoch: "${text.slice(0, 20)}"; write the number of restores so far into it`);
}

/** Of a controller restored from a backup of epoch `former`. */
export function nextEpoch(former: number, wanted: number | undefined): number {
  const epoch = wanted ?? former + 1;
  if (epoch > former && epoch <= EPOCH_MAX) return epoch;
  throw new BackupError("bad_epoch", `--epoch ${epoch} does not fit: the backup is of epoch ${former}, and the highest is ${EPOCH_MAX}; say a number between`);
}
