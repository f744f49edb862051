/**
 * What a release is made of, by chunk: each different chunk once, with every place that it goes to. Pure.
 */
import type { Chunk, Manifest } from "@muster/proto/manifest.ts";

export interface Place {
  /** Of the file, relative to the release. */
  readonly path: string;
  readonly offset: number;
}

export interface Need {
  readonly chunk: Chunk;
  readonly places: readonly Place[];
}

/** The same bytes under the same name: equal for chunks that can stand in for each other, whatever their frames. */
export function chunkKey(chunk: Chunk): string {
  return `${chunk.sha256}:${chunk.sizeBytes}`;
}

export function needsOf(manifest: Manifest): ReadonlyMap<string, Need> {
  const needs = new Map<string, { chunk: Chunk; places: Place[] }>();
  for (const { chunk, place } of chunksOf(manifest)) {
    const key = chunkKey(chunk);
    const need = needs.get(key);
    if (need === undefined) needs.set(key, { chunk, places: [place] });
    else need.places.push(place);
  }
  return needs;
}

export function* chunksOf(manifest: Manifest): Generator<{ readonly chunk: Chunk; readonly place: Place }> {
  for (const entry of manifest.entries) {
    if (entry.type !== "file") continue;
    let offset = 0;
    for (const chunk of entry.chunks) {
      yield { chunk, place: { path: entry.path, offset } };
      offset += chunk.sizeBytes;
    }
  }
}

/**
 * The first path that must not be written, or undefined. `parseManifest` has refused such manifests already; writing files is where it
 * would hurt, so it is asked again here, of nothing but the paths.
 */
export function unsafePath(manifest: Manifest): string | undefined {
  const directories = new Set([""]);
  const seen = new Set<string>();
  for (const { path, type } of manifest.entries) {
    const parts = path.split("/");
    const isPlain = parts.every((part) => part !== "" && part !== "." && part !== ".." && !part.includes("\0"));
    if (!isPlain || !path.isWellFormed() || seen.has(path) || !directories.has(parts.slice(0, -1).join("/"))) return path;
    seen.add(path);
    if (type === "dir") directories.add(path);
  }
  return undefined;
}
