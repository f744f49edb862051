import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Digest } from "@muster/proto/ids.ts";
import type { FileEntry } from "@muster/proto/manifest.ts";
import { createReleaseStore } from "../apply/release-store.ts";
import type { Outcome } from "../runner/ports.ts";
import { headersFor, makeArtifact, noise, serve, sha, type TestArtifact, type TestServer } from "./artifact.fixture.ts";
import { createPuller, type PullerOptions } from "./puller.ts";

const logger = pino({ enabled: false });
let dir: string;
let servers: TestServer[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "muster-pull-"));
  servers = [];
});

afterEach(async () => {
  for (const server of servers) await server.close();
  await rm(dir, { recursive: true, force: true });
});

async function serving(...artifacts: readonly TestArtifact[]): Promise<TestServer> {
  const server = await serve(...artifacts);
  servers.push(server);
  return server;
}

function pull(artifact: TestArtifact, server: { readonly url: string }, options: Partial<PullerOptions> = {}, signal?: AbortSignal): Promise<Outcome> {
  const puller = createPuller({ dir, logger, ...options });
  return puller.pull({ app: "shop", artifact: artifact.digest, artifactUrl: server.url, signal: signal ?? new AbortController().signal });
}

function releaseDir(artifact: TestArtifact): string {
  return join(dir, "apps/shop/releases", artifact.digest);
}

function fault(outcome: Outcome): string {
  return outcome.ok ? "ok" : `${outcome.fault.code} ${outcome.fault.retryable ? "retryable" : "final"}: ${outcome.fault.message}`;
}

async function expectWhole(artifact: TestArtifact): Promise<void> {
  for (const entry of artifact.manifest.entries) {
    const path = join(releaseDir(artifact), entry.path);
    switch (entry.type) {
      case "file":
        expect(sha(await readFile(path)), entry.path).toBe(entry.sha256);
        expect((await stat(path)).mode & 0o777).toBe(entry.mode | 0o600);
        break;
      case "dir":
        expect((await lstat(path)).isDirectory()).toBe(true);
        break;
      case "symlink":
        expect(await readlink(path)).toBe(entry.target);
        break;
    }
  }
  const found = await readdir(releaseDir(artifact), { recursive: true });
  expect(found.sort()).toEqual(artifact.manifest.entries.map((entry) => entry.path).sort());
  expect(await createReleaseStore({ dir }).has("shop", artifact.digest)).toBe(true);
}

/** The connection breaks in the middle of that answer. */
function breakAt(wanted: number, server: TestServer): void {
  server.onPack = (request, response, bytes) => {
    if (request.number !== wanted) return false;
    response.writeHead(206, headersFor(request, wide.pack.length));
    response.write(bytes.subarray(0, 10), () => response.destroy());
    return true;
  };
}

/** Every frame in a range of its own. */
const ONE_BY_ONE = { rangeBytesMax: 1, gapBytesMax: 0, rangesInFlight: 1 };
const small = makeArtifact({ "server.js": noise(5000, "a"), "start.sh": "#!/bin/sh\n", lib: undefined, "lib/a.js": "one", "lib/b.js": "one", empty: "", link: { target: "lib/a.js" } });
const wide = makeArtifact(Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`f${index}`, noise(3000, `w${index}`)])), 1000);

describe("a whole artifact", () => {
  test("stands under its digest with files, modes, directories and symlinks", async () => {
    expect(fault(await pull(small, await serving(small)))).toBe("ok");
    await expectWhole(small);
    expect(await readdir(join(dir, "apps/shop/staging"))).toEqual([]);
  });

  test("an artifact of nothing but empty files asks for no byte of the pack", async () => {
    const artifact = makeArtifact({ "empty.txt": "" });
    const server = await serving(artifact);
    expect(fault(await pull(artifact, server))).toBe("ok");
    await expectWhole(artifact);
    expect(server.packRequests).toEqual([]);
  });

  test("a pull of what is there asks nothing of anybody", async () => {
    const server = await serving(small);
    await pull(small, server);
    await server.close();
    servers = [];
    expect(fault(await pull(small, server))).toBe("ok");
  });

  test("two pulls of one app at the same time come one after the other, and both end well", async () => {
    const server = await serving(small);
    const puller = createPuller({ dir, logger });
    const request = { app: "shop", artifact: small.digest, artifactUrl: `${server.url}/`, signal: new AbortController().signal };
    const outcomes = await Promise.all([puller.pull(request), puller.pull(request)]);
    expect(outcomes.map(fault)).toEqual(["ok", "ok"]);
    expect(server.manifestRequests()).toBe(1);
  });

  test("neighbouring frames come in one range, and equal content comes once", async () => {
    const server = await serving(small);
    await pull(small, server);
    expect(server.packRequests).toEqual([{ from: 0, to: small.pack.length - 1, number: 1 }]);
    const contents = small.manifest.entries.flatMap((entry) => (entry.type === "file" ? entry.chunks : [])).map((chunk) => chunk.frameOffset);
    expect(new Set(contents).size).toBeLessThan(contents.length);
  });
});

