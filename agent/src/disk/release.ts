/**
 * What makes a release on disk a whole one, and how it stops being one. Puller and release store agree on it here.
 *
 * Always holds: a directory comes to its final name by one rename, after everything in it was flushed and its manifest stood beside it; it leaves by one
 * rename, before the first of its files is deleted.
 */
import { randomBytes } from "node:crypto";
import { lstat, mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { errorCode } from "../runner/fault.ts";
import { syncDirectory } from "./durable.ts";
import type { AppLayout } from "./layout.ts";

/** Its directory stands under its final name, and its manifest beside it. */
export async function isWhole(layout: AppLayout, digest: string): Promise<boolean> {
  const [directory, manifest] = await Promise.all([kindOf(layout.releaseDir(digest)), kindOf(layout.manifestFile(digest))]);
  return directory === "directory" && manifest === "file";
}

/** Takes a directory out of `releases/` in one step; what is left of it is deleted by the next prune. */
export async function retire(layout: AppLayout, digest: string): Promise<void> {
  await mkdir(layout.stagingDir, { recursive: true });
  await rename(layout.releaseDir(digest), join(layout.stagingDir, `deleted.${digest}.${randomSuffix()}`));
  await syncDirectory(layout.releasesDir);
}

/** Keeps names apart; guards nothing. */
export function randomSuffix(): string {
  return randomBytes(6).toString("hex");
}

/** Of the path itself: a symlink is `other`. */
export async function kindOf(path: string): Promise<"absent" | "directory" | "file" | "other"> {
  try {
    const stats = await lstat(path);
    if (stats.isDirectory()) return "directory";
    return stats.isFile() ? "file" : "other";
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return "absent";
    throw error;
  }
}
