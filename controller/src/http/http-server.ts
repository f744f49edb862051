/**
 * Serves artifacts to agents: `GET /v1/artifacts/<digest>/manifest` and `…/pack`, with byte ranges; and `GET /healthz`.
 *
 * Reads, never writes. A path is made of nothing but a checked digest and one of two fixed names, so no request leads elsewhere.
 * Artifacts never change, so their digest is the entity tag and caches may keep them for ever.
 */
import { open, type FileHandle } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fastify, type FastifyReply, type FastifyRequest } from "fastify";
import { parseDigest, type Digest } from "@muster/proto/ids.ts";
import type { Logger } from "pino";
import { parseRange } from "./range.ts";

export interface HttpServerOptions {
  /** Of the artifact store: `<dir>/<digest>/{manifest,pack}`. */
  readonly dir: string;
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  readonly logger: Logger;
}

export interface HttpServer {
  /** Without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** Cuts off what is under way: agents go on where they stopped. */
  close(): Promise<void>;
}

/** The address can't be listened on. */
export class HttpServerError extends Error {
  readonly code: "port_in_use" | "listen_failed";
  readonly retryable: boolean;

  constructor(code: "port_in_use" | "listen_failed", message: string, cause: unknown) {
    super(message, { cause });
    this.name = "HttpServerError";
    this.code = code;
    this.retryable = code === "port_in_use";
  }
}

const PARTS = { manifest: "application/json", pack: "application/zstd" } as const;
/** A client that takes nothing for so long has gone. */
const SOCKET_IDLE_MS = 60_000;
const READ_BYTES = 256 * 1024;

type PartRequest = FastifyRequest<{ Params: { digest: string } }>;

/** Throws HttpServerError. */
export async function createHttpServer({ dir, host, port, logger }: HttpServerOptions): Promise<HttpServer> {
  const app = fastify({ connectionTimeout: SOCKET_IDLE_MS, forceCloseConnections: true });
  for (const part of ["manifest", "pack"] as const) {
    app.route({
      method: ["GET", "HEAD"],
      url: `/v1/artifacts/:digest/${part}`,
      handler: (request: PartRequest, reply) => servePart(dir, part, request, reply),
    });
  }
  app.get("/healthz", () => ({ status: "ok" }));
  app.setNotFoundHandler((request, reply) => reply.code(404).send({ message: `there is nothing at ${request.method} ${request.url}` }));
  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const statusCode = error.statusCode ?? 500;
    if (statusCode >= 500) logger.error({ err: error, method: request.method, url: request.url }, "http request failed");
    return reply.code(statusCode).send({ message: statusCode >= 500 ? "the controller could not read this" : error.message });
  });
  try {
    await app.listen({ host, port });
  } catch (cause) {
    const isTaken = cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE";
    throw new HttpServerError(
      isTaken ? "port_in_use" : "listen_failed",
      isTaken ? `port ${port} on ${host} is in use by another program; free it, or choose another with --http-port` : `can't listen on port ${port} of ${host}: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    );
  }
  const address = app.server.address() as AddressInfo;
  const shownHost = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return { url: `http://${shownHost}:${address.port}`, port: address.port, close: () => app.close() };
}

async function servePart(dir: string, part: keyof typeof PARTS, request: PartRequest, reply: FastifyReply): Promise<FastifyReply> {
  const digest = parseDigest(request.params.digest);
  if (digest === undefined) return reply.code(400).send({ message: "an artifact's digest is 64 lower-case hex digits" });
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
