/**
 * From a frame as it travelled to a chunk's bytes, or to what is wrong with it. Writes nothing.
 *
 * Node's zstd does not complain about a second frame or trailing bytes, and short input may give short output: so the frame's own
 * hash, the exact length and the hash of the bytes are each checked.
 */
import { createHash } from "node:crypto";
import { zstdDecompressSync } from "node:zlib";
import type { Chunk } from "@muster/proto/manifest.ts";
import { short } from "./pull-error.ts";

export type OpenedFrame =
  | { readonly kind: "chunk"; readonly bytes: Buffer }
  /** Not the bytes that were packed: perhaps broken on the way, so worth asking for again. */
  | { readonly kind: "damaged"; readonly detail: string }
  /** The bytes that were packed, but not what the manifest says of them: asking again brings the same. */
  | { readonly kind: "wrong"; readonly detail: string };

/** At once: a chunk takes at most some milliseconds, and for the many small ones a turn through the thread pool costs more than the work. */
export function openFrame(chunk: Chunk, frame: Uint8Array): OpenedFrame {
  const found = sha256(frame);
  if (found !== chunk.frameSha256) return { kind: "damaged", detail: `frame expected ${short(chunk.frameSha256)}, found ${short(found)}` };
  let bytes: Buffer;
  try {
    bytes = zstdDecompressSync(frame, { maxOutputLength: chunk.sizeBytes });
  } catch (error) {
    return { kind: "wrong", detail: `the frame is no zstd of ${chunk.sizeBytes} bytes: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (bytes.length !== chunk.sizeBytes) return { kind: "wrong", detail: `expected ${chunk.sizeBytes} bytes, found ${bytes.length}` };
  const inside = sha256(bytes);
  if (inside !== chunk.sha256) return { kind: "wrong", detail: `expected ${short(chunk.sha256)}, found ${short(inside)}` };
  return { kind: "chunk", bytes };
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
