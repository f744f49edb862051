/**
 * Artifacts that can't be used: by a command, as a file or folder; and by a client of the API, as bytes. Nothing of them is kept.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32, gzipSync, zstdCompressSync } from "node:zlib";
import { credentials, type ServiceError, status } from "@grpc/grpc-js";
import { ArtifactsServiceClient, type PushArtifactRequest } from "@muster/proto/gen/muster/v1/artifacts.ts";
import type { Digest } from "@muster/proto/ids.ts";
import { encodeManifest, MANIFEST_FORMAT } from "@muster/proto/manifest.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { asOrdinary, type BadInput, describeBadInput, EXIT, MUSTER, pictureOf } from "./bad-input.ts";
import { DevFleet } from "./fleet.ts";

/** Pushes what `make` has put at `name`. */
function pushed(kind: string, name: string, make: (path: string) => void, says: RegExp): BadInput {
  return {
    kind,
    command: (at) => {
      make(join(at, name));
      return ["artifact", "push", name];
    },
    exit: EXIT.badInput,
    says,
  };
}

function folder(kind: string, make: (dir: string) => void, says: RegExp): BadInput {
  const made = (dir: string): void => {
    mkdirSync(dir);
    make(dir);
  };
  return pushed(kind, "dist", made, says);
}

function archive(kind: string, name: string, content: Buffer, says: RegExp): BadInput {
  return pushed(kind, name, (path) => writeFileSync(path, content), says);
}

interface TarEntry {
  readonly name: string;
  /** As in a tar's header: 0 file, 2 symlink, 3 device. */
  readonly type?: "0" | "2" | "3";
  readonly target?: string;
}

