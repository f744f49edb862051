/**
 * Small artifacts for tests, with any detail made wrong. Never imported by product code.
 */
import { createHash } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import type { Digest } from "@muster/proto/ids.ts";
import { EMPTY_SHA256, encodeManifest, MANIFEST_FORMAT, type Chunk, type Manifest } from "@muster/proto/manifest.ts";

export function sha256Of(bytes: Uint8Array | string): Digest {
  return createHash("sha256").update(bytes).digest("hex") as Digest;
}

export interface MadeArtifact {
  readonly digest: Digest;
  readonly manifest: Manifest;
  readonly manifestBytes: Uint8Array;
  readonly pack: Buffer;
}

/** A file is the list of its chunks. */
export function artifactOf(files: Readonly<Record<string, readonly Uint8Array[]>>, change: (chunk: Chunk) => Chunk = (chunk) => chunk): MadeArtifact {
  const frames: Buffer[] = [];
  let packBytes = 0;
  const entries = Object.entries(files).map(([path, contents]) => {
    const chunks = contents.map((content): Chunk => {
      const frame = zstdCompressSync(content);
      const chunk = { sha256: sha256Of(content), sizeBytes: content.length, frameOffset: packBytes, frameBytes: frame.length, frameSha256: sha256Of(frame) };
      frames.push(frame);
      packBytes += frame.length;
      return change(chunk);
    });
    const sizeBytes = chunks.reduce((sum, chunk) => sum + chunk.sizeBytes, 0);
    const sha256 = chunks.length === 0 ? EMPTY_SHA256 : chunks.length === 1 ? chunks[0]!.sha256 : sha256Of(Buffer.concat(contents));
    return { type: "file" as const, path, mode: 0o644, sizeBytes, sha256, chunks };
  });
  return encoded({ format: MANIFEST_FORMAT, packBytes, entries }, Buffer.concat(frames));
}

export function encoded(manifest: Manifest, pack: Buffer): MadeArtifact {
  const manifestBytes = encodeManifest(manifest);
  return { digest: sha256Of(manifestBytes), manifest, manifestBytes, pack };
}
