/**
 * Where a snapshot's parts come from: of a file, a thread of its own reads them; of a database in memory, nobody else can.
 */
import { on } from "node:events";
import { Worker } from "node:worker_threads";
import type { Database } from "better-sqlite3";
import { type PartSource, partsOf, type SnapshotPart } from "./snapshot.ts";

export function partsInMemory(db: Database): PartSource {
  return async function* () {
    // All at once: nothing may be written in between.
    yield* [...partsOf(db)];
  };
}

export function partsOfFile(path: string): PartSource {
  return async function* () {
    const worker = new Worker(new URL("./snapshot-thread.ts", import.meta.url), { workerData: { path } });
    try {
      for await (const [part] of on(worker, "message", { close: ["exit"] }) as AsyncIterable<[SnapshotPart | null]>) {
        if (part === null) return;
        yield part;
        worker.postMessage("next");
      }
      throw new Error("the thread that reads the snapshot ended early");
    } finally {
      await worker.terminate();
    }
  };
}
