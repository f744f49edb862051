/**
 * One question over HTTP, asked once. Never throws: what goes wrong is answered with a sentence that names the server and what was found.
 *
 * Always holds: the timeout covers everything from the look-up of the name to the last byte, and counts only time in which the loop turns, so that
 * what came while the controller was held up is read before it is over; no more is read than allowed; no redirect is
 * followed; nothing of the URL but scheme, host and port stands in a sentence, since paths, queries and users are where secrets are.
 *
 * Not `fetch`: it refuses some ports and URLs with a user, can be sent to a proxy by the environment, and keeps connections that cannot be
 * closed from here. A gate asks seldom, so each question has its own connection and leaves nothing behind.
 */
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { oneLine } from "./verdict.ts";

export interface HttpQuestion {
  readonly method: "GET" | "POST";
  /** A user and password in it become basic authentication. */
  readonly url: string;
  /** Put behind the path of `url`. */
  readonly path?: string;
  /** Added to the query of `url`. */
  readonly query?: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs: number;
  readonly answerBytesMax: number;
}

export type HttpAnswer =
  | { readonly kind: "answered"; readonly server: string; readonly status: number; readonly text: string }
  | { readonly kind: "silent"; readonly detail: string }
  /** By `signal`. */
  | { readonly kind: "cancelled" };

/** How often it is looked whether the timeout is over. */
const LOOK_MS = 100;
/** So much at most has passed from one look to the next; more, and the controller was held up in between. */
const LOOK_MS_MAX = 2 * LOOK_MS;

export async function askHttp(question: HttpQuestion, signal: AbortSignal): Promise<HttpAnswer> {
  const url = addressOf(question);
  if (url === undefined) return { kind: "silent", detail: "the gate's url can't be read: an http or https URL is expected" };
  if (signal.aborted) return { kind: "cancelled" };
  const server = url.origin;
  const ends = new AbortController();
  const stop = (): void => ends.abort();
  signal.addEventListener("abort", stop, { once: true });
  let isTimedOut = false;
  const cancelTimeout = afterTurning(question.timeoutMs, () => {
    isTimedOut = true;
    ends.abort();
  });
  let status: number | undefined;
  try {
    const response = await send(url, question, ends.signal);
    status = response.statusCode as number;
    const text = await read(response, question.answerBytesMax);
    if (text === undefined) return { kind: "silent", detail: `${server} answered with more than ${question.answerBytesMax} bytes, which are not read` };
    return { kind: "answered", server, status, text };
  } catch (error) {
    if (signal.aborted) return { kind: "cancelled" };
    const begun = status === undefined ? "" : `began to answer with status ${status} and `;
    return { kind: "silent", detail: `${server} ${begun}${isTimedOut ? `did not ${status === undefined ? "answer" : "end"} within ${question.timeoutMs} ms` : whyNot(error, status)}` };
  } finally {
    cancelTimeout();
    signal.removeEventListener("abort", stop);
  }
}

/**
 * Calls back once the loop has turned for so long. After a time in which it did not, timers come first and what is in the sockets after them: so no look that is late is the last, unless the
 * one before it was late as well, as on a machine that is always busy. Returns a function that cancels.
 */
function afterTurning(ms: number, callback: () => void): () => void {
  let leftMs = ms;
  let wasLate = false;
  let lookedAt = performance.now();
  const look = (): void => {
    const now = performance.now();
    const passedMs = now - lookedAt;
    const isLate = passedMs > LOOK_MS_MAX;
    lookedAt = now;
    leftMs -= Math.min(passedMs, LOOK_MS_MAX);
    if (leftMs <= 0 && (!isLate || wasLate)) return callback();
    wasLate = isLate;
    timer = setTimeout(look, leftMs > 0 ? Math.min(leftMs, LOOK_MS) : LOOK_MS);
  };
  let timer = setTimeout(look, Math.min(leftMs, LOOK_MS));
  return () => clearTimeout(timer);
}

function addressOf({ url: text, path, query }: HttpQuestion): URL | undefined {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) return undefined;
  if (path !== undefined) url.pathname = url.pathname.replace(/\/+$/, "") + path;
  for (const [name, value] of Object.entries(query ?? {})) url.searchParams.set(name, value);
  return url;
}

function send(url: URL, { method, headers, body }: HttpQuestion, signal: AbortSignal): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const user = url.username === "" && url.password === "" ? {} : { authorization: basic(url) };
  const bare = new URL(url);
  bare.username = "";
  bare.password = "";
  const length = body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) };
  const request = (bare.protocol === "https:" ? https : http).request(
    bare,
    { method, agent: false, signal, headers: { "user-agent": "muster", "accept-encoding": "identity", connection: "close", ...user, ...length, ...headers } },
    resolve,
  );
  // A server that asks for another protocol is hung up on without an error.
  request.on("error", reject).on("close", () => reject(new Error("the connection was closed")));
  request.end(body);
  return promise;
}

function basic(url: URL): string {
  return `Basic ${Buffer.from(`${decoded(url.username)}:${decoded(url.password)}`).toString("base64")}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone % is meant as it stands
  }
}

/** Undefined: longer than allowed. Leaving the loop destroys the connection. */
async function read(response: IncomingMessage, bytesMax: number): Promise<string | undefined> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of response) {
    bytes += (piece as Buffer).length;
    if (bytes > bytesMax) return undefined;
    pieces.push(piece as Buffer);
  }
  return new TextDecoder().decode(Buffer.concat(pieces));
}

function whyNot(error: unknown, status: number | undefined): string {
  // Where a name has several addresses, the error of all has a code but no message.
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  switch (code) {
    case "ECONNREFUSED":
      return "refused the connection";
    case "ENOTFOUND":
      return "is not known: no address was found for its name";
    case "EAI_AGAIN":
      return "can't be looked up: the name server did not answer";
    case "ECONNRESET":
      return status === undefined ? "hung up without an answer" : "broke off";
    default: {
      const message = error instanceof Error ? error.message : String(error);
      return `can't be asked: ${message === "" ? String(code ?? "no reason is given") : oneLine(message)}`;
    }
  }
}
