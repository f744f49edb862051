/** Asks a URL once. Well when it is answered whole, in time, with a status from 200 to 399; redirects are answers, and are not followed. */
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { errorCode } from "../runner/fault.ts";
import type { Sample } from "./verdict.ts";

/** Read of a body, so that the server is not cut off while it answers; nobody looks at it. */
const BODY_BYTES_MAX = 64 * 1024;

export async function checkHttp(url: string, timeoutMs: number, signal: AbortSignal): Promise<Sample> {
  // Not AbortSignal.any: `signal` lives as long as the watch, and must not gather a dependent for each sample.
  const ends = new AbortController();
  const stop = (): void => ends.abort();
  signal.addEventListener("abort", stop, { once: true });
  let isTimedOut = false;
  const timer = setTimeout(() => {
    isTimedOut = true;
    ends.abort();
  }, timeoutMs);
  let response: IncomingMessage | undefined;
  try {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const get = url.startsWith("https:") ? https.get : http.get;
    get(url, { agent: false, headers: { connection: "close", "user-agent": "muster-agent" }, signal: ends.signal }, resolve).on("error", reject);
    response = await promise;
    let read = 0;
    for await (const piece of response) {
      read += (piece as Buffer).length;
      if (read >= BODY_BYTES_MAX) break;
    }
    const status = response.statusCode as number;
    return status >= 200 && status < 400 ? { ok: true } : failed(url, `answered ${status}`);
  } catch (error) {
    if (isTimedOut) return failed(url, `timed out after ${timeoutMs} ms`);
    if (errorCode(error) === "ECONNREFUSED") return failed(url, "refused");
    const begun = response === undefined ? "failed" : `answered ${response.statusCode} and broke off`;
    return failed(url, `${begun}: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}

function failed(url: string, what: string): Sample {
  return { ok: false, detail: `GET ${url} ${what}` };
}
