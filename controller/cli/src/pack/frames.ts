/**
 * The pack while it is made: each different chunk becomes one zstd frame. Several are compressed at once; they are written in the order in
 * which they came, so the same content in the same order gives the same bytes.
 *
 * Holds at most FRAMES_IN_FLIGHT chunks and their frames in memory.
 */
import { createHash } from "node:crypto";
import { open, rename, rm, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { constants, zstdCompress, zstdCompressSync, type ZstdOptions } from "node:zlib";
import type { Digest } from "@muster/proto/ids.ts";
import { PackError, systemReason } from "./pack-error.ts";
import type { Piece } from "./tree.ts";

/** The thread pool has four threads; the rest waits ready for them. 8 × (4 MiB + 4 MiB). */
const FRAMES_IN_FLIGHT = 8;
const LEVEL = 3;
/** Below, a trip to the thread pool costs more than the compression (30 µs against 90 µs for a small file); the frame is the same. */
const SMALL_BYTES = 64 * 1024;
/** Most frames are small: they are written together. */
const BATCH_BYTES = 1024 * 1024;

export interface Frame extends Piece {
  frameOffset: number;
  frameBytes: number;
  frameSha256: Digest;
}

const compressOnPool = promisify<Uint8Array, ZstdOptions, Buffer>(zstdCompress);

async function compress(chunk: Uint8Array): Promise<Buffer> {
  const options = {
    params: { [constants.ZSTD_c_compressionLevel]: LEVEL },
    // Given beforehand, it lets a reader allocate no more than the chunk needs.
    pledgedSrcSize: chunk.length,
    // Room for the whole frame: zstd then works in one pass, which is four times faster and gives the bytes that any zstd would give.
    chunkSize: compressBound(chunk.length),
  };
  return chunk.length <= SMALL_BYTES ? zstdCompressSync(chunk, options) : compressOnPool(chunk, options);
}

/** The longest frame of so many bytes: ZSTD_COMPRESSBOUND in zstd.h. */
function compressBound(bytes: number): number {
  const small = 128 * 1024;
  return bytes + (bytes >> 8) + (bytes < small ? (small - bytes) >> 11 : 0);
}

export function sha256Of(bytes: Uint8Array): Digest {
  return createHash("sha256").update(bytes).digest("hex") as Digest;
}

export class FrameWriter {
  readonly #dir: string;
  readonly #file: FileHandle;
  readonly #batches: Batches;
  readonly #frames = new Map<Digest, Frame>();
  readonly #inFlight: { readonly frame: Frame; readonly compressed: Promise<Buffer> }[] = [];
  #writtenBytes = 0;

  private constructor(dir: string, file: FileHandle) {
    this.#dir = dir;
    this.#file = file;
    this.#batches = new Batches(file);
  }

  static async create(dir: string): Promise<FrameWriter> {
    return new FrameWriter(dir, await onScratch(dir, () => open(join(dir, "frames"), "wx+")));
  }

  /** The frame's place is known after `finish`. */
  async add(chunk: Uint8Array): Promise<Frame> {
    const sha256 = sha256Of(chunk);
    const known = this.#frames.get(sha256);
    if (known !== undefined) return known;
    const frame: Frame = { sha256, sizeBytes: chunk.length, frameOffset: 0, frameBytes: 0, frameSha256: sha256 };
    this.#frames.set(sha256, frame);
    const compressed = compress(chunk);
    compressed.catch(() => undefined); // heard when it is written; not at all when packing has failed by then
    this.#inFlight.push({ frame, compressed });
    if (this.#inFlight.length >= FRAMES_IN_FLIGHT) await this.#writeOldest();
    return frame;
  }

  /** Puts the frames in the given order, which names each at least once, into the file `pack`, and returns its path and length. */
  async finish(order: Iterable<Frame>): Promise<{ readonly path: string; readonly bytes: number }> {
    while (this.#inFlight.length > 0) await this.#writeOldest();
    await onScratch(this.#dir, () => this.#batches.flush());
    const path = join(this.#dir, "pack");
    const frames = [...new Set(order)];
    let bytes = 0;
    const places = frames.map((frame) => {
      const place = { from: frame.frameOffset, to: bytes };
      bytes += frame.frameBytes;
      return place;
    });
    await onScratch(this.#dir, async () => {
      // Only a tar comes in an order of its own.
      if (places.every(({ from, to }) => from === to) && bytes === this.#writtenBytes) await rename(join(this.#dir, "frames"), path);
      else await this.#copy(frames, path);
    });
    for (const [index, frame] of frames.entries()) frame.frameOffset = places[index]!.to;
    return { path, bytes };
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#inFlight.map(({ compressed }) => compressed));
    await this.#file.close();
    await rm(join(this.#dir, "frames"), { force: true });
  }

  async #writeOldest(): Promise<void> {
    const { frame, compressed } = this.#inFlight.shift()!;
    const bytes = await compressed;
    await onScratch(this.#dir, () => this.#batches.append(bytes));
    frame.frameOffset = this.#writtenBytes;
    frame.frameBytes = bytes.length;
    frame.frameSha256 = sha256Of(bytes);
    this.#writtenBytes += bytes.length;
  }

  async #copy(frames: readonly Frame[], path: string): Promise<void> {
    await using to = await open(path, "wx");
    const batches = new Batches(to);
    for (const frame of frames) {
      const bytes = Buffer.allocUnsafe(frame.frameBytes);
      const { bytesRead } = await this.#file.read(bytes, 0, bytes.length, frame.frameOffset);
      if (bytesRead !== bytes.length) throw new Error(`read ${bytesRead} of ${bytes.length} bytes of a frame`);
      await batches.append(bytes);
    }
    await batches.flush();
  }
}

/** Copies: a frame's own memory has the size that it might have had. */
class Batches {
  readonly #file: FileHandle;
  readonly #batch = Buffer.allocUnsafeSlow(BATCH_BYTES);
  #length = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async append(bytes: Uint8Array): Promise<void> {
    if (this.#length + bytes.length > BATCH_BYTES) await this.flush();
    if (bytes.length > BATCH_BYTES) {
      await this.#file.writeFile(bytes);
      return;
    }
    this.#batch.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  async flush(): Promise<void> {
    await this.#file.writeFile(this.#batch.subarray(0, this.#length));
    this.#length = 0;
  }
}

async function onScratch<T>(dir: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    const isFull = cause instanceof Error && "code" in cause && (cause.code === "ENOSPC" || cause.code === "EDQUOT");
    const fault = isFull ? "no space is left for the packed files; free some, or set TMPDIR to a larger disk" : `can't be written (${systemReason(cause)})`;
    throw new PackError("scratch_failed", dir, `${dir}: ${fault}`, { cause });
  }
}