/** The old format, which every reader takes. Each file says "x". */
function tarOf(...entries: readonly TarEntry[]): Buffer {
  const parts = entries.map(({ name, type = "0", target = "" }) => {
    const content = type === "0" ? "x" : "";
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write("0000644\0", 100);
    header.write(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
    header.write("00000000000\0", 136);
    header.write("        ", 148);
    header.write(type, 156);
    header.write(target, 157);
    header.write("ustar\x0000", 257);
    header.write(`${header.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, "0")}\0 `, 148);
    return Buffer.concat([header, Buffer.alloc(content === "" ? 0 : 512, content.padEnd(512, "\0"))]);
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

/** One stored file. */
function zipOf(name: string, content: string): Buffer {
  const common = Buffer.alloc(26);
  common.writeUInt16LE(20, 0);
  common.writeUInt16LE(0x800, 2);
  common.writeUInt32LE(crc32(content), 10);
  common.writeUInt32LE(content.length, 14);
  common.writeUInt32LE(content.length, 18);
  common.writeUInt16LE(name.length, 22);
  const local = Buffer.concat([Buffer.from("PK\x03\x04"), common, Buffer.from(name + content)]);
  const central = Buffer.concat([Buffer.from("PK\x01\x02\x14\x03"), common, Buffer.alloc(14), Buffer.from(name)]);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(local.length, 16);
  return Buffer.concat([local, central, end]);
}

const YAML = (version: string, artifact: string): string =>
  `app: shop\nversion: ${version}\nartifact: ${artifact}\nrun: { driver: files }\nrollout: { targets: role=web, min_healthy_time: 0s }\n`;

const TABLE: readonly BadInput[] = [
  { kind: "an artifact that is not there", command: () => ["artifact", "push", "nope"], exit: EXIT.badInput, says: /^muster: <at>\/nope: no such file or directory\n$/ },
  {
    kind: "a deployment file whose artifact is not there",
    command: (at) => {
      writeFileSync(join(at, "muster.yaml"), YAML("2", "./dist"));
      return ["deploy", "-f", "muster.yaml"];
    },
    exit: EXIT.badInput,
    says: /^muster: muster\.yaml artifact: <at>\/dist: no such file or directory; nothing was deployed\n$/,
  },
  {
    kind: "a version that exists with other files",
    command: (at) => {
      mkdirSync(join(at, "dist"));
      writeFileSync(join(at, "dist", "index.html"), "other");
      writeFileSync(join(at, "muster.yaml"), YAML("1", "./dist"));
      return ["deploy", "-f", "muster.yaml"];
    },
    exit: EXIT.badInput,
    says: /^muster: shop@1 exists with other content \(its files differ\); a release never changes: give this one a new version\n$/,
  },
  {
    kind: "a version that exists and is run in another way",
    command: (at) => {
      mkdirSync(join(at, "dist"));
      writeFileSync(join(at, "dist", "s.js"), "other");
      writeFileSync(join(at, "muster.yaml"), YAML("1", "./dist").replace("{ driver: files }", "{ command: [node, s.js] }"));
      return ["deploy", "-f", "muster.yaml"];
    },
    exit: EXIT.badInput,
    says: /^muster: shop@1 exists with other content \(how it is run differs\); a release never changes: give this one a new version\n$/,
  },
  folder("a folder with nothing in it", () => {}, /^muster: <at>\/dist: there is nothing in it; was it built\?\n$/),
  folder("a symlink that leads outside", (dir) => symlinkSync("../../secret", join(dir, "out")), /^muster: <at>\/dist: "out" is a symlink to "\.\.\/\.\.\/secret", which leads outside\n$/),
  folder("a symlink that is absolute", (dir) => symlinkSync("/etc/passwd", join(dir, "out")), /^muster: <at>\/dist: "out" is a symlink to "\/etc\/passwd", which is absolute\n$/),
  folder("a fifo", (dir) => execFileSync("mkfifo", [join(dir, "pipe")]), /^muster: <at>\/dist: "pipe" is a fifo; only files, directories and symlinks can be packed\n$/),
  folder("a name that is not UTF-8", (dir) => writeFileSync(Buffer.from(`${dir}/caf\xe9`, "latin1"), "x"), /^muster: <at>\/dist: "café" has a name that is not UTF-8\n$/),
  {
    kind: "a file without permission to read it",
    command: (at, fleet) => {
      mkdirSync(join(at, "dist"));
      writeFileSync(join(at, "dist", "secret"), "x");
      chmodSync(join(at, "dist", "secret"), 0o000);
      return asOrdinary([...MUSTER, "artifact", "push", "dist", "--address", `unix:${fleet.file().controller.socket}`]);
    },
    exit: EXIT.badInput,
    says: /^muster: <at>\/dist: "secret" can't be read \(EACCES: permission denied\)\n$/,
  },
  archive("an archive of no known kind", "x.rar", Buffer.from("Rar!"), /^muster: <at>\/x\.rar: neither a directory nor a \.tar, \.tar\.gz, \.tgz or \.zip file\n$/),
  archive("a .tar.gz of 0 bytes", "x.tar.gz", Buffer.alloc(0), /^muster: <at>\/x\.tar\.gz: the archive is empty \(0 bytes\)\n$/),
  archive("a .tgz that is cut off", "x.tgz", gzipSync(tarOf({ name: "a" })).subarray(0, -20), /^muster: <at>\/x\.tgz: the archive is cut off\n$/),
  archive("a .tar that is cut off", "x.tar", tarOf({ name: "a" }, { name: "b" }).subarray(0, 1024), /^muster: <at>\/x\.tar: the archive is cut off: its end mark is missing\n$/),
  archive("a .tar that is none", "x.tar", Buffer.from("hello".repeat(300)), /^muster: <at>\/x\.tar: not a tar archive, or a damaged one \(.*\)\n$/),
  archive("a .zip that is none", "x.zip", Buffer.from("hello".repeat(100)), /^muster: <at>\/x\.zip: not a zip archive, or a damaged or cut off one \([^,]*\)\n$/),
  archive("a zip whose entry leads outside", "x.zip", zipOf("../evil", "x"), /^muster: <at>\/x\.zip: "\.\.\/evil" has an empty, "\." or "\.\." part\n$/),
  archive("a zip whose entry is damaged", "x.zip", damaged(zipOf("file", "content")), /^muster: <at>\/x\.zip: "file" is damaged: its CRC is not what the archive says\n$/),
  archive("a tar whose entry is absolute", "x.tar", tarOf({ name: "/etc/cron.d/evil" }), /^muster: <at>\/x\.tar: "\/etc\/cron\.d\/evil" is absolute\n$/),
  archive("a tar with a device", "x.tar", tarOf({ name: "dev/null", type: "3" }), /^muster: <at>\/x\.tar: "dev\/null" is a character device; only files, directories and links can be packed\n$/),
  archive("a tar with an entry twice", "x.tar", tarOf({ name: "a" }, { name: "a" }), /^muster: <at>\/x\.tar: "a" is there twice\n$/),
  archive("a tar that writes through its own symlink", "x.tar", tarOf({ name: "d", type: "2", target: "e" }, { name: "d/a" }), /^muster: <at>\/x\.tar: "d\/a" is below "d", which is a symlink\n$/),
];

function damaged(zip: Buffer): Buffer {
  const at = zip.indexOf("content");
  zip[at] = zip[at]! ^ 1;
  return zip;
}

describeBadInput("an artifact", TABLE, async (fleet) => {
  const file = fleet.release("good", YAML("1", "./files"), { "index.html": "hello" });
  await fleet.ended(await fleet.deploy(file));
});

describe("an artifact that a client of the API sends", () => {
  let fleet: DevFleet;
  beforeAll(async () => {
    fleet = await DevFleet.start({ agents: 1 });
  });
  afterAll(async () => fleet.stop());

  test.each<readonly [kind: string, parts: readonly Part[], says: RegExp]>([
    ["with a pack of 0 bytes where files are promised", [["manifest", GOOD.manifest], ["pack", Buffer.alloc(0)]], /^the pack ends after 0 of the \d+ bytes that its manifest promises$/],
    ["without its pack", [["manifest", GOOD.manifest]], /^the pack ends after 0 of the \d+ bytes that its manifest promises$/],
    ["with a pack in which a byte has changed", [["manifest", GOOD.manifest], ["pack", flipped(GOOD.pack)]], /^the frame at 0 of the pack is not what its sha256 names$/],
    ["with a pack that goes on", [["manifest", GOOD.manifest], ["pack", Buffer.concat([GOOD.pack, Buffer.alloc(1)])]], /^the pack is longer than the \d+ bytes that its manifest promises$/],
    ["with a manifest that is written in another way", [["manifest", Buffer.from(`${GOOD.manifest.toString()} `)], ["pack", GOOD.pack]], /^the manifest is not /],
    ["with a manifest that is no JSON", [["manifest", Buffer.from("hello")]], /^the manifest is not JSON$/],
    ["with a path that leads outside", [["manifest", Buffer.from(GOOD.manifest.toString().replace('"index.html"', '"../index.html"'))]], /has an empty, "\." or "\.\." part$/],
    ["with a manifest after the pack", [["manifest", GOOD.manifest], ["pack", GOOD.pack], ["manifest", GOOD.manifest]], /^a piece of the manifest came after the pack$/],
    ["with nothing in it", [], /^the manifest is not JSON$/],
  ])("%s is refused, and nothing of it is kept", async (_, parts, says) => {
    const before = await pictureOf(fleet);
    const error = await push(fleet, parts);
    expect(error.code).toBe(status.INVALID_ARGUMENT);
    expect(error.details).toMatch(says);
    expect(await pictureOf(fleet)).toEqual(before);
  });
});

type Part = readonly [kind: "manifest" | "pack", bytes: Buffer];

const GOOD = artifactOf("index.html", "hello");

function artifactOf(path: string, text: string): { readonly manifest: Buffer; readonly pack: Buffer } {
  const sha256 = (bytes: Buffer): Digest => createHash("sha256").update(bytes).digest("hex") as Digest;
  const content = Buffer.from(text);
  const pack = zstdCompressSync(content);
  const chunk = { sha256: sha256(content), sizeBytes: content.length, frameOffset: 0, frameBytes: pack.length, frameSha256: sha256(pack) };
  const file = { type: "file" as const, path, mode: 0o644, sizeBytes: content.length, sha256: chunk.sha256, chunks: [chunk] };
  return { manifest: Buffer.from(encodeManifest({ format: MANIFEST_FORMAT, packBytes: pack.length, entries: [file] })), pack };
}

function flipped(bytes: Buffer): Buffer {
  const changed = Buffer.from(bytes);
  changed[changed.length - 1] = changed.at(-1)! ^ 1;
  return changed;
}

/** Sends as a client does that looks at the answer last. */
async function push(fleet: DevFleet, parts: readonly Part[]): Promise<ServiceError> {
  const client = new ArtifactsServiceClient(`unix:${fleet.file().controller.socket}`, credentials.createInsecure());
  try {
    return await new Promise<ServiceError>((refused, fail) => {
      const call = client.pushArtifact((error) => (error === null ? fail(new Error("it was taken")) : refused(error)));
      for (const [kind, value] of parts) call.write({ part: { $case: kind, value } } satisfies PushArtifactRequest);
      call.end();
    });
  } finally {
    client.close();
  }
}
