/** For tests: artifacts made in memory, and a web server that has them and misbehaves when told to. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { zstdCompressSync } from "node:zlib";
import type { Digest } from "@muster/proto/ids.ts";
import { encodeManifest, MANIFEST_FORMAT, type Chunk, type Manifest, type ManifestEntry } from "@muster/proto/manifest.ts";

export interface TestArtifact {
  readonly digest: Digest;
  readonly manifest: Manifest;
  readonly manifestBytes: Uint8Array;
  readonly pack: Buffer;
}

/** A directory is `undefined`, a symlink `{ target }`, a file its bytes, cut into chunks of `chunkBytes`. */
export type TestTree = Readonly<Record<string, string | Buffer | undefined | { readonly target: string }>>;

export function sha(bytes: Uint8Array | string): Digest {
  return createHash("sha256").update(bytes).digest("hex") as Digest;
}

export function makeArtifact(tree: TestTree, chunkBytes = 1024, change: (manifest: Manifest) => Manifest = (same) => same): TestArtifact {
  const frames: Buffer[] = [];
  const known = new Map<string, Chunk>();
  let packBytes = 0;
  const chunkOf = (bytes: Buffer): Chunk => {
    const sha256 = sha(bytes);
    const same = known.get(sha256);
    if (same !== undefined) return same;
    const frame = zstdCompressSync(bytes);
    const chunk = { sha256, sizeBytes: bytes.length, frameOffset: packBytes, frameBytes: frame.length, frameSha256: sha(frame) };
    frames.push(frame);
    packBytes += frame.length;
    known.set(sha256, chunk);
    return chunk;
  };
  const entries = Object.keys(tree).sort().map((path): ManifestEntry => {
    const content = tree[path];
    if (content === undefined) return { type: "dir", path, mode: 0o755 };
    if (typeof content === "object" && "target" in content) return { type: "symlink", path, target: content.target };
    const bytes = Buffer.from(content);
    const chunks = Array.from({ length: Math.ceil(bytes.length / chunkBytes) }, (_, index) =>
      chunkOf(bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes)),
    );
    return { type: "file", path, mode: path.endsWith(".sh") ? 0o755 : 0o644, sizeBytes: bytes.length, sha256: sha(bytes), chunks };
  });
  const manifest = change({ format: MANIFEST_FORMAT, packBytes, entries });
  const manifestBytes = encodeManifest(manifest);
  return { digest: sha(manifestBytes), manifest, manifestBytes, pack: Buffer.concat(frames) };
}

/** Bytes that zstd cannot make smaller; the same for the same seed. */
export function noise(sizeBytes: number, seed: string): Buffer {
  const blocks = Array.from({ length: Math.ceil(sizeBytes / 32) }, (_, index) => createHash("sha256").update(`${seed}:${index}`).digest());
  return Buffer.concat(blocks).subarray(0, sizeBytes);
}

export interface PackRequest {
  readonly from: number;
  readonly to: number;
  /** Of this server, from 1; requests for manifests do not count. */
  readonly number: number;
}

export interface TestServer {
  readonly url: string;
  /** Requests for bytes of packs, in the order in which they came. */
  readonly packRequests: readonly PackRequest[];
  readonly manifestRequests: () => number;
  /** Answers in place of the server; false lets the server answer. */
  onPack: (request: PackRequest, response: ServerResponse, bytes: Buffer) => boolean;
  onManifest: (response: ServerResponse, bytes: Uint8Array) => boolean;
  close(): Promise<void>;
}

export async function serve(...artifacts: readonly TestArtifact[]): Promise<TestServer> {
  const packRequests: PackRequest[] = [];
  let manifestRequests = 0;
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const [, digest, what] = (request.url as string).split("/");
    const artifact = artifacts.find((each) => each.digest === digest);
    if (artifact === undefined) {
      response.writeHead(404).end();
    } else if (what === "manifest") {
      manifestRequests += 1;
      if (!server.onManifest(response, artifact.manifestBytes)) response.end(artifact.manifestBytes);
    } else {
      const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
      const asked: PackRequest = { from: Number(from), to: Number(to), number: packRequests.length + 1 };
      packRequests.push(asked);
      const bytes = artifact.pack.subarray(asked.from, asked.to + 1);
      if (server.onPack(asked, response, bytes)) return;
      response.writeHead(206, headersFor(asked, artifact.pack.length)).end(bytes);
    }
  };
  const listener: Server = createServer(answer).listen(0, "127.0.0.1");
  await once(listener, "listening");
  const server: TestServer = {
    url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    packRequests,
    manifestRequests: () => manifestRequests,
    onPack: () => false,
    onManifest: () => false,
    async close() {
      listener.closeAllConnections();
      listener.close();
      await once(listener, "close");
    },
  };
  return server;
}

export function headersFor({ from, to }: PackRequest, packBytes: number): { readonly "content-range": string; readonly "content-length": number } {
  return { "content-range": `bytes ${from}-${to}/${packBytes}`, "content-length": to - from + 1 };
}