describe("bytes that are wrong", () => {
  test("bytes damaged once on the way are asked for again, alone", async () => {
    const server = await serving(wide);
    server.onPack = ({ number, ...request }, response, bytes) => {
      if (number !== 1) return false;
      const damaged = Buffer.from(bytes);
      damaged[1500]! ^= 1;
      response.writeHead(206, headersFor({ number, ...request }, wide.pack.length)).end(damaged);
      return true;
    };
    expect(fault(await pull(wide, server))).toBe("ok");
    await expectWhole(wide);
    expect(server.packRequests).toHaveLength(2);
    expect(server.packRequests[1]!.to - server.packRequests[1]!.from).toBeLessThan(1100);
  });

  test("bytes damaged each time are asked for four times; then the artifact is corrupt, and the file and both hashes are named", async () => {
    const artifact = makeArtifact({ "index.js": noise(100, "x") });
    const server = await serving({ ...artifact, pack: Buffer.alloc(artifact.pack.length) });
    const [entry] = artifact.manifest.entries as [FileEntry];
    const expected = entry.chunks[0]!.frameSha256.slice(0, 12);
    const found = sha(Buffer.alloc(artifact.pack.length)).slice(0, 12);
    expect(fault(await pull(artifact, server))).toBe(
      `artifact_corrupt final: artifact ${artifact.digest.slice(0, 12)}: index.js: frame expected ${expected}, found ${found}`,
    );
    expect(server.packRequests).toHaveLength(4);
    expect(existsSync(releaseDir(artifact))).toBe(false);
  });

  test("a manifest damaged each time is corrupt, and nothing of it is kept", async () => {
    const server = await serving(small);
    server.onManifest = (response) => {
      response.end("{}");
      return true;
    };
    expect(fault(await pull(small, server))).toMatch(/^artifact_corrupt final: .*manifest: expected [0-9a-f]{12}, found [0-9a-f]{12}$/);
    expect(server.manifestRequests()).toBe(4);
    expect(await readdir(join(dir, "apps/shop/releases"))).toEqual([]);
  });

  test("a manifest without end is given up after 16 MiB", async () => {
    const server = await serving(small);
    server.onManifest = (response) => {
      response.end(Buffer.alloc(16 * 1024 * 1024 + 1));
      return true;
    };
    expect(fault(await pull(small, server))).toContain("/manifest is longer than 16777216 bytes");
  });

  test.each([
    ["whose chunk is not what the frame holds", (chunk: FileEntry["chunks"][number]) => ({ ...chunk, sha256: sha("other") })],
    ["whose frame holds more than the chunk", (chunk: FileEntry["chunks"][number]) => ({ ...chunk, sizeBytes: chunk.sizeBytes - 1 })],
    ["whose frame holds less than the chunk", (chunk: FileEntry["chunks"][number]) => ({ ...chunk, sizeBytes: chunk.sizeBytes + 1 })],
  ])("a manifest %s is corrupt at once", async (_, change) => {
    const artifact = makeArtifact({ "a.txt": "hello hello hello" }, 1024, (manifest) => {
      const [entry] = manifest.entries as [FileEntry];
      const chunk = change(entry.chunks[0]!);
      return { ...manifest, entries: [{ ...entry, sizeBytes: chunk.sizeBytes, sha256: chunk.sha256, chunks: [chunk] }] };
    });
    const server = await serving(artifact);
    expect(fault(await pull(artifact, server))).toMatch(/^artifact_corrupt final: .*: a\.txt: /);
    expect(server.packRequests).toHaveLength(1);
  });

  test("a frame with a second frame behind it is not taken for the first alone", async () => {
    const plain = makeArtifact({ "a.txt": "hello" });
    const doubled = Buffer.concat([plain.pack, plain.pack]);
    const artifact = makeArtifact({ "a.txt": "hello" }, 1024, (manifest) => {
      const [entry] = manifest.entries as [FileEntry];
      const chunk = { ...entry.chunks[0]!, frameBytes: doubled.length };
      return { ...manifest, packBytes: doubled.length, entries: [{ ...entry, chunks: [chunk] }] };
    });
    expect(fault(await pull(artifact, await serving({ ...artifact, pack: doubled })))).toContain("a.txt: frame expected");
  });

  test("a file whose chunks are right and whose whole is not is corrupt", async () => {
    const artifact = makeArtifact({ "big.bin": noise(3000, "b") }, 1000, (manifest) => {
      const [entry] = manifest.entries as [FileEntry];
      return { ...manifest, entries: [{ ...entry, chunks: entry.chunks.toReversed() }] };
    });
    expect(fault(await pull(artifact, await serving(artifact)))).toContain("big.bin: expected");
    expect(existsSync(releaseDir(artifact))).toBe(false);
  });
});

