/**
 * Fetches a document of the OpenID provider: over HTTPS, or plain HTTP on loopback alone, with bounds on time and size, and never redirected.
 */
import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";

/** The provider can't be asked; the message says why. */
export class FetchError extends Error {
  readonly code = "oidc_unreachable";
  readonly retryable = true;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "FetchError";
  }
}

const TIMEOUT_MS = 5_000;
const BYTES_MAX = 1024 * 1024;

/** `ca`: PEM, in place of the usual authorities. Throws FetchError. */
export async function fetchDocument(url: URL, ca: string | undefined, signal: AbortSignal = AbortSignal.timeout(TIMEOUT_MS)): Promise<Response> {
  if (!isSafe(url)) throw new FetchError(`${url.href} is not HTTPS`);
  try {
    const answer = await ask(url, ca, signal);
    if (answer.statusCode !== 200) {
      answer.destroy();
      throw new FetchError(`${url.href} answered ${answer.statusCode}`);
    }
    return new Response(await bodyOf(answer, url), { status: 200 });
  } catch (error) {
    if (error instanceof FetchError) throw error;
    throw new FetchError(`${url.href}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** Whoever can change the keys on their way can log in as anybody. */
export function isSafe({ protocol, hostname }: URL): boolean {
  return protocol === "https:" || (protocol === "http:" && (hostname === "localhost" || hostname === "[::1]" || /^127(?:\.[0-9]{1,3}){3}$/.test(hostname)));
}

function ask(url: URL, ca: string | undefined, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { accept: "application/json" };
    const request = url.protocol === "https:" ? requestHttps(url, { headers, signal, ...(ca === undefined ? {} : { ca }) }, resolve) : requestHttp(url, { headers, signal }, resolve);
    request.on("error", reject);
    request.end();
  });
}

async function bodyOf(answer: IncomingMessage, url: URL): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BYTES_MAX) throw new FetchError(`${url.href} is larger than ${BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}
