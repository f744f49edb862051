/** An archive of years: what is looked up in its index, and how often its files are looked at. */
import { beforeEach, expect, test } from "vitest";
import type { Database } from "better-sqlite3";
import { Archive } from "./archive.ts";
import type { ArchiveFiles } from "./archive-files.ts";
import { Journal } from "./journal.ts";
import { Work } from "./work.fixture.ts";

const MONTHS = 12;
const FRAMES_A_MONTH = 400;
const FRAME_BYTES = 1000;
const ROWS = 10;

/** Files that end after so many frames; they hold nothing. */
class ShortFiles implements ArchiveFiles {
  reads = 0;
  readonly #frames: number;

  constructor(frames: number) {
    this.#frames = frames;
  }

  append(): Promise<void> {
    throw new Error("nothing is written");
  }

  read(_name: string, offset: number, sizeBytes: number): Buffer {
    this.reads += 1;
    if (offset + sizeBytes > this.#frames * FRAME_BYTES) throw new Error("it ends within a frame");
    return Buffer.alloc(sizeBytes);
  }
}

let db: Database;
beforeEach(() => {
  ({ db } = Journal.open(":memory:"));
  db.transaction(() => {
    const frame = db.prepare("INSERT INTO archive_frames VALUES (?, ?, 0, 0, ?, ?, ?, 0, '', ?)");
    const under = db.prepare("INSERT INTO archive_deployments (deployment, first_seq, app) VALUES (?, ?, ?)");
    for (let index = 0; index < MONTHS * FRAMES_A_MONTH; index += 1) {
      const first = index * ROWS + 1;
      frame.run(first, first + ROWS - 1, `2026-${String(Math.floor(index / FRAMES_A_MONTH) + 1).padStart(2, "0")}.jsonl.zst`, (index % FRAMES_A_MONTH) * FRAME_BYTES, FRAME_BYTES, ROWS);
      under.run("d-1", first, "busy");
      if (index === 3 || index === 4000) under.run(`d-${index}`, first, "seldom");
    }
  })();
});

function archived(frames: number): { readonly archive: Archive; readonly work: Work; readonly files: ShortFiles } {
  const work = new Work(db);
  const files = new ShortFiles(frames);
  return { archive: new Archive(work.db, files), work, files };
}

test("files that end too early are found by a few looks at each, whatever the number of their frames", () => {
  const { archive, work, files } = archived(100);
  const faults = archive.faults();
  expect(faults).toHaveLength(MONTHS);
  expect(faults[1]!.message).toContain(`steps of 2026-02 are missing, ${(FRAMES_A_MONTH + 100) * ROWS + 1} to ${2 * FRAMES_A_MONTH * ROWS}`);
  expect(files.reads).toBeLessThanOrEqual(MONTHS * (2 + Math.ceil(Math.log2(FRAMES_A_MONTH * FRAME_BYTES))));
  expect(work.scans(/archive_/).filter((scan) => !scan.includes("sum(row_count)"))).toEqual([]);
});

test("of files that are gone it is said from the first frame on", () => {
  const { archive } = archived(0);
  expect(archive.faults()[0]!.message).toContain(`steps of 2026-01 are missing, 1 to ${FRAMES_A_MONTH * ROWS}`);
});

test("an app that is deployed seldom is found by its own frames alone", () => {
  const { archive, files, work } = archived(0);
  const missing: number[] = [];
  const read = (fromSeq: number) => archive.read({ fromSeq, toSeq: MONTHS * FRAMES_A_MONTH * ROWS, under: { app: "seldom" }, isWanted: () => true, most: Infinity, onMissing: ({ lastSeq }) => missing.push(lastSeq) });
  expect(read(1).upTo).toBe(MONTHS * FRAMES_A_MONTH * ROWS);
  // A stretch that begins within a frame, and one that begins after it.
  read(4 * ROWS - 1);
  read(4 * ROWS + 1);
  expect(missing).toEqual([4 * ROWS, 4001 * ROWS, 4 * ROWS, 4001 * ROWS, 4001 * ROWS]);
  expect(files.reads).toBe(missing.length);
  expect(work.scans(/\b(?:u|f|archive_\w+)\b/).filter((scan) => !scan.includes("sum(row_count)") && !scan.includes("files"))).toEqual([]);
});
