/**
 * Proves a pack against its manifest. Frames are proven as their bytes stream by; files of several chunks once the pack is whole, since a
 * pack need not hold them in the order of the file.
 *
 * Holds at most FRAMES_IN_FLIGHT frames and their chunks in memory, whatever the pack claims.
 */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { promisify } from "node:util";
import { constants, zstdDecompress, type ZstdOptions } from "node:zlib";
import { CHUNK_BYTES_MAX, type Chunk, type FileEntry, type Manifest } from "@muster/proto/manifest.ts";

/** The thread pool's size. 4 × (4 MiB + 4 MiB). */
const FRAMES_IN_FLIGHT = 4;
/** A chunk has at most 4 MiB, so no honest frame needs to look back further than twice that. */
const WINDOW_LOG_MAX = Math.log2(CHUNK_BYTES_MAX) + 1;

/** Node's least for `chunkSize`. */
const CHUNK_SIZE_MIN = 64;

const decompress = promisify<Uint8Array, ZstdOptions, Buffer>(zstdDecompress);

/** What is wrong, in a sentence; undefined: nothing so far. */
export type Fault = string | undefined;

export class FrameVerifier {
  /** In the order of the pack, which they fill without a gap: the manifest was parsed. */
  readonly #frames: readonly Chunk[];
  readonly #packBytes: number;
  readonly #checks: Promise<Fault>[] = [];
  #index = 0;
  /** The frame that is coming; filled up to #incomingBytes. */
  #incoming = Buffer.alloc(0);
  #incomingBytes = 0;
  #seenBytes = 0;

  constructor(manifest: Manifest) {
    const byOffset = new Map<number, Chunk>();
    for (const chunk of filesOf(manifest).flatMap(({ chunks }) => chunks)) byOffset.set(chunk.frameOffset, chunk);
    this.#frames = [...byOffset.values()].sort((a, b) => a.frameOffset - b.frameOffset);
    this.#packBytes = manifest.packBytes;
  }

  /** Takes the next bytes of the pack, and waits while too many frames are being proven. */
  async add(bytes: Uint8Array): Promise<Fault> {
    this.#seenBytes += bytes.length;
    if (this.#seenBytes > this.#packBytes) return `the pack is longer than the ${this.#packBytes} bytes that its manifest promises`;
    let rest = bytes;
    while (rest.length > 0) {
      const frame = this.#frames[this.#index]!;
      if (this.#incomingBytes === 0) this.#incoming = Buffer.allocUnsafeSlow(frame.frameBytes);
      const part = rest.subarray(0, frame.frameBytes - this.#incomingBytes);
      this.#incoming.set(part, this.#incomingBytes);
      this.#incomingBytes += part.length;
      rest = rest.subarray(part.length);
      if (this.#incomingBytes < frame.frameBytes) break;
      this.#checks.push(frameFault(frame, this.#incoming));
      this.#index += 1;
      this.#incomingBytes = 0;
      if (this.#checks.length < FRAMES_IN_FLIGHT) continue;
      const fault = await this.#checks.shift();
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  /** After the last byte. */
  async finish(): Promise<Fault> {
    if (this.#seenBytes < this.#packBytes) return `the pack ends after ${this.#seenBytes} of the ${this.#packBytes} bytes that its manifest promises`;
    return (await Promise.all(this.#checks)).find((fault) => fault !== undefined);
  }
}

/** The whole files that frames alone do not prove. `pack` is whole, and its frames are proven. */
export async function fileFault(manifest: Manifest, pack: FileHandle): Promise<Fault> {
  for (const { path, sha256, chunks } of filesOf(manifest)) {
    if (chunks.length < 2) continue; // the manifest's own rules say that the chunk's digest is the file's
    const whole = createHash("sha256");
    for (const chunk of chunks) {
      const { buffer } = await pack.read(Buffer.allocUnsafe(chunk.frameBytes), 0, chunk.frameBytes, chunk.frameOffset);
      whole.update(await unpack(buffer, chunk));
    }
    if (whole.digest("hex") !== sha256) return `the chunks of ${JSON.stringify(path)} are not the file that its sha256 names`;
  }
  return undefined;
}

async function frameFault(frame: Chunk, bytes: Buffer): Promise<Fault> {
  const where = `the frame at ${frame.frameOffset} of the pack`;
  if (sha256Of(bytes) !== frame.frameSha256) return `${where} is not what its sha256 names`;
  let chunk: Buffer;
  try {
    chunk = await unpack(bytes, frame);
  } catch {
    return `${where} does not unpack to ${frame.sizeBytes} bytes`;
  }
  if (chunk.length !== frame.sizeBytes) return `${where} unpacks to ${chunk.length} bytes in place of ${frame.sizeBytes}`;
  return sha256Of(chunk) === frame.sha256 ? undefined : `${where} does not unpack to what the chunk's sha256 names`;
}

function unpack(frame: Uint8Array, { sizeBytes }: Chunk): Promise<Buffer> {
  // All in one piece: by default it would come in pieces of 64 KiB, each with a trip to the thread pool.
  return decompress(frame, { chunkSize: Math.max(sizeBytes, CHUNK_SIZE_MIN), maxOutputLength: sizeBytes, params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX } });
}

function filesOf({ entries }: Manifest): readonly FileEntry[] {
  return entries.filter((entry) => entry.type === "file");
}

function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
