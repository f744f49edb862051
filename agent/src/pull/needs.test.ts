import { describe, expect, test } from "vitest";
import type { ManifestEntry } from "@muster/proto/manifest.ts";
import { makeArtifact } from "./artifact.fixture.ts";
import { needsOf, unsafePath } from "./needs.ts";

function unsafeIn(...entries: readonly ManifestEntry[]): string | undefined {
  return unsafePath({ ...makeArtifact({}).manifest, entries });
}

function file(path: string): ManifestEntry {
  const [entry] = makeArtifact({ x: "x" }).manifest.entries as [ManifestEntry];
  return { ...entry, path };
}

const dir = (path: string): ManifestEntry => ({ type: "dir", path, mode: 0o755 });
const link = (path: string): ManifestEntry => ({ type: "symlink", path, target: "x" });

describe("paths, asked again where files are written", () => {
  test.each(["", "/a", "../a", "a/../b", "./a", "a//b", "a/", "a\0b", "\ud800"])("%j is unsafe", (path) => {
    expect(unsafeIn(dir("a"), file(path))).toBe(path);
  });

  test("a file below a symlink, below a file, or below nothing is unsafe", () => {
    expect(unsafeIn(link("l"), file("l/a"))).toBe("l/a");
    expect(unsafeIn(file("f"), file("f/a"))).toBe("f/a");
    expect(unsafeIn(file("d/a"))).toBe("d/a");
  });

  test("a path that comes twice is unsafe", () => {
    expect(unsafeIn(link("a"), file("a"))).toBe("a");
  });

  test("an ordinary tree is safe", () => {
    expect(unsafeIn(dir("a"), dir("a/b"), file("a/b/c"), link("z"), file("..a"))).toBeUndefined();
  });
});

test("equal chunks are one need with all their places", () => {
  const { manifest } = makeArtifact({ a: "aabb", b: "bb" }, 2);
  const places = [...needsOf(manifest).values()].map((need) => need.places);
  expect(places).toEqual([
    [{ path: "a", offset: 0 }],
    [
      { path: "a", offset: 2 },
      { path: "b", offset: 0 },
    ],
  ]);
});
