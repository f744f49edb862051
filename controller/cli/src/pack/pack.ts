/**
 * Makes an artifact (a manifest and a pack) of a directory or an archive.
 *
 * Always holds: the same files give the same digest, whether they come from a directory, a tar or a zip, and in whatever order (on
 * the same version of zstd, which is part of Node). Memory stays bounded whatever the size. When it fails or is aborted, nothing of its own is left
 * in the scratch directory.
 */
import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "@muster/proto/ids.ts";
import { CHUNK_BYTES_MAX, encodeManifest, MANIFEST_BYTES_MAX, MANIFEST_FORMAT, parseManifest, type Chunk, type ManifestEntry } from "@muster/proto/manifest.ts";
import { FrameWriter, sha256Of, type Frame } from "./frames.ts";
import { PackError } from "./pack-error.ts";
import { readSource } from "./read-source.ts";
import type { Source } from "./source.ts";
import { Tree, type PieceFile } from "./tree.ts";

export interface PackOptions {
  /** Exists, is empty, is on a disk with room for the pack, and is removed by the caller, who puts it outside the source. */
  readonly scratchDir: string;
  readonly onProgress?: (progress: PackProgress) => void;
  readonly signal?: AbortSignal;
}

export interface PackProgress {
  readonly filesDone: number;
  /** Unknown while a tar is read. */
  readonly filesTotal: number | undefined;
  /** Unpacked. */
  readonly bytesDone: number;
}

export interface PackedArtifact {
  readonly digest: Digest;
  readonly manifestBytes: Uint8Array;
  /** In the scratch directory. */
  readonly packPath: string;
  readonly packBytes: number;
  readonly fileCount: number;
  /** Unpacked. */
  readonly sizeBytes: number;
}

/** Throws PackError. */
export async function packArtifact(sourcePath: string, options: PackOptions): Promise<PackedArtifact> {
  let done = false;
  const frames = await FrameWriter.create(options.scratchDir);
  try {
    const source = await readSource(sourcePath);
    const packed = await assemble(source, await readTree(source, frames, options), frames);
    done = true;
    return packed;
  } finally {
    await frames.close();
    if (!done) await rm(join(options.scratchDir, "pack"), { force: true });
  }
}

async function readTree(source: Source, frames: FrameWriter, { onProgress, signal }: PackOptions): Promise<Tree<Frame>> {
  const tree = new Tree<Frame>(source.path);
  let filesDone = 0;
  let bytesDone = 0;
  const step = () => {
    if (signal?.aborted === true) throw new PackError("aborted", source.path, `${source.path}: packing was interrupted`, { cause: signal.reason });
    onProgress?.({ filesDone, filesTotal: source.fileCount, bytesDone });
  };
  for await (const entry of source.entries) {
    step();
    tree.open(entry);
    switch (entry.type) {
      case "dir":
        tree.addDirectory(entry.path, entry.mode);
        break;
      case "symlink":
        tree.addSymlink(entry.path, entry.target);
        break;
      case "link":
        tree.addLink(entry.path, entry.to);
        filesDone += 1;
        break;
      case "file": {
        const counted = counting(entry.content, (bytes) => {
          bytesDone += bytes;
          step();
        });
        tree.addFile(entry.path, entry.mode, await packFile(counted, frames));
        filesDone += 1;
        break;
      }
    }
  }
  step();
  if (tree.isEmpty) throw new PackError("refused", source.path, `${source.path}: there is nothing in it; was it built?`);
  return tree;
}

async function packFile(content: AsyncIterable<Uint8Array>, frames: FrameWriter): Promise<Omit<PieceFile<Frame>, "type" | "path" | "mode">> {
  const whole = createHash("sha256");
  const pieces: Frame[] = [];
  let sizeBytes = 0;
  for await (const chunk of chunksOf(content)) {
    whole.update(chunk);
    sizeBytes += chunk.length;
    pieces.push(await frames.add(chunk));
  }
  return { sizeBytes, sha256: whole.digest("hex") as Digest, pieces };
}

async function* counting(content: AsyncIterable<Uint8Array>, count: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for await (const part of content) {
    count(part.length);
    yield part;
  }
}

/** Cuts at every CHUNK_BYTES_MAX, however the content is divided as it comes. */
async function* chunksOf(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = [];
  let length = 0;
  for await (let part of content) {
    while (length + part.length >= CHUNK_BYTES_MAX) {
      const cut = CHUNK_BYTES_MAX - length;
      parts.push(part.subarray(0, cut));
      yield joined(parts);
      part = part.subarray(cut);
      parts = [];
      length = 0;
    }
    if (part.length > 0) parts.push(part);
    length += part.length;
  }
  if (length > 0) yield joined(parts);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

async function assemble(source: Source, tree: Tree<Frame>, frames: FrameWriter): Promise<PackedArtifact> {
  const nodes = tree.nodes();
  const files = nodes.filter((node) => node.type === "file");
  const pack = await frames.finish(files.flatMap(({ pieces }) => pieces));
  const entries = nodes.map((node): ManifestEntry => {
    if (node.type !== "file") return node;
    const { pieces, ...file } = node;
    return { ...file, chunks: pieces satisfies readonly Chunk[] };
  });
  const manifestBytes = encodeManifest({ format: MANIFEST_FORMAT, packBytes: pack.bytes, entries });
  if (manifestBytes.length > MANIFEST_BYTES_MAX) {
    throw new PackError("too_large", source.path, `${source.path}: ${entries.length} files and directories are too many: their list has ${manifestBytes.length} bytes, and at most ${MANIFEST_BYTES_MAX} are allowed`);
  }
  const parsed = parseManifest(manifestBytes);
  if (!parsed.ok) throw new Error(`packing made a manifest that breaks a rule: ${parsed.message}`);
  return { digest: sha256Of(manifestBytes), manifestBytes, packPath: pack.path, packBytes: pack.bytes, fileCount: files.length, sizeBytes: tree.unpackedBytes };
}
