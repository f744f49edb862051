/** One question over HTTP, of a controller that is held up meanwhile. The server lives in a thread of its own, so that it answers though this one does not turn. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { askHttp, type HttpAnswer } from "./ask-http.ts";

const SERVER = `
const { parentPort, workerData } = require("node:worker_threads");
const flags = new Int32Array(workerData);
const server = require("node:http").createServer((request, response) => {
  parentPort.postMessage("asked");
  const answer = () => {
    if (Atomics.load(flags, 0) === 0) return setTimeout(answer, 5);
    response.end("go", () => {
      Atomics.store(flags, 1, 1);
      Atomics.notify(flags, 1);
    });
  };
  answer();
});
server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));
`;
/** It answers once this is set, and then sets the other. */
const MAY_ANSWER = 0;
const HAS_ANSWERED = 1;
const NEVER = 2;
const TIMEOUT_MS = 400;

let flags: Int32Array;
let server: Worker;
let url: string;

beforeEach(async () => {
  const shared = new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT);
  flags = new Int32Array(shared);
  server = new Worker(SERVER, { eval: true, workerData: shared });
  url = `http://127.0.0.1:${String((await once(server, "message"))[0])}`;
});

afterEach(() => server.terminate());

/** The question is at the server. */
async function asked(): Promise<{ readonly answer: Promise<HttpAnswer> }> {
  const isAsked = once(server, "message");
  const answer = askHttp({ method: "GET", url, headers: {}, timeoutMs: TIMEOUT_MS, answerBytesMax: 100 }, new AbortController().signal);
  await isAsked;
  return { answer };
}

/** As a process that is stopped: the loop does not turn. */
function holdUp(ms: number): void {
  Atomics.wait(flags, NEVER, 0, ms);
}

describe("a controller that is held up for longer than the timeout", () => {
  test("reads the answer that came meanwhile", async () => {
    const { answer } = await asked();
    Atomics.store(flags, MAY_ANSWER, 1);
    expect(Atomics.wait(flags, HAS_ANSWERED, 0, 10_000)).not.toBe("timed-out");
    holdUp(2 * TIMEOUT_MS);
    expect(await answer).toMatchObject({ kind: "answered", status: 200, text: "go" });
  });

  test("waits as long afterwards as it would have", async () => {
    const { answer } = await asked();
    holdUp(2 * TIMEOUT_MS);
    setTimeout(() => Atomics.store(flags, MAY_ANSWER, 1), TIMEOUT_MS / 4);
    expect(await answer).toMatchObject({ kind: "answered", status: 200, text: "go" });
  });

  test("waits no longer than that", async () => {
    const { answer } = await asked();
    holdUp(2 * TIMEOUT_MS);
    const since = performance.now();
    expect(await answer).toEqual({ kind: "silent", detail: `${url} did not answer within ${TIMEOUT_MS} ms` });
    expect(performance.now() - since).toBeGreaterThan(TIMEOUT_MS / 4);
  });
});
