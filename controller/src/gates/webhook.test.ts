import { createServer, type AddressInfo } from "node:net";
import type { ServerResponse } from "node:http";
import type { Instant } from "@muster/proto/ids.ts";
import { afterEach, describe, expect, test, vi } from "vitest";
import { questionOf, says, serve, webhookGate, type TestServer } from "./server.fixture.ts";
import type { Verdict } from "./verdict.ts";
import { askWebhook } from "./webhook.ts";

const askedAt = Date.parse("2026-06-01T20:00:00Z") as Instant;
const never = new AbortController().signal;
let server: TestServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function ask(url: string, timeoutMs?: number, signal = never): Promise<Verdict> {
  const gate = webhookGate(url, timeoutMs);
  return askWebhook(gate, { ...questionOf(gate), askedAt }, signal);
}

/** The verdict on what a server answers; its address reads as HOST. */
async function verdictOn(answer: (response: ServerResponse) => void, timeoutMs?: number): Promise<Verdict> {
  server = await serve(answer);
  const { kind, detail } = await ask(server.url, timeoutMs);
  return { kind, detail: detail.replace(server.url, "HOST") };
}

describe("a webhook", () => {
  test("is told what is being rolled out", async () => {
    server = await serve(says("go"));
    await ask(`${server.url}/gates/shop?token=abc`);
    const [{ headers, body, ...request }] = server.requests as [TestServer["requests"][0]];
    expect(request).toEqual({ method: "POST", path: "/gates/shop?token=abc" });
    expect(headers).toMatchObject({ "content-type": "application/json", "user-agent": "muster", "idempotency-key": "d-7/2/0/1", connection: "close" });
    expect(headers).not.toHaveProperty("authorization");
    expect(JSON.parse(body)).toEqual({
      asks: "gate", deployment: "d-7", app: "shop", version: "1.4.0", wave: 2, waves: 3, attempt: 1, counts: { healthy: 4, pending: 6 }, asked_at: "2026-06-01T20:00:00.000Z",
    });
  });

  test.each([
    ["go", "go", "HOST said go"],
    [" STOP\r\n", "stop", "HOST said stop"],
    ["Wait", "wait", "HOST said wait"],
    ['{"decision":"go"}', "go", "HOST said go"],
    ['{"decision":"Stop","reason":"the till is\\n\\u001b[31mbroken\\u202e"}', "stop", "HOST said stop: the till is [31mbroken"],
    ['\uFEFF{"decision":"wait","reason":"tests run"}', "wait", "HOST said wait: tests run"],
    ['{"decision":"go","reason":7}', "go", "HOST said go"],
  ])("that answers %j is heard", async (body, kind, detail) => {
    expect(await verdictOn(says(body))).toEqual({ kind, detail });
  });

  test("is heard with every status from 200 to 299", async () => {
    expect(await verdictOn(says("stop", 202))).toEqual({ kind: "stop", detail: "HOST said stop" });
  });

  test("may give a long reason, of which the beginning is kept", async () => {
    const { detail } = await verdictOn(says(JSON.stringify({ decision: "stop", reason: "😀".repeat(10_000) })));
    expect(detail).toBe(`HOST said stop: ${"😀".repeat(100)}…`);
  });

  const expected = 'go, stop or wait is expected, or {"decision": "go", "reason": "…"}';
  test.each([
    ["nothing", says(""), `HOST answered nothing: ${expected}`],
    ["204", says("", 204), `HOST answered nothing: ${expected}`],
    ["another word", says("going"), `HOST answered "going": ${expected}`],
    ["half of a JSON", says('{"decision":"go"'), `HOST answered "{"decision":"go"": ${expected}`],
    ["JSON without a decision", says('{"ok":true}'), `HOST answered "{"ok":true}": ${expected}`],
    ["a decision that is none", says('{"decision":true}'), `HOST answered "{"decision":true}": ${expected}`],
    ["a list", says('["go"]'), `HOST answered "["go"]": ${expected}`],
    ["bytes that are no text", (response: ServerResponse) => response.end(Buffer.from([0xff, 0x00, 0x1b, 0x5b])), `HOST answered "\uFFFD [": ${expected}`],
    ["500", says("go", 500), "HOST answered with status 500, and only 200 to 299 count"],
    ["404", says("go", 404), "HOST answered with status 404, and only 200 to 299 count"],
    ["a redirect", (response: ServerResponse) => response.writeHead(307, { location: "/go" }).end("go"), "HOST answered with status 307, a redirect, and none is followed: name the final address in the url"],
    ["more than 64 KiB", says(`go${" ".repeat(64 * 1024)}`), "HOST answered with more than 65536 bytes, which are not read"],
    ["without an end", (response: ServerResponse) => void fill(response), "HOST answered with more than 65536 bytes, which are not read"],
    ["half of what it promised", (response: ServerResponse) => half(response), "HOST began to answer with status 200 and broke off"],
    ["by hanging up", (response: ServerResponse) => void response.destroy(), "HOST hung up without an answer"],
  ])("that answers %s is silent", async (_, answer, detail) => {
    expect(await verdictOn(answer)).toEqual({ kind: "silent", detail });
  });

  test("is asked once, and no redirect is followed", async () => {
    server = await serve((response) => response.writeHead(302, { location: "/elsewhere" }).end());
    await ask(server.url);
    expect(server.requests).toHaveLength(1);
  });

  test("that answers with exactly 64 KiB is heard", async () => {
    expect(await verdictOn(says(`go${" ".repeat(64 * 1024 - 2)}`))).toEqual({ kind: "go", detail: "HOST said go" });
  });

  test("that never answers is silent when its time is over", async () => {
    expect(await verdictOn(() => undefined, 50)).toEqual({ kind: "silent", detail: "HOST did not answer within 50 ms" });
  });

  test("that answers drop by drop is silent when its time is over", async () => {
    const drip = (response: ServerResponse): void => {
      response.writeHead(200);
      const timer = setInterval(() => response.write(" "), 5);
      response.on("close", () => clearInterval(timer));
    };
    expect(await verdictOn(drip, 1_000)).toEqual({ kind: "silent", detail: "HOST began to answer with status 200 and did not end within 1000 ms" });
  });

  test("that accepts the connection and says nothing is silent, and so is one that speaks no HTTP or switches to another protocol", async () => {
    for (const [said, detail] of [
      ["", "did not answer within 300 ms"],
      ["SSH-2.0-OpenSSH_9.2\r\n", "can't be asked: Parse Error: Expected HTTP/, RTSP/ or ICE/"],
      ["HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", "can't be asked: the connection was closed"],
    ] as const) {
      const raw = createServer((socket) => void socket.on("error", () => undefined).resume().write(said));
      await new Promise<void>((resolve) => raw.listen(0, "127.0.0.1", resolve));
      const url = `http://127.0.0.1:${(raw.address() as AddressInfo).port}`;
      expect(await ask(url, 300)).toEqual({ kind: "silent", detail: `${url} ${detail}` });
      await new Promise((resolve) => raw.close(resolve));
    }
  });

  test("that refuses is silent", async () => {
    const gone = await serve(says("go"));
    await gone.close();
    expect(await ask(gone.url)).toEqual({ kind: "silent", detail: `${gone.url} refused the connection` });
    expect(await ask(gone.url.replace("127.0.0.1", "localhost"))).toEqual({ kind: "silent", detail: `http://localhost:${gone.port} refused the connection` });
  });

  test("whose certificate is none is silent", async () => {
    server = await serve(says("go"));
    const { kind, detail } = await ask(server.url.replace("http:", "https:"));
    expect(kind).toBe("silent");
    expect(detail).toMatch(/^https:\/\/127\.0\.0\.1:\d+ (can't be asked: |hung up)/);
  });

  test.each(["", "gate.example", "ftp://gate.example/", "http://"])("with the url %j is silent", async (url) => {
    expect(await ask(url)).toEqual({ kind: "silent", detail: "the gate's url can't be read: an http or https URL is expected" });
  });

  test("is told the user of its URL, and nobody else is", async () => {
    server = await serve(says("no", 500));
    const { detail } = await ask(`${server.url.replace("//", "//ann:s%40cret%zz@")}/hooks/T0P?token=t0p#x`);
    expect(server.requests[0]?.headers.authorization).toBe(`Basic ${btoa("ann:s%40cret%zz")}`);
    expect(detail).toBe(`${server.url} answered with status 500, and only 200 to 299 count`);
    await ask(server.url.replace("//", "//ann:s%40cret@"));
    expect(server.requests[1]?.headers.authorization).toBe(`Basic ${btoa("ann:s@cret")}`);
  });

  test("is left alone when the question is cancelled, and afterwards has no connection", async () => {
    const cancel = new AbortController();
    server = await serve(() => cancel.abort());
    expect(await ask(server.url, 10_000, cancel.signal)).toEqual({ kind: "wait", detail: "the question was cancelled" });
    expect(await ask(server.url, 10_000, cancel.signal)).toEqual({ kind: "wait", detail: "the question was cancelled" });
    expect(server.requests).toHaveLength(1);
    await vi.waitFor(() => expect(server?.connections.size).toBe(0), { timeout: 10_000 });
  });

  test("has no connection after it has answered", async () => {
    server = await serve(says("go"));
    await ask(server.url);
    await vi.waitFor(() => expect(server?.connections.size).toBe(0), { timeout: 10_000 });
  });

  test("has no connection after it has answered too much", async () => {
    server = await serve((response) => fill(response));
    await ask(server.url);
    await vi.waitFor(() => expect(server?.connections.size).toBe(0), { timeout: 10_000 });
  });

  test("may have a timeout longer than a timer can be", async () => {
    server = await serve(says("go"));
    expect((await ask(server.url, 2 ** 40)).kind).toBe("go");
  });
});

/** Writes for as long as somebody reads. */
function fill(response: ServerResponse): void {
  const piece = Buffer.alloc(16 * 1024, " ");
  const more = (): void => {
    while (!response.destroyed && response.write(piece));
  };
  response.on("drain", more);
  more();
}

function half(response: ServerResponse): void {
  response.writeHead(200, { "content-length": "100" });
  response.write("go", () => response.destroy());
}
