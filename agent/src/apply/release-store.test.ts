import { existsSync } from "node:fs";
import { lstat, mkdir, mkdtemp, readdir, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ReleaseStore } from "../runner/ports.ts";
import { createReleaseStore } from "./release-store.ts";

const [A, B, C] = ["a", "b", "c"].map((digit) => digit.repeat(64)) as [string, string, string];
let dir: string;
let store: ReleaseStore;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "muster-apply-"));
  store = createReleaseStore({ dir });
});

afterEach(() => rm(dir, { recursive: true, force: true }));

function inApp(...names: readonly string[]): string {
  return join(dir, "apps/shop", ...names);
}

async function putRelease(digest: string): Promise<void> {
  await mkdir(inApp("releases", digest, "sub"), { recursive: true });
  await writeFile(inApp("releases", digest, "sub/file"), digest);
  await writeFile(inApp("releases", `${digest}.manifest`), "{}");
}

describe("has", () => {
  test("a release is there when its directory and its manifest are", async () => {
    expect(await store.has("shop", A)).toBe(false);
    await putRelease(A);
    expect(await store.has("shop", A)).toBe(true);
    await rm(inApp("releases", `${A}.manifest`));
    expect(await store.has("shop", A)).toBe(false);
  });

  test("a symlink in the place of a release is none", async () => {
    await putRelease(A);
    await symlink(inApp("releases", A), inApp("releases", B));
    await writeFile(inApp("releases", `${B}.manifest`), "{}");
    expect(await store.has("shop", B)).toBe(false);
  });
});

describe("current", () => {
  test("points where it was last switched to", async () => {
    expect(await store.current("shop")).toBeUndefined();
    await putRelease(A);
    await putRelease(B);
    for (const digest of [A, B, B, A]) {
      expect(await store.switchTo("shop", digest)).toEqual({ ok: true, value: undefined });
      expect(await store.current("shop")).toBe(digest);
    }
    expect(await readlink(inApp("current"))).toBe(`releases/${A}`);
    expect((await lstat(store.releaseDir("shop", A))).isDirectory()).toBe(true);
  });

  test("is taken away, as often as one likes, of apps that are not there too", async () => {
    await putRelease(A);
    await store.switchTo("shop", A);
    for (const app of ["shop", "shop", "other"]) expect((await store.switchTo(app, undefined)).ok).toBe(true);
    expect(await store.current("shop")).toBeUndefined();
  });

  test("is not switched to a release that is not there", async () => {
    await putRelease(A);
    await store.switchTo("shop", A);
    expect(await store.switchTo("shop", B)).toEqual({
      ok: false,
      fault: { code: "io_error", message: "could not switch to release bbbbbbbbbbbb: it is not on this machine", retryable: false },
    });
    expect(await store.current("shop")).toBe(A);
  });

  test("is not written when it points there already, so that going back needs no room on the disk", async () => {
    await putRelease(A);
    await store.switchTo("shop", A);
    const { ino } = await lstat(inApp("current"));
    expect((await store.switchTo("shop", A)).ok).toBe(true);
    expect((await lstat(inApp("current"))).ino).toBe(ino);
  });

  test("is switched there and back by second names of links that were made ready, which need no room on the disk", async () => {
    for (const digest of [A, B]) {
      await putRelease(digest);
      expect([await store.makeReady("shop", digest), await store.makeReady("shop", digest)]).toEqual([{ ok: true, value: undefined }, { ok: true, value: undefined }]);
    }
    for (const digest of [A, B, A]) {
      expect((await store.switchTo("shop", digest)).ok).toBe(true);
      expect(await store.current("shop")).toBe(digest);
      expect((await lstat(inApp("current"))).ino).toBe((await lstat(inApp(`releases/${digest}.link`))).ino);
    }
    await store.prune("shop", [A]);
    expect((await readdir(inApp("releases"))).toSorted()).toEqual([A, `${A}.link`, `${A}.manifest`]);
    expect(await readdir(inApp())).not.toContain("current.new");
  });

  test("a switch that was killed before its rename is no hindrance", async () => {
    await putRelease(A);
    await symlink("releases/gone", inApp("current.new"));
    expect((await store.switchTo("shop", A)).ok).toBe(true);
    expect(await readdir(inApp())).toEqual(["current", "releases"]);
  });

  test("a link to somewhere else names no release", async () => {
    await mkdir(inApp(), { recursive: true });
    await symlink(`/elsewhere/${A}`, inApp("current"));
    expect(await store.current("shop")).toBeUndefined();
  });
});

describe("prune", () => {
  test("keeps what it is told to keep and deletes the rest with its manifests", async () => {
    for (const digest of [A, B, C]) await putRelease(digest);
    await store.prune("shop", [A, C]);
    expect((await readdir(inApp("releases"))).sort()).toEqual([A, `${A}.manifest`, C, `${C}.manifest`]);
    expect(await readdir(inApp("staging"))).toEqual([]);
  });

  test("deletes what killed pulls and deletions left, but not the pull of a release that is kept", async () => {
    await putRelease(A);
    for (const name of [`${A}.01`, `${B}.02`, `${C}.03`, `deleted.${C}.04`]) await mkdir(inApp("staging", name, "x"), { recursive: true });
    for (const name of [`${B}.manifest`, `${C}.manifest`, `${B}.manifest.new`]) await writeFile(inApp("releases", name), "{}");
    await store.prune("shop", [A, B]);
    expect(await readdir(inApp("staging"))).toEqual([`${B}.02`]);
    expect((await readdir(inApp("releases"))).sort()).toEqual([A, `${A}.manifest`, `${B}.manifest`]);
  });

  test("of an app that is not there does nothing", async () => {
    await store.prune("shop", []);
    expect(existsSync(inApp())).toBe(false);
  });
});

describe("removeApp", () => {
  test("deletes the app's folder and no other", async () => {
    await putRelease(A);
    await mkdir(join(dir, "apps/shop-web"), { recursive: true });
    await store.removeApp("shop");
    await store.removeApp("shop");
    expect(await readdir(join(dir, "apps"))).toEqual(["shop-web"]);
    expect(await readdir(join(dir, "removed"))).toEqual([]);
  });

  test("finishes a removal that was killed", async () => {
    await mkdir(join(dir, "removed/shop.0123/releases"), { recursive: true });
    await mkdir(join(dir, "removed/other.0123"), { recursive: true });
    await store.removeApp("shop");
    expect(await readdir(join(dir, "removed"))).toEqual(["other.0123"]);
  });
});

test("a name that is none never becomes a path", async () => {
  await expect(store.removeApp("../x")).rejects.toThrow("not an app's name");
  expect(() => store.releaseDir("shop", "../x")).toThrow("not a digest");
});
