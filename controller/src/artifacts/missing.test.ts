import type { Instant } from "@muster/proto/ids.ts";
import pino from "pino";
import { expect, test } from "vitest";
import { Journal } from "../journal/journal.ts";
import { tellMissingArtifacts } from "./missing.ts";
import { attendedAlways } from "../rollout/moment.ts";

const digest = (index: number): string => String(index).padStart(64, "0");

async function said(known: number, isThere: (digest: string) => boolean): Promise<readonly Record<string, unknown>[]> {
  const journal = Journal.open(":memory:");
  journal.transaction(() => {
    for (let index = 0; index < known; index += 1) journal.append({ kind: "artifact_stored", artifact: digest(index) as never, fileCount: 1, sizeBytes: 1, packBytes: 1 }, attendedAlways(index as Instant));
  });
  const lines: Record<string, unknown>[] = [];
  const logger = pino({ level: "warn" }, { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) });
  await tellMissingArtifacts({ db: journal.db, store: { has: async (one) => isThere(one) }, logger });
  journal.close();
  return lines;
}

test("a store that has all is not worth a word", async () => {
  expect(await said(3, () => true)).toEqual([]);
});

test("artifacts that are known and not there are said once, in one line, with what to do", async () => {
  expect(await said(3, (one) => one === digest(1))).toEqual([expect.objectContaining({ count: 2, artifacts: [digest(2), digest(0)], msg: "artifacts are missing: push them again with muster artifact push" })]);
});

test("of very many the newest are named", async () => {
  const [line] = await said(1_000, () => false);
  expect(line).toMatchObject({ count: 1_000 });
  expect(line?.["artifacts"]).toHaveLength(20);
});
