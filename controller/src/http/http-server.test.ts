import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { createServer, get, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createHttpServer, type HttpServer } from "./http-server.ts";

const digest = "a".repeat(64);
const empty = "b".repeat(64);
const pack = randomBytes(8 * 1024 * 1024);
const logger = pino({ level: "silent" });
let dir: string;
let server: HttpServer;
let listener: Server;
let port: number;
/** Digests that the caller may not have. */
let forbidden: string[];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "muster-http-"));
  for (const [name, content] of [[digest, pack], [empty, Buffer.alloc(0)]] as const) {
    mkdirSync(join(dir, "store", name), { recursive: true });
    writeFileSync(join(dir, "store", name, "manifest"), "{}");
    writeFileSync(join(dir, "store", name, "pack"), content);
  }
  writeFileSync(join(dir, "pack"), "secret");
  forbidden = [];
  server = await createHttpServer({
    dir: join(dir, "store"),
    mayFetch: (_, wanted) => !forbidden.includes(wanted),
    createServer: (answer) => (listener = createServer(answer)),
    logger,
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  port = (listener.address() as AddressInfo).port;
});

afterEach(async () => {
  await server.close();
  rmSync(dir, { recursive: true, force: true });
});

function ask(path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Response> {
  return fetch(`http://127.0.0.1:${port}${path}`, { method, headers });
}

const packPath = `/v1/artifacts/${digest}/pack`;

describe("the artifact server", () => {
  test("serves the manifest and the pack whole, to be kept for ever", async () => {
    const manifest = await ask(`/v1/artifacts/${digest}/manifest`);
    expect([manifest.status, await manifest.text()]).toEqual([200, "{}"]);
    const whole = await ask(packPath);
    expect(Object.fromEntries(whole.headers)).toMatchObject({ etag: `"${digest}"`, "cache-control": "public, max-age=31536000, immutable", "accept-ranges": "bytes", "content-length": String(pack.length) });
    expect(Buffer.from(await whole.arrayBuffer()).equals(pack)).toBe(true);
  });

  test.each([
    ["bytes=0-0", 0, 0],
    ["bytes=100-2000000", 100, 2_000_000],
    ["bytes=8388600-", 8_388_600, 8_388_607],
    ["bytes=-5", 8_388_603, 8_388_607],
    ["bytes=8388600-99999999", 8_388_600, 8_388_607],
  ])("serves %s as a part", async (range, start, end) => {
    const part = await ask(packPath, { range });
    expect([part.status, part.headers.get("content-range"), part.headers.get("content-length")]).toEqual([206, `bytes ${start}-${end}/8388608`, String(end - start + 1)]);
    expect(Buffer.from(await part.arrayBuffer()).equals(pack.subarray(start, end + 1))).toBe(true);
  });

  test("answers 416 with the length to a range outside", async () => {
    const answer = await ask(packPath, { range: "bytes=8388608-" });
    expect([answer.status, answer.headers.get("content-range")]).toEqual([416, "bytes */8388608"]);
  });

  test("serves a range only of the version that If-Range names", async () => {
    expect((await ask(packPath, { range: "bytes=0-0", "if-range": `"${digest}"` })).status).toBe(206);
    expect((await ask(packPath, { range: "bytes=0-0", "if-range": '"other"' })).status).toBe(200);
  });

  test("answers 304 to a client that has it", async () => {
    expect((await ask(packPath, { "if-none-match": `"x", "${digest}"` })).status).toBe(304);
  });

  test("answers HEAD with the headers of GET and no body", async () => {
    const whole = await ask(packPath, {}, "HEAD");
    expect([whole.status, whole.headers.get("content-length"), (await whole.arrayBuffer()).byteLength]).toEqual([200, String(pack.length), 0]);
    const part = await ask(packPath, { range: "bytes=1-2" }, "HEAD");
    expect([part.status, part.headers.get("content-length")]).toEqual([206, "2"]);
  });

  test("serves an empty pack", async () => {
    const answer = await ask(`/v1/artifacts/${empty}/pack`);
    expect([answer.status, answer.headers.get("content-length"), await answer.text()]).toEqual([200, "0", ""]);
    expect((await ask(`/v1/artifacts/${empty}/pack`, { range: "bytes=0-" })).status).toBe(416);
  });

  test("answers 404 to a digest it does not have and 400 to what is no digest", async () => {
    const unknown = await ask(`/v1/artifacts/${"c".repeat(64)}/pack`);
    expect([unknown.status, await unknown.json()]).toEqual([404, { message: `there is no artifact ${"c".repeat(64)}` }]);
    expect((await ask(`/v1/artifacts/${digest.toUpperCase()}/pack`)).status).toBe(400);
    expect((await ask("/v1/artifacts/x/pack")).status).toBe(400);
    expect((await ask(`/v1/artifacts/${digest}/other`)).status).toBe(404);
  });

  test.each(["/v1/artifacts/../pack", "/v1/artifacts/..%2f/pack", "/v1/artifacts/%2e%2e/pack", "/v1/artifacts//pack", "/v1/artifacts/..%00/pack", "/v1/artifacts/%ff/pack", `/v1/artifacts/${digest}/../../pack`])(
    "does not lead outside with %s",
    async (path) => {
      // fetch would clean the path up.
      const [status, body] = await new Promise<[number | undefined, string]>((resolve, reject) => {
        get({ port, path }, (response) => {
          let text = "";
          response.on("data", (data) => (text += data)).on("end", () => resolve([response.statusCode, text]));
        }).on("error", reject);
      });
      expect([400, 404]).toContain(status);
      expect(body).not.toContain("secret");
    },
  );

  test("is healthy", async () => {
    expect((await ask("/healthz")).status).toBe(200);
  });

  test("serves 200 ranges at once", async () => {
    const ranges = Array.from({ length: 200 }, (_, index) => ({ start: index * 40_000, end: index * 40_000 + 59_999 }));
    const parts = await Promise.all(
      ranges.map(async ({ start, end }) => Buffer.from(await (await ask(packPath, { range: `bytes=${start}-${end}` })).arrayBuffer())),
    );
    expect(parts.every((part, index) => part.equals(pack.subarray(ranges[index]!.start, ranges[index]!.end + 1)))).toBe(true);
  });

  test("lets go of the file when a client hangs up in the middle", async () => {
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        await new Promise<void>((resolve) => {
          const socket = connect(port, "127.0.0.1", () => socket.write(`GET ${packPath} HTTP/1.1\r\nhost: x\r\n\r\n`));
          socket.once("data", () => socket.destroy()).once("close", () => resolve());
        });
      }),
    );
    await vi.waitFor(() => expect(openFilesBelow(dir)).toBe(0), { timeout: 10_000 });
    expect((await ask(packPath, { range: "bytes=0-0" })).status).toBe(206);
  });

  test("holds a piece of the file for each client that takes nothing, and not the file", async () => {
    const before = bytesHeld();
    const idle = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const socket = connect(port, "127.0.0.1", () => socket.write(`GET ${packPath} HTTP/1.1\r\nhost: x\r\n\r\n`));
        await new Promise((resolve) => socket.once("readable", resolve));
        return socket;
      }),
    );
    for (let count = 0; count < 20; count += 1) expect((await ask(packPath, { range: "bytes=0-0" })).status).toBe(206);
    expect(bytesHeld() - before).toBeLessThan(100 * 1024 * 1024);
    for (const socket of idle) socket.destroy();
  });

  test("closes at once although a client is reading", async () => {
    const socket = connect(port, "127.0.0.1", () => socket.write(`GET ${packPath} HTTP/1.1\r\nhost: x\r\n\r\n`));
    socket.on("error", () => undefined);
    await new Promise((resolve) => socket.once("data", resolve));
    socket.pause();
    await server.close();
    const ended = new Promise((resolve) => socket.once("close", resolve));
    socket.resume();
    await ended;
  });

  test("gives nobody what they may not have, and tells them no more than that", async () => {
    forbidden = [digest, "c".repeat(64)];
    for (const each of forbidden) {
      const answer = await ask(`/v1/artifacts/${each}/pack`);
      expect([answer.status, await answer.json()]).toEqual([403, { message: `no assignment of this machine names the artifact ${each}` }]);
    }
    expect((await ask(`/v1/artifacts/${empty}/pack`)).status).toBe(200);
  });
});

/** In buffers that somebody still refers to. */
function bytesHeld(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  return process.memoryUsage().arrayBuffers;
}

/** Only Linux can tell; elsewhere the test shows no more than that the server lives on. */
function openFilesBelow(path: string): number {
  if (process.platform !== "linux") return 0;
  const own = readdirSync("/proc/self/fd").map((fd) => linkOf(`/proc/self/fd/${fd}`));
  return own.filter((target) => target.startsWith(path)).length;
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ""; // closed meanwhile
  }
}
