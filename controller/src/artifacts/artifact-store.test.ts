import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import type { Digest } from "@muster/proto/ids.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { artifactOf, encoded, sha256Of, type MadeArtifact } from "./artifact.fixture.ts";
import { ArtifactStoreError } from "./artifact-store-error.ts";
import { createArtifactStore, type ArtifactStore } from "./artifact-store.ts";
import type { Refused, StoredArtifact } from "./receive.ts";

let dir: string;
let store: ArtifactStore;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "muster-store-"));
  store = await createArtifactStore({ dir });
});

afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** Sends as a peer does: in pieces, and without looking at the answers until the end. */
async function send({ manifestBytes, pack }: Pick<MadeArtifact, "manifestBytes" | "pack">, pieceBytes = 1024 * 1024): Promise<StoredArtifact | Refused> {
  const receiver = store.receive();
  for (let at = 0; at < manifestBytes.length; at += pieceBytes) await receiver.writeManifest(manifestBytes.subarray(at, at + pieceBytes));
  await receiver.endManifest();
  for (let at = 0; at < pack.length; at += pieceBytes) await receiver.writePack(pack.subarray(at, at + pieceBytes));
  return receiver.finish();
}

const text = Buffer.from("listen()");
const ordinary = () => artifactOf({ "a.js": [text], empty: [], big: [randomBytes(100_000), randomBytes(50_000)] });

