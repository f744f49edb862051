/**
 * What differs between the files of two artifacts, by their manifests. A symlink counts as the bytes of its target; a directory is only spoken of when it is empty, or
 * has another mode.
 */
import type { FileDifference } from "@muster/proto/gen/muster/v1/history.ts";
import type { Manifest, ManifestEntry } from "@muster/proto/manifest.ts";

/** Bounds the answer: about a megabyte. */
const DIFFERENCES_MAX = 10_000;

export interface FileDifferences {
  readonly files: FileDifference[];
  readonly unchanged: number;
  /** More than can be listed; 0: none. */
  readonly left: number;
}

export function differingFiles(before: Manifest, after: Manifest, most = DIFFERENCES_MAX): FileDifferences {
  const from = byPath(before);
  const to = byPath(after);
  const paths = [...new Set([...from.keys(), ...to.keys()])].sort();
  const files: FileDifference[] = [];
  let unchanged = 0;
  let left = 0;
  for (const path of paths) {
    const difference = differenceOf(path, from.get(path), to.get(path));
    if (difference === undefined) unchanged += isFile(from.get(path)) && isFile(to.get(path)) ? 1 : 0;
    else if (files.length < most) files.push(difference);
    else left += 1;
  }
  return { files, unchanged, left };
}

/** Directories with something in them are there because of that. */
function byPath({ entries }: Manifest): ReadonlyMap<string, ManifestEntry> {
  const parents = new Set(entries.map(({ path }) => path.slice(0, path.lastIndexOf("/"))));
  return new Map(entries.map((entry) => [entry.type === "dir" && !parents.has(entry.path) ? `${entry.path}/` : entry.path, entry]));
}

function differenceOf(path: string, before: ManifestEntry | undefined, after: ManifestEntry | undefined): FileDifference | undefined {
  const isFilled = (entry: ManifestEntry | undefined) => isDirectory(entry) && !path.endsWith("/");
  if (isFilled(before) && isFilled(after)) return sameMode(before, after) ? undefined : { path: `${path}/`, beforeBytes: 0, afterBytes: 0, modeOnly: true };
  const from = isFilled(before) ? undefined : before;
  const to = isFilled(after) ? undefined : after;
  if (from === undefined && to === undefined) return undefined;
  const isSame = from !== undefined && to !== undefined && contentOf(from) === contentOf(to);
  if (isSame && sameMode(from, to)) return undefined;
  return {
    path,
    ...(from === undefined ? {} : { beforeBytes: bytesOf(from) }),
    ...(to === undefined ? {} : { afterBytes: bytesOf(to) }),
    modeOnly: isSame,
  };
}

function isFile(entry: ManifestEntry | undefined): boolean {
  return entry !== undefined && entry.type !== "dir";
}

function isDirectory(entry: ManifestEntry | undefined): boolean {
  return entry?.type === "dir";
}

function contentOf(entry: ManifestEntry): string {
  switch (entry.type) {
    case "file":
      return `file ${entry.sha256}`;
    case "dir":
      return "dir";
    case "symlink":
      return `symlink ${entry.target}`;
  }
}

function bytesOf(entry: ManifestEntry): number {
  switch (entry.type) {
    case "file":
      return entry.sizeBytes;
    case "dir":
      return 0;
    case "symlink":
      return new TextEncoder().encode(entry.target).length;
  }
}

function sameMode(a: ManifestEntry | undefined, b: ManifestEntry | undefined): boolean {
  return modeOf(a) === modeOf(b);
}

function modeOf(entry: ManifestEntry | undefined): number | undefined {
  return entry === undefined || entry.type === "symlink" ? undefined : entry.mode;
}
