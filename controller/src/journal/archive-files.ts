/**
 * The files of the archive: frames one after another. On disk, or in memory where the database is.
 *
 * Always holds: what `append` returned from is on disk, name included; whatever stood after its place in the file is gone.
 */
import { closeSync, fstatSync, mkdirSync, openSync, readSync } from "node:fs";
import { open } from "node:fs/promises";
import { dirname, join } from "node:path";

export interface ArchiveFiles {
  /** Writes `bytes` at `offset`, where the file ends as far as anybody knows, and flushes them. */
  append(name: string, offset: number, bytes: Uint8Array): Promise<void>;
  /** Exactly so many bytes. Throws when they are not there. */
  read(name: string, offset: number, sizeBytes: number): Buffer;
}

export class DiskFiles implements ArchiveFiles {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  async append(name: string, offset: number, bytes: Uint8Array): Promise<void> {
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    {
      await using file = await open(join(this.#dir, name), "a+", 0o600);
      // Of a controller that was killed before it could index what it had written.
      await file.truncate(offset);
      await file.writeFile(bytes);
      await file.sync();
    }
    for (const folder of offset === 0 ? [this.#dir, dirname(this.#dir)] : []) {
      await using handle = await open(folder, "r");
      await handle.sync();
    }
  }

  read(name: string, offset: number, sizeBytes: number): Buffer {
    const bytes = Buffer.allocUnsafe(sizeBytes);
    const file = openSync(join(this.#dir, name), "r");
    try {
      let done = 0;
      while (done < sizeBytes) {
        const read = readSync(file, bytes, done, sizeBytes - done, offset + done);
        if (read === 0) throw new Error(`${name} ends at ${fstatSync(file).size}, within a frame`);
        done += read;
      }
    } finally {
      closeSync(file);
    }
    return bytes;
  }
}

export class MemoryFiles implements ArchiveFiles {
  readonly #files = new Map<string, Buffer>();

  append(name: string, offset: number, bytes: Uint8Array): Promise<void> {
    this.#files.set(name, Buffer.concat([(this.#files.get(name) ?? Buffer.alloc(0)).subarray(0, offset), bytes]));
    return Promise.resolve();
  }

  read(name: string, offset: number, sizeBytes: number): Buffer {
    const bytes = this.#files.get(name)?.subarray(offset, offset + sizeBytes);
    if (bytes?.length !== sizeBytes) throw new Error(`${name} ends within a frame`);
    return Buffer.from(bytes);
  }
}