describe("an artifact store", () => {
  test("stores an artifact as two files under its digest", async () => {
    const made = ordinary();
    expect(await store.has(made.digest)).toBe(false);
    expect(await send(made)).toEqual({ ok: true, digest: made.digest, created: true, fileCount: 3, sizeBytes: 150_008, packBytes: made.pack.length });
    expect(await store.has(made.digest)).toBe(true);
    expect(readFileSync(join(dir, made.digest, "manifest")).equals(made.manifestBytes)).toBe(true);
    expect(readFileSync(join(dir, made.digest, "pack")).equals(made.pack)).toBe(true);
    expect(readdirSync(dir)).toEqual([made.digest]);
  });

  test.each([1, 7, 1000])("does not mind pieces of %i bytes", async (pieceBytes) => {
    const made = artifactOf({ a: [randomBytes(300), text], b: [randomBytes(5)] });
    expect(await send(made, pieceBytes)).toMatchObject({ ok: true, created: true });
    expect(readFileSync(join(dir, made.digest, "pack")).equals(made.pack)).toBe(true);
  });

  test("proves a file whose chunks lie in the pack in another order, and share frames", async () => {
    const made = artifactOf({ a: [text], b: [randomBytes(100)] });
    const [a, b] = made.manifest.entries.flatMap((entry) => (entry.type === "file" ? entry.chunks : []));
    const content = Buffer.concat([text, text]);
    const twice = { type: "file" as const, path: "c", mode: 0o644, sizeBytes: 16, sha256: sha256Of(content), chunks: [a!, a!] };
    expect(await send(encoded({ ...made.manifest, entries: [...made.manifest.entries, twice] }, made.pack))).toMatchObject({ ok: true });
    const wrong = { ...twice, sizeBytes: 108, chunks: [b!, a!] };
    expect(await send(encoded({ ...made.manifest, entries: [...made.manifest.entries, wrong] }, made.pack))).toEqual({
      ok: false,
      message: 'the chunks of "c" are not the file that its sha256 names',
    });
  });

  test("keeps an empty pack when only empty files and directories are promised", async () => {
    const made = artifactOf({ empty: [] });
    expect(await send(made)).toMatchObject({ ok: true, created: true, fileCount: 1, packBytes: 0 });
    expect(readFileSync(join(dir, made.digest, "pack"))).toHaveLength(0);
  });

  test("does not receive again what it has", async () => {
    const made = ordinary();
    await send(made);
    expect(await send(made)).toMatchObject({ ok: true, digest: made.digest, created: false, packBytes: made.pack.length });
    expect(readdirSync(dir)).toEqual([made.digest]);
  });

  test("keeps one of two that are sent at the same time", async () => {
    const made = ordinary();
    const results = await Promise.all([send(made), send(made)]);
    expect(results.filter((result) => result.ok && result.created)).toHaveLength(1);
    expect(readdirSync(dir)).toEqual([made.digest]);
  });

  test("forgets what was half received: when the sender goes away, and at the next start", async () => {
    const made = ordinary();
    const leaving = store.receive();
    await leaving.writeManifest(made.manifestBytes);
    await leaving.endManifest();
    await leaving.writePack(made.pack.subarray(0, 100));
    expect(readdirSync(dir)).toHaveLength(1);
    await leaving.discard();
    expect(readdirSync(dir)).toEqual([]);

    await send(made);
    mkdirSync(join(dir, ".incoming-x"));
    writeFileSync(join(dir, ".incoming-x", "pack"), "half");
    await createArtifactStore({ dir });
    expect(readdirSync(dir)).toEqual([made.digest]);
  });

  test.each<readonly [what: string, given: () => Pick<MadeArtifact, "manifestBytes" | "pack">, message: RegExp]>([
    ["a manifest that is none", () => ({ manifestBytes: Buffer.from("{}"), pack: Buffer.alloc(0) }), /^the manifest: format is missing$/],
    ["no manifest at all", () => ({ manifestBytes: Buffer.alloc(0), pack: Buffer.alloc(0) }), /^the manifest is not JSON$/],
    ["a manifest that is too long", () => ({ manifestBytes: Buffer.alloc(17 * 1024 * 1024, " "), pack: Buffer.alloc(0) }), /^the manifest has more than 16777216 bytes$/],
    ["an empty pack where frames are promised", () => ({ ...ordinary(), pack: Buffer.alloc(0) }), /^the pack ends after 0 of the \d+ bytes/],
    ["a pack cut off", () => cut(ordinary(), -1), /^the pack ends after \d+ of the \d+ bytes/],
    ["a pack that goes on", () => longer(ordinary()), /^the pack is longer than the \d+ bytes/],
    ["a pack for empty files", () => ({ ...artifactOf({ empty: [] }), pack: text }), /^the pack is longer than the 0 bytes/],
    ["a byte changed on the way", () => flipped(ordinary(), 50_000), /^the frame at 17 of the pack is not what its sha256 names$/],
    ["a chunk whose digest is wrong", () => artifactOf({ a: [text] }, (chunk) => ({ ...chunk, sha256: sha256Of("x") })), /^the frame at 0 of the pack does not unpack to what the chunk's sha256 names$/],
    ["a chunk that is longer than promised", () => artifactOf({ a: [text] }, (chunk) => ({ ...chunk, sizeBytes: 7 })), /^the frame at 0 of the pack does not unpack to 7 bytes$/],
    ["a chunk that is shorter than promised", () => artifactOf({ a: [text] }, (chunk) => ({ ...chunk, sizeBytes: 9 })), /^the frame at 0 of the pack unpacks to 8 bytes in place of 9$/],
    ["a frame that is not zstd", () => notZstd(), /^the frame at 0 of the pack does not unpack to 8 bytes$/],
    ["a bomb", () => bomb(), /^the frame at 0 of the pack does not unpack to 8 bytes$/],
  ])("refuses %s and keeps nothing", async (_, given, message) => {
    const result = await send(given());
    expect(result).toEqual({ ok: false, message: expect.stringMatching(message) });
    expect(readdirSync(dir)).toEqual([]);
  });

  test("says at once what is wrong, so that the sender can be stopped", async () => {
    const receiver = store.receive();
    await receiver.writeManifest(Buffer.from("[]"));
    const refused = { ok: false, message: "the manifest is not an object" };
    expect(await receiver.endManifest()).toEqual(refused);
    expect(await receiver.writePack(text)).toEqual(refused);
    expect(await receiver.finish()).toEqual(refused);
  });

  test("throws when its directory can't be made", async () => {
    const file = join(dir, "file");
    writeFileSync(file, "");
    await expect(createArtifactStore({ dir: join(file, "store") })).rejects.toThrow(ArtifactStoreError);
  });

  test("throws when its directory is gone", async () => {
    rmSync(dir, { recursive: true });
    await expect(send(ordinary())).rejects.toMatchObject({ code: "io_error", retryable: true });
  });

  test("says that the disk is full, and leaves nothing half done", async ({ skip }) => {
    if (!mounts(dir)) skip("mounting a small disk takes root");
    try {
      const made = artifactOf({ a: [randomBytes(600_000)] });
      await expect(send(made, 100_000)).rejects.toMatchObject({ code: "disk_full", retryable: true, message: `could not store an artifact in ${dir}: the disk is full` });
      expect(readdirSync(dir)).toEqual([]);
    } finally {
      execFileSync("umount", [dir]);
    }
  });
});

test("faults of the disk have a code, and say whether trying again may help", () => {
  const system = (code: string) => Object.assign(new Error(code), { code });
  expect(ArtifactStoreError.from(system("ENOSPC"), "x")).toMatchObject({ code: "disk_full", retryable: true });
  expect(ArtifactStoreError.from(system("EROFS"), "x")).toMatchObject({ code: "not_writable", retryable: false, message: "could not x: the directory can't be written (EROFS)" });
  expect(ArtifactStoreError.from(system("EIO"), "x")).toMatchObject({ code: "io_error", retryable: true });
});

/** Whether a disk of 512 KiB could be mounted there: it takes root. */
function mounts(at: string): boolean {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=512k", "tmpfs", at], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function cut(made: MadeArtifact, at: number): MadeArtifact {
  return { ...made, pack: made.pack.subarray(0, at) };
}

function longer(made: MadeArtifact): MadeArtifact {
  return { ...made, pack: Buffer.concat([made.pack, Buffer.alloc(1)]) };
}

function flipped(made: MadeArtifact, at: number): MadeArtifact {
  const pack = Buffer.from(made.pack);
  pack[at] = pack[at]! ^ 1;
  return { ...made, pack };
}

function notZstd(): MadeArtifact {
  return replaced(Buffer.from("this is not a frame"));
}

function bomb(): MadeArtifact {
  return replaced(zstdCompressSync(Buffer.alloc(64 * 1024 * 1024)));
}

/** One file of 8 bytes whose only frame is something else. */
function replaced(frame: Buffer): MadeArtifact {
  const { manifest } = artifactOf({ a: [text] }, (chunk) => ({ ...chunk, frameBytes: frame.length, frameSha256: sha256Of(frame) as Digest }));
  return encoded({ ...manifest, packBytes: frame.length }, frame);
}
