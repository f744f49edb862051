/**
 * A machine that leaves one fleet for another: what the former controller said must not hold up the new one, whose generations begin anew.
 */
import { rmSync } from "node:fs";
import { appsOnDisk, assignmentFile } from "../runner/on-disk.ts";
import { openTrustStore, trustDir } from "./trust-store.ts";

/** Nothing changes when it is the same controller, or none was believed before. Not ok: apps of the former fleet are here, and nothing was done. */
export function forgetOtherFleet(dir: string, controllerId: string): { readonly ok: true } | { readonly ok: false; readonly apps: readonly string[] } {
  const { keys } = openTrustStore({ dir, onDamage: () => undefined });
  if (keys === undefined || keys.controllerId === controllerId) return { ok: true };
  const apps = appsOnDisk(dir);
  if (apps.length > 0) return { ok: false, apps };
  rmSync(assignmentFile(dir), { force: true });
  rmSync(trustDir(dir), { recursive: true });
  return { ok: true };
}
