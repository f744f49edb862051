import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Digest } from "./ids.ts";
import {
  CHUNK_BYTES_MAX,
  EMPTY_SHA256,
  encodeManifest,
  ENTRIES_MAX,
  FRAME_BYTES_MAX,
  MANIFEST_BYTES_MAX,
  MANIFEST_FORMAT,
  parseManifest,
  pathFault,
  targetFault,
  UNPACKED_BYTES_MAX,
  type Chunk,
  type FileEntry,
  type Manifest,
  type ManifestEntry,
} from "./manifest.ts";

function digest(seed: number): Digest {
  return seed.toString(16).padStart(64, "0") as Digest;
}

function chunk(over: Partial<Chunk> = {}): Chunk {
  return { sha256: digest(1), sizeBytes: 10, frameOffset: 0, frameBytes: 7, frameSha256: digest(2), ...over };
}

function file(path: string, over: Partial<FileEntry> = {}): FileEntry {
  return { type: "file", path, mode: 0o644, sizeBytes: 0, sha256: EMPTY_SHA256, chunks: [], ...over };
}

function dir(path: string): ManifestEntry {
  return { type: "dir", path, mode: 0o755 };
}

function manifest(entries: readonly ManifestEntry[], packBytes = 0): Manifest {
  return { format: MANIFEST_FORMAT, packBytes, entries };
}

/** One file of one chunk, one detail changed. */
function withChunk(over: Partial<Chunk>, packBytes = 7): Manifest {
  const only = chunk(over);
  return manifest([file("a", { sizeBytes: only.sizeBytes, sha256: only.sha256, chunks: [only] })], packBytes);
}

function refusal(given: Manifest | string | Uint8Array): string {
  const bytes = given instanceof Uint8Array ? given : typeof given === "string" ? new TextEncoder().encode(given) : encodeManifest(given);
  const parsed = parseManifest(bytes);
  return parsed.ok ? "accepted" : parsed.message;
}

/** Canonical text with one piece put in another's place. */
function changed(from: string, to: string): string {
  const text = new TextDecoder().decode(encodeManifest(manifest([dir("a"), file("a/b")])));
  expect(text).toContain(from);
  return text.replace(from, to);
}

const name = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 12 })
  .filter((text) => pathFault(text) === undefined && !text.includes("/"));

/** A valid manifest: a random tree whose chunks lie one after another in the pack. */
const anyManifest: fc.Arbitrary<Manifest> = fc
  .array(fc.tuple(fc.array(name, { minLength: 1, maxLength: 4 }), fc.constantFrom("file", "symlink", "dir"), fc.nat({ max: 3 }), fc.nat()), { maxLength: 20 })
  .map((wishes) => {
    const entries = new Map<string, ManifestEntry>();
    let packBytes = 0;
    for (const [names, type, chunkCount, seed] of wishes) {
      const parents = names.slice(0, -1).map((_, depth) => names.slice(0, depth + 1).join("/"));
      if (parents.some((parent) => (entries.get(parent)?.type ?? "dir") !== "dir")) continue;
      const path = names.join("/");
      if (entries.has(path)) continue;
      for (const parent of parents) entries.set(parent, dir(parent));
      if (type === "dir") entries.set(path, dir(path));
      else if (type === "symlink") entries.set(path, { type, path, target: `${"../".repeat(seed % names.length)}${names[0]}` });
      else {
        const chunks = Array.from({ length: chunkCount }, (_, index) => {
          const made = chunk({ sha256: digest(seed + index + 3), sizeBytes: 1 + (seed % CHUNK_BYTES_MAX), frameOffset: packBytes, frameBytes: 1 + (seed % 100) });
          packBytes += made.frameBytes;
          return made;
        });
        const sha256 = chunks.length === 0 ? EMPTY_SHA256 : chunks.length === 1 ? chunks[0]!.sha256 : digest(seed);
        entries.set(path, file(path, { mode: seed & 0o755, sizeBytes: chunks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0), sha256, chunks }));
      }
    }
    return manifest([...entries.values()].sort((a, b) => (a.path < b.path ? -1 : 1)), packBytes);
  });

