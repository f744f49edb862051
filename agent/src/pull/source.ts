/**
 * An artifact as a web server has it: its manifest, and byte ranges of its pack. Judges how an answer came, never what it holds.
 *
 * Always holds: a range that ends without an error has brought exactly the bytes that were asked for, by count. Everything else is
 * `artifact_unavailable`. A server that goes silent is given up after `inactivityMs`.
 */
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { errorCode } from "../runner/fault.ts";
import { corrupt, PullError, unavailable } from "./pull-error.ts";

export interface Source {
  /** `corrupt` when it is longer than `bytesMax`. */
  manifest(bytesMax: number, signal: AbortSignal): Promise<Buffer>;
  /** The bytes from `offset` on, in pieces as they come. */
  range(offset: number, sizeBytes: number, signal: AbortSignal): AsyncIterable<Buffer>;
}

/** Connections are kept open between ranges; one for all pulls. */
export interface Connections {
  readonly http: http.Agent;
  readonly https: https.Agent;
}

/** `tls`: what is shown and what is trusted over HTTPS. */
export function createConnections(tls: https.AgentOptions = {}): Connections {
  return { http: new http.Agent({ keepAlive: true }), https: new https.Agent({ keepAlive: true, ...tls }) };
}

export interface SourceOptions {
  /** `<artifact url>/<digest>` */
  readonly url: string;
  readonly inactivityMs: number;
  readonly connections: Connections;
}

export function createSource({ url, inactivityMs, connections }: SourceOptions): Source {
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) throw unavailable(`${url} is no http or https address`);
  return {
    async manifest(bytesMax, signal) {
      const what = `${url}/manifest`;
      const response = await get(what, {}, signal);
      if (response.statusCode !== 200) throw refused(response, what, 200);
      const pieces: Buffer[] = [];
      let sizeBytes = 0;
      for await (const piece of body(response, what)) {
        sizeBytes += piece.length;
        if (sizeBytes > bytesMax) throw corrupt(`${what} is longer than ${bytesMax} bytes`);
        pieces.push(piece);
      }
      return Buffer.concat(pieces);
    },

    async *range(offset, sizeBytes, signal) {
      const what = `${url}/pack`;
      const last = offset + sizeBytes - 1;
      const response = await get(what, { range: `bytes=${offset}-${last}` }, signal);
      if (response.statusCode !== 206) throw refused(response, what, 206);
      const answered = response.headers["content-range"];
      if (answered === undefined || !new RegExp(`^bytes ${offset}-${last}/(?:\\d+|\\*)$`).test(answered)) {
        response.destroy();
        throw unavailable(`GET ${what} for bytes ${offset}-${last} answered with Content-Range: ${answered ?? "none"}`);
      }
      let left = sizeBytes;
      for await (const piece of body(response, what)) {
        left -= piece.length;
        if (left < 0) throw unavailable(`GET ${what} answered with more than the ${sizeBytes} bytes asked for`);
        yield piece;
      }
      if (left > 0) throw unavailable(`GET ${what} answered with ${sizeBytes - left} of the ${sizeBytes} bytes asked for`);
    },
  };

  async function get(what: string, headers: http.OutgoingHttpHeaders, signal: AbortSignal): Promise<IncomingMessage> {
    for (;;) {
      const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
      const target = new URL(what);
      const options = { headers: { ...headers, "accept-encoding": "identity" }, signal, timeout: inactivityMs };
      const request =
        target.protocol === "https:"
          ? https.get(target, { ...options, agent: connections.https })
          : http.get(target, { ...options, agent: connections.http });
      let answered: IncomingMessage | undefined;
      request.on("timeout", () => (answered ?? request).destroy(new Error(`nothing came for ${inactivityMs} ms`)));
      request.on("response", (response) => {
        answered = response;
        resolve(response);
      });
      request.on("error", reject);
      try {
        return await promise;
      } catch (error) {
        // The server closed a kept connection just as it was used again: the request never reached it. A fresh one tells more.
        const isStale = request.reusedSocket && errorCode(error) === "ECONNRESET" && !signal.aborted;
        if (!isStale) throw broken(what, error);
      }
    }
  }
}

async function* body(response: IncomingMessage, what: string): AsyncGenerator<Buffer, void, undefined> {
  try {
    for await (const piece of response) yield piece as Buffer;
  } catch (error) {
    throw error instanceof PullError ? error : broken(what, error);
  }
}

function refused(response: IncomingMessage, what: string, expected: number): PullError {
  response.destroy();
  const hint = expected === 206 && response.statusCode === 200 ? ", so the server does not honour Range" : "";
  return unavailable(`GET ${what} answered ${response.statusCode} where ${expected} was expected${hint}`);
}

function broken(what: string, cause: unknown): PullError {
  const why = errorCode(cause) === "ECONNREFUSED" ? "was refused" : `broke off: ${cause instanceof Error ? cause.message : String(cause)}`;
  return unavailable(`GET ${what} ${why}`, cause);
}