describe("a network that fails", () => {
  test("an artifact that is not there may come later", async () => {
    expect(fault(await pull(small, await serving()))).toMatch(/^artifact_unavailable retryable: .*\/manifest answered 404 where 200 was expected$/);
  });

  test("a server that is not there may come later", async () => {
    const server = await serve(small);
    await server.close();
    expect(fault(await pull(small, server))).toMatch(/^artifact_unavailable retryable: .*\/manifest was refused$/);
  });

  test("an address that is none says so", async () => {
    expect(fault(await pull(small, { url: "nonsense" }))).toMatch(/^artifact_unavailable retryable: .* is no http or https address$/);
  });

  test("a server that ignores Range is not believed", async () => {
    const server = await serving(small);
    server.onPack = (_, response) => {
      response.end(small.pack);
      return true;
    };
    expect(fault(await pull(small, server))).toMatch(/^artifact_unavailable retryable: .*answered 200 where 206 was expected, so the server does not honour Range$/);
  });

  test("another range than the one asked for is not believed", async () => {
    const server = await serving(small);
    server.onPack = (request, response, bytes) => {
      response.writeHead(206, headersFor({ ...request, from: 1, to: request.to + 1 }, small.pack.length)).end(bytes);
      return true;
    };
    expect(fault(await pull(small, server))).toMatch(/answered with Content-Range: bytes 1-/);
  });

  test("an answer that ends too early is a fault of the network", async () => {
    const server = await serving(small);
    server.onPack = (request, response, bytes) => {
      const headers = headersFor(request, small.pack.length);
      response.writeHead(206, { ...headers, "content-length": 10 }).end(bytes.subarray(0, 10));
      return true;
    };
    expect(fault(await pull(small, server))).toMatch(/^artifact_unavailable retryable: .*answered with 10 of the \d+ bytes asked for$/);
  });

  test("an answer that is too long is a fault of the network", async () => {
    const server = await serving(small);
    server.onPack = (request, response, bytes) => {
      response.writeHead(206, { "content-range": headersFor(request, small.pack.length)["content-range"] }).end(Buffer.concat([bytes, bytes]));
      return true;
    };
    expect(fault(await pull(small, server))).toMatch(/^artifact_unavailable retryable: .*more than the \d+ bytes asked for$/);
  });

  test("a connection that breaks in the middle is a fault of the network", async () => {
    const server = await serving(small);
    server.onPack = (request, response, bytes) => {
      response.writeHead(206, headersFor(request, small.pack.length));
      response.write(bytes.subarray(0, 100), () => response.destroy());
      return true;
    };
    expect(fault(await pull(small, server))).toMatch(/^artifact_unavailable retryable: .*\/pack broke off/);
  });

  test("a server that goes silent is given up", async () => {
    const server = await serving(small);
    server.onPack = (request, response, bytes) => {
      response.writeHead(206, headersFor(request, small.pack.length));
      response.write(bytes.subarray(0, 100));
      return true;
    };
    expect(fault(await pull(small, server, { limits: { inactivityMs: 50 } }))).toMatch(/artifact_unavailable retryable: .*nothing came for 50 ms$/);
  });

  test("a server that accepts and never answers is given up", async () => {
    const server = await serving(small);
    server.onManifest = () => true;
    expect(fault(await pull(small, server, { limits: { inactivityMs: 50 } }))).toMatch(/nothing came for 50 ms$/);
  });

  test("a pull that is stopped ends at once, before the server answers", async () => {
    const server = await serving(wide);
    const stop = new AbortController();
    server.onPack = ({ number }) => {
      if (number === 3) stop.abort();
      return number >= 3;
    };
    const outcome = await pull(wide, server, { limits: ONE_BY_ONE }, stop.signal);
    expect(fault(outcome)).toBe("artifact_unavailable retryable: the pull was stopped");
  });
});

