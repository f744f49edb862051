/**
 * The manifest of an artifact: what files there are and where their bytes stand in the pack. Its sha256 names the artifact.
 *
 * Always holds after `parseManifest`: entries are sorted by path (by code unit), every path is relative, clean and below the
 * root, every parent directory is an entry, a symlink's target stays inside, chunk lengths add up to the file's size, and every frame lies
 * inside the pack. A chunk is any run of a file's bytes: today at most 4 MiB cut at fixed places, later by content; readers must not care.
 */
import type { Digest } from "./ids.ts";

export const MANIFEST_FORMAT = "muster.manifest.v1";
export const MANIFEST_BYTES_MAX = 16 * 1024 * 1024;
/** Bounds the memory that one chunk costs on either side. */
export const CHUNK_BYTES_MAX = 4 * 1024 * 1024;

export interface Manifest {
  readonly format: typeof MANIFEST_FORMAT;
  /** Length of the pack, bytes. */
  readonly packBytes: number;
  readonly entries: readonly ManifestEntry[];
}

export type ManifestEntry = FileEntry | DirectoryEntry | SymlinkEntry;

export interface FileEntry {
  readonly type: "file";
  readonly path: string;
  /** 0o644 or 0o755 and the like: only bits of 0o755 are kept. */
  readonly mode: number;
  readonly sizeBytes: number;
  /** Of the whole file. */
  readonly sha256: Digest;
  /** In the order of the file; none for an empty file. */
  readonly chunks: readonly Chunk[];
}

export interface DirectoryEntry {
  readonly type: "dir";
  readonly path: string;
  readonly mode: number;
}

export interface SymlinkEntry {
  readonly type: "symlink";
  readonly path: string;
  /** Relative, and inside the artifact. */
  readonly target: string;
}

export interface Chunk {
  /** Of the bytes as they stand in the file. */
  readonly sha256: Digest;
  readonly sizeBytes: number;
  /** Where its zstd frame stands in the pack. Two chunks may share one frame. */
  readonly frameOffset: number;
  readonly frameBytes: number;
  /** Of the frame as it travels. */
  readonly frameSha256: Digest;
}

export type ParsedManifest = { readonly ok: true; readonly manifest: Manifest } | { readonly ok: false; readonly message: string };
