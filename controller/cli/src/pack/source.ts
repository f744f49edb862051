/**
 * Where the files of an artifact come from: a directory or an archive, each read as one stream of entries.
 * A source names what it can't read; whether an entry may be in an artifact at all is judged in one place, tree.ts.
 */

export interface Source {
  /** As the user named it. */
  readonly path: string;
  /** Unknown beforehand for a tar. */
  readonly fileCount: number | undefined;
  /** Read once. A file's content is read before the next entry is asked for. */
  readonly entries: AsyncIterable<SourceEntry>;
}

/** `path` is relative to the source, `/` between names, not yet judged. `mode` is as the source has it. `content` has `sizeBytes`, or throws. */
export type SourceEntry =
  | { readonly type: "file"; readonly path: string; readonly mode: number; readonly sizeBytes: number; readonly content: AsyncIterable<Uint8Array> }
  | { readonly type: "dir"; readonly path: string; readonly mode: number }
  | { readonly type: "symlink"; readonly path: string; readonly target: string }
  /** A hard link: the same content as the file at `to`, which comes earlier. */
  | { readonly type: "link"; readonly path: string; readonly to: string };

/** Archives write `./a`, and `a/` for directories. Empty for the root itself. */
export function archivePath(name: string): string {
  const path = name.replace(/^(?:\.\/+)+/, "").replace(/\/+$/, "");
  return path === "." || (path === "" && !name.startsWith("/")) ? "" : path === "" ? "/" : path;
}
