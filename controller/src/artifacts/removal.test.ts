/** Files that go, and files that must not. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Digest, Instant } from "@muster/proto/ids.ts";
import type { Entry, JournalRow } from "../journal/entry.ts";
import { artifactOf, type MadeArtifact } from "./artifact.fixture.ts";
import { type ArtifactStore, createArtifactStore } from "./artifact-store.ts";
import { removeWhatWasLetGo } from "./removal.ts";
import { attendedAlways } from "../rollout/moment.ts";

const HOUR = 3_600_000;

let dir: string;
let store: ArtifactStore;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "muster-removal-"));
  store = await createArtifactStore({ dir });
});

afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const made = (text: string): MadeArtifact => artifactOf({ a: [Buffer.from(text)] });

async function send({ manifestBytes, pack }: MadeArtifact): Promise<ReturnType<Awaited<ReturnType<ArtifactStore["receive"]>>["finish"]>> {
  const receiver = store.receive();
  await receiver.writeManifest(manifestBytes);
  await receiver.endManifest();
  await receiver.writePack(pack);
  return receiver.finish();
}

test("an artifact that is removed is gone at once, and can come again", async () => {
  const artifact = made("one");
  await send(artifact);
  const removal = store.remove(artifact.digest);
  expect(readdirSync(dir).includes(artifact.digest)).toBe(false);
  await removal;
  expect(readdirSync(dir)).toEqual([]);
  await store.remove(artifact.digest);
  expect(await send(artifact)).toMatchObject({ ok: true, created: true });
  expect(await store.manifest(artifact.digest)).toEqual(artifact.manifest);
});

test("one that is removed twice at the same time, with a new one in between, is gone", async () => {
  const artifact = made("one");
  await send(artifact);
  const first = store.remove(artifact.digest);
  await send(artifact);
  await Promise.all([first, store.remove(artifact.digest)]);
  expect(await store.has(artifact.digest)).toBe(false);
});

test("the manifest of what is not there is not there, and a damaged one is a fault", async () => {
  const artifact = made("one");
  expect(await store.manifest(artifact.digest)).toBeUndefined();
  await send(artifact);
  writeFileSync(join(dir, artifact.digest, "manifest"), "{}");
  await expect(store.manifest(artifact.digest)).rejects.toThrow(/read the manifest of artifact .*format is missing/);
});

test("whoever sends what is there already learns that it was removed meanwhile", async () => {
  const artifact = made("one");
  await send(artifact);
  const receiver = store.receive();
  await receiver.writeManifest(artifact.manifestBytes);
  await receiver.endManifest();
  await receiver.writePack(artifact.pack);
  await store.remove(artifact.digest);
  expect(await receiver.finish()).toEqual({ ok: false, message: "its files were removed while it was being sent; push it again" });
  expect(await send(artifact)).toMatchObject({ ok: true, created: true });
});

test("a half-done removal is finished when the store is opened", async () => {
  const artifact = made("one");
  await send(artifact);
  const bytes = readFileSync(join(dir, artifact.digest, "pack"));
  rmSync(join(dir, artifact.digest), { recursive: true });
  writeFileSync(join(dir, `.removed-${artifact.digest}`), bytes);
  await createArtifactStore({ dir });
  expect(readdirSync(dir)).toEqual([]);
});

test("what nobody knows goes when it is old enough, and what is known never does", async () => {
  const [known, unknown] = [made("known"), made("unknown")];
  for (const artifact of [known, unknown]) await send(artifact);
  writeFileSync(join(dir, "notes.txt"), "mine");
  const isKnown = (digest: Digest): boolean => digest === known.digest;
  expect(await store.removeUnknown(isKnown, Date.now() - 60_000)).toEqual([]);
  expect(await store.removeUnknown(isKnown, Date.now() + 60_000)).toEqual([unknown.digest]);
  expect(readdirSync(dir).sort()).toEqual([known.digest, "notes.txt"].sort());
  // The change time of the directory counts, which nobody can set back.
  utimesSync(join(dir, known.digest), 0, 0);
  expect(await store.removeUnknown(() => false, Date.now() - 60_000)).toEqual([]);
});

test("files go after the commit that lets them go; what was left behind goes at the start, and every hour", async () => {
  const [gone, left, kept] = [made("gone"), made("left"), made("kept")];
  for (const artifact of [gone, left, kept]) await send(artifact);
  const known = new Set<Digest>([gone.digest, kept.digest]);
  let now = Date.now() + HOUR;
  const wakes: { at: number; callback: () => void }[] = [];
  let commit: ((rows: readonly JournalRow[]) => void) | undefined;
  const end = removeWhatWasLetGo({
    store,
    isKnown: (digest) => known.has(digest),
    onCommit: (listener) => {
      commit = listener;
      return () => (commit = undefined);
    },
    clock: {
      now: () => now as Instant,
      monotonicMs: () => now,
      wakeAfter: (delayMs, callback) => {
        wakes.push({ at: now + delayMs, callback });
        return () => undefined;
      },
    },
    logger: pino({ level: "silent" }),
  });
  const stored = () => readdirSync(dir).sort();
  await expect.poll(stored).toEqual([gone.digest, kept.digest].sort());

  const removed: Entry = { kind: "artifact_removed", artifact: gone.digest };
  // Pushed again in the same commit: it stays.
  commit!([{ seq: 1, ...attendedAlways(0 as Instant), entry: removed }]);
  expect(stored()).toContain(gone.digest);
  known.delete(gone.digest);
  commit!([{ seq: 2, ...attendedAlways(0 as Instant), entry: removed }]);
  await expect.poll(stored).toEqual([kept.digest]);

  await send(left);
  now += HOUR;
  wakes[0]!.callback();
  await expect.poll(stored).toEqual([kept.digest]);
  end();
  expect(commit).toBeUndefined();
});
