/**
 * Chunks that are on this disk already, in other releases of the app. Only says where they should be: a workload may have changed its
 * files, so whoever copies checks the bytes.
 */
import { readdir, readFile } from "node:fs/promises";
import { parseDigest } from "@muster/proto/ids.ts";
import { parseManifest } from "@muster/proto/manifest.ts";
import type { AppLayout } from "../apply/layout.ts";
import { isWhole } from "../apply/release-store.ts";
import { sha256 } from "./frame.ts";
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
    const bytes = await readFile(layout.manifestFile(digest));
    if (sha256(bytes) !== digest) continue;
    const parsed = parseManifest(bytes);
    if (!parsed.ok) continue;
    for (const { chunk, place } of chunksOf(parsed.manifest)) {
      const key = chunkKey(chunk);
      if (needs.has(key)) seeds.set(key, { root: layout.releaseDir(digest), place });
    }
  }
  return seeds;
}
