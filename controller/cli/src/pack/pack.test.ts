import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { appendFileSync, chmodSync, closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdDecompressSync } from "node:zlib";
import { CHUNK_BYTES_MAX, EMPTY_SHA256, parseManifest, type FileEntry, type Manifest } from "@muster/proto/manifest.ts";
import * as tar from "tar";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { TAR_END, tarOf, tarPart, zipOf, type TarPart, type ZipPart } from "./archives.fixture.ts";
import { packArtifact, type PackedArtifact, type PackOptions } from "./pack.ts";
import { PackError } from "./pack-error.ts";

let home: string;
let scratchDir: string;
let source: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "muster-pack-"));
  scratchDir = join(home, "scratch");
  source = join(home, "source");
  mkdirSync(scratchDir);
  mkdirSync(source);
});

afterEach(() => {
  rmSync(home, { recursive: true, force: true });
});

function write(files: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(source, path, ".."), { recursive: true });
    writeFileSync(join(source, path), content);
  }
}

function archive(name: string, bytes: Uint8Array): string {
  const path = join(home, name);
  writeFileSync(path, bytes);
  return path;
}

/** Each time in a scratch directory of its own, which is empty again afterwards when packing failed. */
async function pack(path: string, options: Partial<PackOptions> = {}): Promise<PackedArtifact> {
  return packArtifact(path, { scratchDir: mkdtempSync(join(scratchDir, "x-")), ...options });
}

async function failure(path: string, options: Partial<PackOptions> = {}): Promise<PackError> {
  const own = mkdtempSync(join(scratchDir, "x-"));
  const error: unknown = await packArtifact(path, { scratchDir: own, ...options }).then(
    () => new Error("packed"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof PackError)) throw error;
  expect(readdirSync(own)).toEqual([]);
  return error;
}

function manifestOf(packed: PackedArtifact): Manifest {
  const parsed = parseManifest(packed.manifestBytes);
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.manifest;
}

function fileOf(manifest: Manifest, path: string): FileEntry {
  const entry = manifest.entries.find((candidate) => candidate.path === path);
  if (entry?.type !== "file") throw new Error(`${path} is not a file of the manifest`);
  return entry;
}

/** As an agent does it: from the pack, by the manifest. */
function unpacked(packed: PackedArtifact, path: string): Buffer {
  const bytes = readFileSync(packed.packPath);
  const { chunks } = fileOf(manifestOf(packed), path);
  return Buffer.concat(chunks.map(({ frameOffset, frameBytes }) => zstdDecompressSync(bytes.subarray(frameOffset, frameOffset + frameBytes))));
}