test("when one range fails, the others are not waited for", async () => {
  const server = await serving(wide);
  server.onPack = ({ number }, response) => {
    // The first is never answered.
    if (number > 1) response.writeHead(503).end();
    return true;
  };
  const outcome = await pull(wide, server, { limits: { ...ONE_BY_ONE, rangesInFlight: 2, inactivityMs: 3_600_000 } });
  expect(fault(outcome)).toMatch(/^artifact_unavailable retryable: .*answered 503/);
});

describe("taking up a broken-off pull", () => {
  test("only what is missing is fetched", async () => {
    const server = await serving(wide);
    breakAt(8, server);
    expect(fault(await pull(wide, server, { limits: ONE_BY_ONE }))).toMatch(/^artifact_unavailable retryable/);
    const before = server.packRequests.slice(0, 7).map(({ from }) => from);
    server.onPack = () => false;
    expect(fault(await pull(wide, server, { limits: ONE_BY_ONE }))).toBe("ok");
    await expectWhole(wide);
    expect(server.manifestRequests()).toBe(1);
    const after = server.packRequests.slice(8).map(({ from }) => from);
    expect(after).toHaveLength(60 - 7);
    expect(after.filter((from) => before.includes(from))).toEqual([]);
  });

  test("what was changed in staging meanwhile is fetched again, and what does not belong there goes", async () => {
    const server = await serving(wide);
    breakAt(8, server);
    await pull(wide, server, { limits: ONE_BY_ONE });
    const [staged] = await readdir(join(dir, "apps/shop/staging"));
    const staging = join(dir, "apps/shop/staging", staged as string);
    await writeFile(join(staging, "f0"), noise(3000, "garbage"));
    await truncate(join(staging, "f1"), 1500);
    await rm(join(staging, "f2"));
    await symlink("/etc/passwd", join(staging, "f2"));
    await rm(join(staging, "f3"));
    await mkdir(join(staging, "f3"));
    await writeFile(join(staging, "f4"), noise(9000, "too long"));
    await writeFile(join(staging, "stranger"), "x");
    server.onPack = () => false;
    expect(fault(await pull(wide, server))).toBe("ok");
    await expectWhole(wide);
  });

  test("an agent killed with SIGKILL in the middle leaves what the next one takes up", async () => {
    const server = await serving(wide);
    const reached = Promise.withResolvers<void>();
    server.onPack = ({ number }) => {
      if (number > 6) reached.resolve();
      return number > 6;
    };
    const script = new URL("./pull-child.fixture.ts", import.meta.url).pathname;
    const child = spawn(process.execPath, [script, dir, "shop", wide.digest, server.url], { stdio: "inherit" });
    await reached.promise;
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(await createReleaseStore({ dir }).has("shop", wide.digest)).toBe(false);

    const fetchedBefore = server.packRequests.length;
    server.onPack = () => false;
    expect(fault(await pull(wide, server))).toBe("ok");
    await expectWhole(wide);
    const again = server.packRequests.slice(fetchedBefore).reduce((sum, { from, to }) => sum + to - from + 1, 0);
    expect(again).toBeLessThan(wide.pack.length);
    expect(await readdir(join(dir, "apps/shop/staging"))).toEqual([]);
  });

  test("a directory without a manifest is not believed", async () => {
    await mkdir(releaseDir(small), { recursive: true });
    await writeFile(join(releaseDir(small), "server.js"), "not this");
    expect(fault(await pull(small, await serving(small)))).toBe("ok");
    await expectWhole(small);
  });
});

