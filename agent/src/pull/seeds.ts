/**
 * Chunks that are on this disk already, in other releases of the app. Only says where they should be: a workload may have changed its
 * files, and even its manifest, so whoever copies checks the bytes.
 */
import { readdir, readFile } from "node:fs/promises";
import { parseDigest } from "@muster/proto/ids.ts";
import { parseManifest } from "@muster/proto/manifest.ts";
import type { AppLayout } from "../disk/layout.ts";
import { isWhole } from "../disk/release.ts";
import { chunkKey, chunksOf, type Need, type Place } from "./needs.ts";

export interface Seed {
  /** The release's directory. */
  readonly root: string;
  readonly place: Place;
}

/** By chunk key, for the needed chunks alone. */
export async function findSeeds(layout: AppLayout, needs: ReadonlyMap<string, Need>): Promise<Map<string, Seed>> {
  const seeds = new Map<string, Seed>();
  for (const name of await readdir(layout.releasesDir)) {
    const digest = parseDigest(name);
    if (digest === undefined || !(await isWhole(layout, digest))) continue;
    const parsed = parseManifest(await readFile(layout.manifestFile(digest)));
    if (!parsed.ok) continue;
    for (const { chunk, place } of chunksOf(parsed.manifest)) {
      const key = chunkKey(chunk);
      if (needs.has(key)) seeds.set(key, { root: layout.releaseDir(digest), place });
    }
  }
  return seeds;
}
