/**
 * What a restore leaves while it is at work, or when it was killed: a folder in the controller's directory. As long as it is there the directory is none that a controller
 * may start in: it would begin with new keys, or with half of the old state.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { HomeError } from "../home.ts";

export const RESTORING = ".restoring";

/** Throws HomeError. */
export function refuseHalfRestored(dir: string): void {
  if (!existsSync(join(dir, RESTORING))) return;
  throw new HomeError("unusable", `a restore into ${dir} was not finished; run the same muster restore again`, undefined);
}