describe("what is on disk already", () => {
  const next = makeArtifact({ "f0-renamed": noise(3000, "w0"), "f1": noise(3000, "w1"), "new": noise(700, "new") }, 1000);

  test("chunks of other releases are copied, and only new ones are fetched", async () => {
    const server = await serving(wide, next);
    await pull(wide, server);
    const before = server.packRequests.length;
    expect(fault(await pull(next, server))).toBe("ok");
    await expectWhole(next);
    const fetched = server.packRequests.slice(before);
    expect(fetched).toHaveLength(1);
    expect(fetched[0]!.to - fetched[0]!.from).toBeLessThan(800);
  });

  test("a chunk that a workload has changed since is fetched", async () => {
    const server = await serving(wide, next);
    await pull(wide, server);
    await writeFile(join(releaseDir(wide), "f0"), noise(3000, "changed"));
    await rm(join(releaseDir(wide), "f1"));
    await symlink("/dev/zero", join(releaseDir(wide), "f1"));
    expect(fault(await pull(next, server))).toBe("ok");
    await expectWhole(next);
  });

  test("a release whose kept manifest was changed is no help and no harm", async () => {
    const server = await serving(wide, next);
    await pull(wide, server);
    await writeFile(join(dir, "apps/shop/releases", `${wide.digest}.manifest`), "{}");
    expect(fault(await pull(next, server))).toBe("ok");
    await expectWhole(next);
  });
});

const NOBODY = 65_534;

/** Root may write everywhere: as root, `work` is done as somebody who owns nothing. */
async function withoutPrivileges<T>(work: () => Promise<T>): Promise<T> {
  if (process.getuid?.() !== 0) return work();
  process.seteuid!(NOBODY);
  try {
    return await work();
  } finally {
    process.seteuid!(0);
  }
}

describe("the disk", () => {
  test("too little space is said before anything is fetched, with what is needed and what there is", async () => {
    const artifact = makeArtifact({ "big.bin": noise(2 * 1024 * 1024, "s") }, 1024 * 1024);
    const server = await serving(artifact);
    expect(fault(await pull(artifact, server, { freeBytes: () => Promise.resolve(2 * 1024 * 1024) }))).toMatch(
      /^disk_full retryable: artifact [0-9a-f]{12}: the release needs 2\.1 MiB of disk, and 2\.0 MiB are free at \/.*; free some space there$/,
    );
    expect(server.packRequests).toEqual([]);
  });

  test("a directory that may not be written to is a fault worth another try", async () => {
    await chmod(dir, 0o555);
    const server = await serving(small);
    expect(fault(await withoutPrivileges(() => pull(small, server)))).toMatch(/^io_error retryable: could not write artifact .*permission denied/);
    await chmod(dir, 0o700);
  });

  test("a file where a directory should be is a fault worth another try", async () => {
    await writeFile(join(dir, "apps"), "");
    expect(fault(await pull(small, await serving(small)))).toMatch(/^io_error retryable: could not write artifact /);
  });
});

describe("manifests that would write elsewhere", () => {
  test.each(["../evil", "/evil", "a/../../evil", "link/evil"])("%s is refused, and nothing is written", async (path) => {
    const artifact = makeArtifact({ "a.txt": "hello" }, 1024, (manifest) => {
      const [entry] = manifest.entries as [FileEntry];
      return { ...manifest, entries: [{ ...entry, path }, ...(path.startsWith("link/") ? [{ type: "symlink" as const, path: "link", target: ".." }] : [])] };
    });
    expect(fault(await pull(artifact, await serving(artifact)))).toMatch(/^artifact_corrupt final: .*the manifest is not valid/);
    expect((await readdir(dir, { recursive: true })).filter((name) => name.includes("evil"))).toEqual([]);
  });
});

test("a digest is never used as a path before it has been checked", async () => {
  const server = await serving(small);
  await expect(pull({ ...small, digest: "../../etc" as Digest }, server)).rejects.toThrow("not a digest");
});
