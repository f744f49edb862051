/**
 * Serves artifacts to machines: `GET /v1/artifacts/<digest>/manifest` and `…/pack`, with byte ranges; and `GET /healthz`.
 *
 * Reads, never writes, and nothing that the caller may not have. A path is made of nothing but a checked digest and one of two fixed names, so no request leads
 * elsewhere. Artifacts never change, so their digest is the entity tag and caches may keep them for ever.
 */
import { open, type FileHandle } from "node:fs/promises";
import type { RequestListener, Server } from "node:http";
import { join } from "node:path";
import { fastify, type FastifyReply, type FastifyRequest } from "fastify";
import { parseDigest, type Digest } from "@muster/proto/ids.ts";
import type { Logger } from "pino";
import { parseRange } from "./range.ts";

export interface HttpServerOptions {
  /** Of the artifact store: `<dir>/<digest>/{manifest,pack}`. */
  readonly dir: string;
  /** Whether the other end of the connection may have the artifact; `address`: its `host:port`. */
  readonly mayFetch: (address: string, digest: Digest) => boolean;
  /** Makes what will listen; whoever made it lets it listen. */
  readonly createServer: (answer: RequestListener) => Server;
  readonly logger: Logger;
}

export interface HttpServer {
  /** Cuts off what is under way: agents go on where they stopped. */
  close(): Promise<void>;
}

const PARTS = { manifest: "application/json", pack: "application/zstd" } as const;
/** A client that takes nothing for so long has gone. */
const SOCKET_IDLE_MS = 60_000;
/** For the whole of a request, which has no body. */
const REQUEST_MS = 30_000;
const READ_BYTES = 256 * 1024;

type PartRequest = FastifyRequest<{ Params: { digest: string } }>;

export async function createHttpServer({ dir, mayFetch, createServer, logger }: HttpServerOptions): Promise<HttpServer> {
  const app = fastify({ forceCloseConnections: true, connectionTimeout: SOCKET_IDLE_MS, requestTimeout: REQUEST_MS, serverFactory: (answer) => createServer(answer) });
  app.server.setTimeout(SOCKET_IDLE_MS);
  for (const part of ["manifest", "pack"] as const) {
    app.route({
      method: ["GET", "HEAD"],
      url: `/v1/artifacts/:digest/${part}`,
      handler: (request: PartRequest, reply) => {
        const digest = parseDigest(request.params.digest);
        if (digest === undefined) return reply.code(400).send({ message: "an artifact's digest is 64 lower-case hex digits" });
        // Whether there is such an artifact is no business of whoever may not have it.
        const { remoteAddress, remotePort } = request.socket;
        if (!mayFetch(`${remoteAddress}:${remotePort}`, digest)) return reply.code(403).send({ message: `no assignment of this machine names the artifact ${digest}` });
        return servePart(dir, part, digest, request, reply);
      },
    });
  }
  app.get("/healthz", () => ({ status: "ok" }));
  app.setNotFoundHandler((request, reply) => reply.code(404).send({ message: `there is nothing at ${request.method} ${request.url}` }));
  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const statusCode = error.statusCode ?? 500;
    if (statusCode >= 500) logger.error({ err: error, method: request.method, url: request.url }, "http request failed");
    return reply.code(statusCode).send({ message: statusCode >= 500 ? "the controller could not read this" : error.message });
  });
  await app.ready();
  return { close: () => app.close() };
}

async function servePart(dir: string, part: keyof typeof PARTS, digest: Digest, request: PartRequest, reply: FastifyReply): Promise<FastifyReply> {
  const file = await openPart(join(dir, digest, part));
  if (file === undefined) return reply.code(404).send({ message: `there is no artifact ${digest}` });
  try {
    return await sendPart(file, digest, PARTS[part], request, reply);
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function openPart(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw cause;
  }
}

async function sendPart(file: FileHandle, digest: Digest, contentType: string, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { size } = await file.stat();
  const tag = `"${digest}"`;
  reply.header("etag", tag).header("cache-control", "public, max-age=31536000, immutable").header("accept-ranges", "bytes");
  if (matches(request.headers["if-none-match"], tag)) return closed(file, reply.code(304));

  // A range of another version would be glued to what the client has.
  const isCurrent = request.headers["if-range"] === undefined || request.headers["if-range"] === tag;
  const range = parseRange(isCurrent ? request.headers.range : undefined, size);
  if (range.kind === "unsatisfiable") {
    return closed(file, reply.code(416).header("content-range", `bytes */${size}`), { message: `the file has ${size} bytes` });
  }
  const { start, end } = range.kind === "part" ? range : { start: 0, end: size - 1 };
  if (range.kind === "part") reply.code(206).header("content-range", `bytes ${start}-${end}/${size}`);
  reply.type(contentType).header("content-length", end - start + 1);
  if (request.method === "HEAD" || size === 0) return closed(file, reply);
  return reply.send(file.createReadStream({ start, end, highWaterMark: READ_BYTES }));
}

async function closed(file: FileHandle, reply: FastifyReply, body?: { readonly message: string }): Promise<FastifyReply> {
  await file.close();
  return reply.send(body);
}

function matches(header: string | undefined, tag: string): boolean {
  return header !== undefined && header.split(",").some((one) => [tag, `W/${tag}`, "*"].includes(one.trim()));
}