function sha256(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

const NOBODY = 65_534;

/** Root may read everything: as root, `work` is done as somebody who owns nothing but the scratch directory. */
async function withoutPrivileges<T>(work: () => Promise<T>): Promise<T> {
  if (process.getuid?.() !== 0) return work();
  for (const dir of [home, scratchDir]) chmodSync(dir, 0o777);
  process.seteuid!(NOBODY);
  try {
    return await work();
  } finally {
    process.seteuid!(0);
  }
}

describe("packArtifact", () => {
  test("makes a manifest and a pack from which every file comes back", async () => {
    const big = randomBytes(2 * CHUNK_BYTES_MAX + 5);
    write({ "server.js": "listen()", "data/big.bin": big, "data/empty": "" });
    chmodSync(join(source, "server.js"), 0o777);
    mkdirSync(join(source, "logs"));
    symlinkSync("../server.js", join(source, "data/link"));
    const packed = await pack(source);
    const manifest = manifestOf(packed);
    expect(manifest.entries.map(({ type, path }) => `${type} ${path}`)).toEqual(["dir data", "file data/big.bin", "file data/empty", "symlink data/link", "dir logs", "file server.js"]);
    expect(fileOf(manifest, "server.js")).toMatchObject({ mode: 0o755, sizeBytes: 8, sha256: sha256("listen()") });
    expect(fileOf(manifest, "data/big.bin").chunks.map(({ sizeBytes }) => sizeBytes)).toEqual([CHUNK_BYTES_MAX, CHUNK_BYTES_MAX, 5]);
    expect(fileOf(manifest, "data/empty")).toMatchObject({ sizeBytes: 0, sha256: EMPTY_SHA256, chunks: [] });
    expect(unpacked(packed, "data/big.bin").equals(big)).toBe(true);
    expect(packed).toMatchObject({ digest: sha256(packed.manifestBytes), packBytes: readFileSync(packed.packPath).length, fileCount: 3, sizeBytes: big.length + 8 });
  });

  test("stores equal content once", async () => {
    const content = randomBytes(1000);
    write({ a: content, b: content, "c/d": content });
    const packed = await pack(source);
    expect(packed.packBytes).toBeLessThan(1100);
    expect(unpacked(packed, "c/d").equals(content)).toBe(true);
  });

  test("packs a directory with nothing but an empty one in it", async () => {
    mkdirSync(join(source, "logs"));
    expect(await pack(source)).toMatchObject({ packBytes: 0, fileCount: 0, sizeBytes: 0 });
  });

  test("keeps write permission of others and setuid out", async () => {
    write({ a: "a" });
    chmodSync(join(source, "a"), 0o4766);
    expect(fileOf(manifestOf(await pack(source)), "a").mode).toBe(0o744);
  });

  test("gives the same content the same digest from a directory, a tar, a tgz and a zip, in whatever order they come", async () => {
    const big = randomBytes(CHUNK_BYTES_MAX + 1);
    const long = `${"long-".repeat(30)}é/${"x".repeat(120)}`;
    write({ "a-b": "1", "a/b": "2", "a/z": big, ä: "3", [long]: "4" });
    symlinkSync("../a-b", join(source, "a/link"));
    const fromDirectory = await pack(source);

    const names = ["ä", "a-b", long.split("/")[0]!, "a"];
    await tar.create({ cwd: source, file: join(home, "x.tar"), mtime: new Date(7) }, names);
    await tar.create({ cwd: source, file: join(home, "x.tar.gz"), gzip: true, prefix: "." }, names.toReversed());
    const unix = 0o100644;
    const zipped: ZipPart[] = [
      { name: "a/z", content: big, unixMode: unix },
      { name: long, content: "4", unixMode: unix },
      { name: "ä", content: "3", unixMode: unix },
      { name: "a/link", content: "../a-b", unixMode: 0o120777 },
      { name: "a/", unixMode: 0o040755 },
      { name: "a/b", content: "2", unixMode: unix },
      { name: "a-b", content: "1", unixMode: unix },
    ];
    const others = [join(home, "x.tar"), join(home, "x.tar.gz"), archive("x.tgz", readFileSync(join(home, "x.tar"))), archive("x.zip", zipOf(...zipped))];
    for (const other of others) {
      const packed = await pack(other);
      expect(packed.digest, other).toBe(fromDirectory.digest);
      expect(readFileSync(packed.packPath).equals(readFileSync(fromDirectory.packPath)), other).toBe(true);
    }
  });

  test("keeps a single top-level folder of an archive", async () => {
    const packed = await pack(archive("x.tar", tarOf({ path: "./", type: "Directory" }, { path: "./only/a", content: "a" })));
    expect(manifestOf(packed).entries.map(({ path }) => path)).toEqual(["only", "only/a"]);
  });

  test("takes a hard link in a tar as a second file of the same content and mode", async () => {
    const packed = await pack(archive("x.tar", tarOf({ path: "a", content: "text", mode: 0o755 }, { path: "b", type: "Link", linkpath: "./a" })));
    expect(fileOf(manifestOf(packed), "b")).toEqual({ ...fileOf(manifestOf(packed), "a"), path: "b" });
    expect(packed).toMatchObject({ fileCount: 2, sizeBytes: 8 });
  });

  test("takes a zip made by DOS, with its backslashes", async () => {
    const packed = await pack(archive("x.zip", zipOf({ name: "a\\b.txt", content: "text" }, { name: "c\\" })));
    expect(manifestOf(packed).entries.map(({ type, path }) => `${type} ${path}`)).toEqual(["dir a", "file a/b.txt", "dir c"]);
  });

  test("reports files and bytes as they are done", async () => {
    write({ a: "12345", b: "678" });
    const seen: unknown[] = [];
    await pack(source, { onProgress: (progress) => seen.push(progress) });
    expect(seen[0]).toEqual({ filesDone: 0, filesTotal: 2, bytesDone: 0 });
    expect(seen.at(-1)).toEqual({ filesDone: 2, filesTotal: 2, bytesDone: 8 });
  });

  test("stops when it is aborted, and leaves nothing behind", async () => {
    write({ a: randomBytes(3 * CHUNK_BYTES_MAX), b: "b" });
    const controller = new AbortController();
    const error = await failure(source, { signal: controller.signal, onProgress: ({ bytesDone }) => bytesDone > 0 && controller.abort() });
    expect(error).toMatchObject({ code: "aborted", path: source });
  });

  test.each(["a/b", "c", "", "new"])('notices that "%s" changed while it was packed', async (changing) => {
    write({ "a/a": randomBytes(CHUNK_BYTES_MAX), "a/b": "before", c: "before" });
    let changed = false;
    const onProgress = ({ bytesDone }: { readonly bytesDone: number }) => {
      if (changed || bytesDone === 0) return;
      changed = true;
      if (changing === "") unlinkSync(join(source, "c"));
      else appendFileSync(join(source, changing), "after");
    };
    const error = await failure(source, { onProgress });
    expect(error.code).toBe("changed");
    expect(error.message).toBe(
      changing === "new" ? `${source}: "." changed while it was packed: files came or went` : `${source}: "${changing === "" ? "c" : changing}" changed while it was packed`,
    );
  });
});

describe("packArtifact refuses, of a directory,", () => {
  test("a path where nothing is", async () => {
    expect(await failure(join(home, "none"))).toMatchObject({ code: "not_found", message: `${home}/none: no such file or directory` });
    write({ a: "a" });
    expect(await failure(join(source, "a/b"))).toMatchObject({ code: "not_found" });
  });

  test("a file that is no archive by its name", async () => {
    expect(await failure(archive("x.rar", Buffer.from("x")))).toMatchObject({ code: "not_supported", message: `${home}/x.rar: neither a directory nor a .tar, .tar.gz, .tgz or .zip file` });
  });

  test("a directory with nothing in it", async () => {
    expect(await failure(source)).toMatchObject({ code: "refused", message: `${source}: there is nothing in it; was it built?` });
  });

  test("a symlink that leads outside, with its target", async () => {
    mkdirSync(join(source, "a"));
    symlinkSync("../../secret", join(source, "a/link"));
    expect(await failure(source)).toMatchObject({ code: "refused", path: "a/link", message: `${source}: "a/link" is a symlink to "../../secret", which leads outside` });
  });

  test("an absolute symlink", async () => {
    symlinkSync("/etc/passwd", join(source, "link"));
    expect((await failure(source)).message).toBe(`${source}: "link" is a symlink to "/etc/passwd", which is absolute`);
  });

  test("a fifo", async () => {
    execFileSync("mkfifo", [join(source, "pipe")]);
    expect(await failure(source)).toMatchObject({ code: "refused", message: `${source}: "pipe" is a fifo; only files, directories and symlinks can be packed` });
  });

  test("a socket", async () => {
    const server = createServer().listen(join(source, "s"));
    await new Promise((resolve) => server.once("listening", resolve));
    try {
      expect((await failure(source)).message).toBe(`${source}: "s" is a socket; only files, directories and symlinks can be packed`);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  test("a name that is not UTF-8", async () => {
    writeFileSync(Buffer.concat([Buffer.from(`${source}/caf`), Buffer.from([0xe9])]), "");
    expect(await failure(source)).toMatchObject({ code: "refused", message: `${source}: "café" has a name that is not UTF-8` });
  });

  test("a file that can't be read", async () => {
    write({ "a/b": "secret" });
    chmodSync(join(source, "a/b"), 0);
    expect(await withoutPrivileges(() => failure(source))).toMatchObject({ code: "unreadable", path: "a/b", message: `${source}: "a/b" can't be read (EACCES: permission denied)` });
  });

  test("files of more than 8 GiB together", async () => {
    const file = openSync(join(source, "huge"), "w");
    ftruncateSync(file, 9 * 1024 ** 3);
    closeSync(file);
    expect(await failure(source)).toMatchObject({ code: "too_large", message: `${source}: "huge" goes beyond the limit: at most 8589934592 bytes are allowed, unpacked` });
  });

  test("to write into a scratch directory that is not there", async () => {
    const error = await packArtifact(source, { scratchDir: join(home, "none") }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "scratch_failed", message: `${home}/none: can't be written (ENOENT: no such file or directory)` });
  });
});

describe("packArtifact refuses, of a tar,", () => {
  test.each<readonly [what: string, parts: readonly TarPart[], message: string]>([
    ["a path that leads outside", [{ path: "../evil" }], '"../evil" has an empty, "." or ".." part'],
    ["a path that leads outside in the middle", [{ path: "a/../../evil" }], '"a/../../evil" has an empty, "." or ".." part'],
    ["an absolute path", [{ path: "/etc/cron.d/evil" }], '"/etc/cron.d/evil" is absolute'],
    ["a symlink that leads outside", [{ path: "l", type: "SymbolicLink", linkpath: "../x" }], '"l" is a symlink to "../x", which leads outside'],
    ["a file below a symlink", [{ path: "l", type: "SymbolicLink", linkpath: "d" }, { path: "l/x" }], '"l/x" is below "l", which is a symlink'],
    ["a file below a file", [{ path: "f" }, { path: "f/x" }], '"f/x" is below "f", which is a file'],
    ["a file where a directory is", [{ path: "d/x" }, { path: "d" }], '"d" is a file, but there are files below it'],
    ["an entry twice", [{ path: "a" }, { path: "./a" }], '"a" is there twice'],
    ["a hard link to what is not there", [{ path: "l", type: "Link", linkpath: "/etc/shadow" }], '"l" is a hard link to "/etc/shadow", which is not a file before it in the archive'],
    ["a hard link to a symlink", [{ path: "s", type: "SymbolicLink", linkpath: "x" }, { path: "l", type: "Link", linkpath: "s" }], '"l" is a hard link to "s", which is not a file before it in the archive'],
    ["a device", [{ path: "sda", type: "BlockDevice" }], '"sda" is a block device; only files, directories and links can be packed'],
    ["a fifo", [{ path: "p", type: "FIFO" }], '"p" is a fifo; only files, directories and links can be packed'],
    ["an entry of a kind nobody knows", [{ path: "x", type: "SparseFile" }], '"x" is of a kind that is not supported (sparse file)'],
    ["the root as a file", [{ path: "/" }], '"/" is absolute'],
  ])("%s", async (_, parts, message) => {
    const path = archive("x.tar", tarOf({ path: "before", content: "x".repeat(2000) }, ...parts));
    const error = await failure(path);
    expect(error).toMatchObject({ code: "refused", message: `${path}: ${message}` });
  });

  test("a file that claims more than 8 GiB, before a byte of it is read", async () => {
    const path = archive("x.tar.gz", gzipSync(tarPart({ path: "bomb", size: 9 * 1024 ** 3 })));
    expect(await failure(path)).toMatchObject({ code: "too_large", message: `${path}: "bomb" goes beyond the limit: at most 8589934592 bytes are allowed, unpacked` });
  });

  test("a name that is not UTF-8", async () => {
    const bytes = tarPart({ path: "cafe" });
    const fixed = new tar.Header(bytes);
    bytes[3] = 0xe9;
    bytes.write(`${((fixed.cksum ?? 0) - 0x65 + 0xe9).toString(8).padStart(6, "0")}\0 `, 148);
    expect((await failure(archive("x.tar", Buffer.concat([bytes, TAR_END])))).message).toMatch(/"caf\ufffd" has a name or target that is not UTF-8$/);
  });

  const good = tarOf({ path: "a", content: "a".repeat(5000) }, { path: "b", content: "b" });
  test.each<readonly [what: string, name: string, bytes: Buffer, message: string | RegExp]>([
    ["no bytes", "x.tar", Buffer.alloc(0), "the archive is empty (0 bytes)"],
    ["no bytes under another name", "x.tgz", Buffer.alloc(0), "the archive is empty (0 bytes)"],
    ["something else", "x.tar", Buffer.from("hello ".repeat(500)), /^not a tar archive, or a damaged one/],
    ["something shorter than a block", "x.tar", Buffer.from("hello"), /^not a tar archive, or a damaged one/],
    ["an end in the middle of a file", "x.tar", good.subarray(0, 3000), /^the archive is cut off/],
    ["an end between two files", "x.tar", good.subarray(0, 512 + 5120), "the archive is cut off: its end mark is missing"],
    ["a gzip cut off", "x.tar.gz", gzipSync(good).subarray(0, -20), "the archive is cut off"],
    ["a gzip with a wrong sum", "x.tar.gz", flipped(gzipSync(good), -6), /^the archive is damaged/],
    ["a gzip in a gzip", "x.tar.gz", gzipSync(gzipSync(good)), "not a tar archive: gzipped twice"],
    ["a header with a wrong sum", "x.tar", flipped(good, 2), /^not a tar archive, or a damaged one/],
  ])("%s", async (_, name, bytes, message) => {
    const path = archive(name, bytes);
    const error = await failure(path);
    expect(error.code).toBe("bad_archive");
    expect(error.message.slice(path.length + 2)).toMatch(message);
  });
});

describe("packArtifact refuses, of a zip,", () => {
  test.each<readonly [what: string, parts: readonly ZipPart[], message: string]>([
    ["a path that leads outside", [{ name: "../evil" }], '"../evil" has an empty, "." or ".." part'],
    ["a DOS path that leads outside", [{ name: "..\\evil" }], '"../evil" has an empty, "." or ".." part'],
    ["an absolute path", [{ name: "/evil" }], '"/evil" is absolute'],
    ["a symlink that leads outside", [{ name: "l", content: "../x", unixMode: 0o120777 }], '"l" is a symlink to "../x", which leads outside'],
    ["a device", [{ name: "d", unixMode: 0o060644 }], '"d" is a device, fifo or socket; only files, directories and symlinks can be packed'],
    ["an entry twice", [{ name: "a" }, { name: "a" }], '"a" is there twice'],
    ["a name that is not UTF-8", [{ name: new Uint8Array([0x63, 0x82]), flags: 0 }], '"c\x82" has a name that is not UTF-8'],
    ["an encrypted file", [{ name: "a", flags: 0x801 }], '"a" is encrypted'],
  ])("%s", async (_, parts, message) => {
    const path = archive("x.zip", zipOf({ name: "0" }, ...parts));
    expect(await failure(path)).toMatchObject({ code: "refused", message: `${path}: ${message}` });
  });

  const good = zipOf({ name: "a", content: "text" });
  test.each<readonly [what: string, bytes: Buffer, message: RegExp]>([
    ["no bytes", Buffer.alloc(0), /: the archive is empty \(0 bytes\)$/],
    ["something else", Buffer.from("hello".repeat(100)), /: not a zip archive, or a damaged or cut off one/],
    ["an archive cut off", good.subarray(0, -10), /: not a zip archive, or a damaged or cut off one/],
    ["content that is not what the CRC says", zipOf({ name: "a", content: "text", crc: 1 }), /: "a" is damaged: its CRC is not what the archive says$/],
    ["more content than is claimed", zipOf({ name: "a", content: "text", claimedBytes: 3 }), /: "a" can't be unpacked/],
    ["a tar under its name", tarOf({ path: "a" }), /: not a zip archive, or a damaged or cut off one/],
  ])("%s", async (_, bytes, message) => {
    const error = await failure(archive("x.zip", bytes));
    expect(error.code).toBe("bad_archive");
    expect(error.message).toMatch(message);
  });
});

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  const index = at < 0 ? copy.length + at : at;
  copy[index] = copy[index]! ^ 0xff;
  return copy;
}