describe("parseManifest", () => {
  test("gives back what was encoded", () => {
    fc.assert(fc.property(anyManifest, (given) => void expect(parseManifest(encodeManifest(given))).toEqual({ ok: true, manifest: given })));
  });

  test("accepts only the bytes that encodeManifest makes of what it read", () => {
    fc.assert(
      fc.property(anyManifest, fc.nat(), fc.nat({ max: 255 }), (given, at, byte) => {
        const bytes = encodeManifest(given);
        bytes[at % bytes.length] = byte;
        const parsed = parseManifest(bytes);
        if (parsed.ok) expect(encodeManifest(parsed.manifest)).toEqual(bytes);
      }),
    );
  });

  test("answers any bytes and any JSON with a value, never with a throw", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void expect(parseManifest(bytes).ok).toBe(false)));
    fc.assert(fc.property(fc.json(), (text) => void expect(refusal(text)).not.toBe("accepted")));
    expect(refusal(changed(`"${MANIFEST_FORMAT}"`, `${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}`))).toBe('format is no text; only "muster.manifest.v1" is known');
  });

  test("accepts an artifact of nothing, and one of empty files only", () => {
    expect(refusal(manifest([]))).toBe("accepted");
    expect(refusal(manifest([dir("a"), file("a/b")]))).toBe("accepted");
  });

  test("accepts chunks that share a frame", () => {
    const shared = chunk();
    const twice = [file("a", { sizeBytes: 10, sha256: shared.sha256, chunks: [shared] }), file("b", { sizeBytes: 20, sha256: digest(9), chunks: [shared, shared] })];
    expect(refusal(manifest(twice, 7))).toBe("accepted");
  });

  test("does not mind the order in which it is given entries to encode", () => {
    expect(encodeManifest(manifest([file("a/b"), dir("a")]))).toEqual(encodeManifest(manifest([dir("a"), file("a/b")])));
  });

  test.each<readonly [hostile: string, given: Manifest | string | Uint8Array, message: string]>([
    ["no bytes", "", "the manifest is not JSON"],
    ["bytes that are not UTF-8", new Uint8Array([0x22, 0xff, 0x22]), "the manifest is not UTF-8"],
    ["a byte order mark", `\ufeff${changed("", "")}`, "the manifest is not JSON"],
    ["too many bytes", new Uint8Array(MANIFEST_BYTES_MAX + 1), "the manifest has 16777217 bytes; at most 16777216 are allowed"],
    ["a list", "[]", "the manifest is not an object"],
    ["another format", changed("manifest.v1", "manifest.v2"), 'format is "muster.manifest.v2"; only "muster.manifest.v1" is known'],
    ["a key missing", changed('"packBytes":0,', ""), "the manifest: packBytes is missing"],
    ["an unknown key", changed('"packBytes":0', '"packBytes":0,"x":1'), 'the manifest: "x" is unknown'],
    ["a __proto__ key", changed('"mode":493', '"mode":493,"__proto__":{}'), 'entries[0]: "__proto__" is unknown'],
    ["a key twice", changed('"packBytes":0', '"packBytes":9,"packBytes":0'), "the manifest is not in canonical form (order of keys, blanks, numbers, escapes)"],
    ["a blank", changed(":[{", ": [{"), "the manifest is not in canonical form (order of keys, blanks, numbers, escapes)"],
    ["a line at the end", `${changed("", "")}\n`, "the manifest is not in canonical form (order of keys, blanks, numbers, escapes)"],
    ["a number written otherwise", changed('"mode":493', '"mode":4.93e2'), "the manifest is not in canonical form (order of keys, blanks, numbers, escapes)"],
    ["minus zero", changed('"packBytes":0', '"packBytes":-0'), "the manifest is not in canonical form (order of keys, blanks, numbers, escapes)"],
    ["a needless escape", changed('"a/b"', '"a\\/b"'), "the manifest is not in canonical form (order of keys, blanks, numbers, escapes)"],
    ["keys in another order", changed('"type":"dir","path":"a"', '"path":"a","type":"dir"'), "the manifest is not in canonical form (order of keys, blanks, numbers, escapes)"],
    ["an entry of another type", changed('"dir"', '"fifo"'), 'entries[0]: type is "fifo"; it must be "file", "dir" or "symlink"'],
    ["an entry that is no object", changed('{"type":"dir","path":"a","mode":493}', "null"), 'entries[0]: type is undefined; it must be "file", "dir" or "symlink"'],
    ["a path that is no text", changed('"a"', "7"), "entries[0]: path is not a text"],
    ["an empty path", manifest([file("")]), 'entries[0]: the path "" is empty'],
    ["an absolute path", manifest([file("/etc/passwd")]), 'entries[0]: the path "/etc/passwd" is absolute'],
    ["a path that leads outside", manifest([file("../x")]), 'entries[0]: the path "../x" has an empty, "." or ".." part'],
    ["a path with a dot", manifest([file("./x")]), 'entries[0]: the path "./x" has an empty, "." or ".." part'],
    ["a path with an empty part", manifest([dir("a"), file("a//b")]), 'entries[1]: the path "a//b" has an empty, "." or ".." part'],
    ["a path with a slash at the end", manifest([dir("a/")]), 'entries[0]: the path "a/" has an empty, "." or ".." part'],
    ["a path with a NUL", manifest([file("a\0b")]), 'entries[0]: the path "a\\u0000b" contains a NUL'],
    ["a path with half a character", manifest([file("a\ud800")]), 'entries[0]: the path "a\\ud800" is not well-formed Unicode'],
    ["a path too long", manifest([file("a/".repeat(2048) + "a")]), `entries[0]: the path "${"a/".repeat(100)}"… is longer than 4096 bytes`],
    ["a name too long in bytes", manifest([file("é".repeat(128))]), `entries[0]: the path "${"é".repeat(128)}" has a name longer than 255 bytes`],
    ["an entry twice", manifest([file("a"), file("a")]), 'entry "a" is there twice'],
    ["entries out of order", changed('{"type":"dir","path":"a","mode":493}', '{"type":"dir","path":"b","mode":493}'), 'entry "a/b" is not in the order of paths: it comes after "b"'],
    ["a file without its directory", manifest([file("a/b")]), 'entry "a/b": "a" is not a directory of the manifest'],
    ["a file below a file", manifest([file("a"), file("a/b")]), 'entry "a/b": "a" is not a directory of the manifest'],
    ["a file below a symlink", manifest([{ type: "symlink", path: "a", target: "b" }, file("a/b")]), 'entry "a/b": "a" is not a directory of the manifest'],
    ["an absolute target", manifest([{ type: "symlink", path: "a", target: "/etc" }]), 'entry "a": the target "/etc" is absolute'],
    ["a target outside", manifest([dir("a"), { type: "symlink", path: "a/b", target: "../../x" }]), 'entry "a/b": the target "../../x" leads outside'],
    ["a target through another link", manifest([dir("a"), { type: "symlink", path: "a/b", target: "c/../../.." }]), 'entry "a/b": the target "c/../../.." has ".." after a name'],
    ["a setuid bit", manifest([file("a", { mode: 0o4755 })]), 'entry "a": mode is 2541; it must be from 0 to 493'],
    ["a file that all may write", manifest([file("a", { mode: 0o466 })]), 'entry "a": mode 0466 has bits outside 0755'],
    ["a negative size", manifest([file("a", { sizeBytes: -1 })]), `entry "a": sizeBytes is -1; it must be from 0 to ${UNPACKED_BYTES_MAX}`],
    ["a size that is no whole number", changed('"sizeBytes":0', '"sizeBytes":0.5'), 'entry "a/b": sizeBytes is not a whole number'],
    ["a size beyond what numbers hold", changed('"packBytes":0', '"packBytes":9007199254740993'), "packBytes is not a whole number"],
    ["a size written as text", changed('"sizeBytes":0', '"sizeBytes":"0"'), 'entry "a/b": sizeBytes is not a whole number'],
    ["chunks that do not add up", manifest([file("a", { sizeBytes: 11, sha256: digest(1), chunks: [chunk()] })], 7), 'entry "a": the chunks have 10 bytes together, the file 11'],
    ["a size without chunks", manifest([file("a", { sizeBytes: 1 })]), 'entry "a": the chunks have 0 bytes together, the file 1'],
    ["a digest of other content", manifest([file("a", { sizeBytes: 10, sha256: digest(5), chunks: [chunk()] })], 7), `entry "a": sha256 is not that of its content, ${digest(1)}`],
    ["a digest of something for nothing", manifest([file("a", { sha256: digest(5) })]), `entry "a": sha256 is not that of its content, ${EMPTY_SHA256}`],
    ["a digest in capitals", changed(EMPTY_SHA256, EMPTY_SHA256.toUpperCase()), 'entry "a/b": sha256 is not 64 lower-case hex digits'],
    ["an empty chunk", withChunk({ sizeBytes: 0 }), 'entry "a": chunks[0].sizeBytes is 0; it must be from 1 to 4194304'],
    ["a chunk too large", withChunk({ sizeBytes: CHUNK_BYTES_MAX + 1 }), 'entry "a": chunks[0].sizeBytes is 4194305; it must be from 1 to 4194304'],
    ["a frame too large", withChunk({ frameBytes: FRAME_BYTES_MAX + 1 }, FRAME_BYTES_MAX + 1), 'entry "a": chunks[0].frameBytes is 4259841; it must be from 1 to 4259840'],
    ["a frame that ends outside the pack", withChunk({ frameBytes: 8 }), "the frames end at 8, outside the pack of 7 bytes"],
    ["a frame that begins late", withChunk({ frameOffset: 1, frameBytes: 6 }), "bytes 0 to 1 of the pack are in no frame"],
    ["a pack with bytes at the end", withChunk({ frameBytes: 6 }), "bytes 6 to 7 of the pack are in no frame"],
    ["a pack for nothing", manifest([], 7), "bytes 0 to 7 of the pack are in no frame"],
    ["frames that overlap", manifest([file("a", { sizeBytes: 20, sha256: digest(9), chunks: [chunk(), chunk({ frameOffset: 3 })] })], 10), "the frame at 3 overlaps another"],
    ["two stories of one frame", manifest([file("a", { sizeBytes: 20, sha256: digest(9), chunks: [chunk(), chunk({ sha256: digest(7) })] })], 7), 'entry "a": another chunk says otherwise of the frame at 0'],
    ["more entries than allowed", `{"format":"${MANIFEST_FORMAT}","packBytes":0,"entries":[${"0,".repeat(ENTRIES_MAX)}0]}`, "there are 200001 entries; at most 200000 are allowed"],
    ["more bytes than allowed when unpacked", manifest([bomb("a"), bomb("b")], 7), `the files have more than ${UNPACKED_BYTES_MAX} bytes together`],
  ])("refuses %s", (_, given, message) => {
    expect(refusal(given)).toBe(message);
  });
});

/** A file of the largest size, every chunk in one small frame. */
function bomb(path: string): FileEntry {
  const one = chunk({ sizeBytes: CHUNK_BYTES_MAX });
  return file(path, { sizeBytes: UNPACKED_BYTES_MAX, sha256: digest(9), chunks: Array.from({ length: UNPACKED_BYTES_MAX / CHUNK_BYTES_MAX }, () => one) });
}

describe("targetFault", () => {
  test.each([
    ["a", "b"],
    ["a", "./b/c"],
    ["a/b/c", "../../d"],
    ["node_modules/.bin/tool", "../tool/cli.js"],
    ["a/b", ".."],
  ])("allows %s to lead to %s", (path, target) => {
    expect(targetFault(path, target)).toBeUndefined();
  });
});
