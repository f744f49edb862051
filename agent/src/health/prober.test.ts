import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import net, { type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Probe } from "@muster/proto/gen/muster/v1/release.ts";
import type { Verdict } from "../runner/ports.ts";
import { checkExec } from "./check-exec.ts";
import { checkHttp } from "./check-http.ts";
import { checkTcp } from "./check-tcp.ts";
import { createProber } from "./prober.ts";
import type { Sample } from "./verdict.ts";

const never = new AbortController().signal;
const OK: Sample = { ok: true };
let dir: string;
let servers: Server[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "muster-health-"));
  servers = [];
});

afterEach(async () => {
  for (const server of servers) server.close();
  await rm(dir, { recursive: true, force: true });
});

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  servers.push(server);
  return (server.address() as AddressInfo).port;
}

async function http(answer: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listen(createServer(answer))}/healthz`;
}

/** A port on which nobody listens any more. */
async function closedPort(): Promise<number> {
  const server = net.createServer();
  const port = await listen(server);
  server.close();
  await once(server, "close");
  return port;
}

function detail(sample: Sample): string {
  return sample.ok ? "ok" : sample.detail;
}

const same = (text: string): string => text;

describe("an http probe", () => {
  test.each([200, 204, 302, 399])("is well at %d, and follows no redirect", async (status) => {
    let asked = 0;
    const url = await http((_, response) => {
      asked += 1;
      response.writeHead(status, { location: "/elsewhere" }).end();
    });
    expect(await checkHttp(url, 5_000, never)).toEqual(OK);
    expect(asked).toBe(1);
  });

  test.each([400, 404, 500, 503])("is not at %d", async (status) => {
    const url = await http((_, response) => response.writeHead(status).end("body"));
    expect(detail(await checkHttp(url, 5_000, never))).toBe(`GET ${url} answered ${status}`);
  });

  test("says that it was refused", async () => {
    const url = `http://127.0.0.1:${await closedPort()}/`;
    expect(detail(await checkHttp(url, 5_000, never))).toBe(`GET ${url} refused`);
  });

  test("says that nothing came in time, be it the head or the end of the body", async () => {
    const silent = await http(() => undefined);
    expect(detail(await checkHttp(silent, 30, never))).toBe(`GET ${silent} timed out after 30 ms`);
    const endless = await http((_, response) => void response.writeHead(200).write("x"));
    expect(detail(await checkHttp(endless, 30, never))).toBe(`GET ${endless} timed out after 30 ms`);
  });

  test("reads only so much of a body, and that is well", async () => {
    const url = await http((_, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write(Buffer.alloc(16 * 1024)), 1);
      response.on("close", () => clearInterval(timer));
    });
    expect(await checkHttp(url, 10_000, never)).toEqual(OK);
  });

  test("says that the answer broke off, or was none", async () => {
    const broken = await http((_, response) => {
      response.writeHead(200, { "content-length": 100 });
      response.write("x", () => response.destroy());
    });
    expect(detail(await checkHttp(broken, 5_000, never))).toMatch(/^GET http\S+ answered 200 and broke off: /);
    const port = await listen(net.createServer((socket) => socket.end("nonsense\r\n\r\n")));
    expect(detail(await checkHttp(`http://127.0.0.1:${port}/`, 5_000, never))).toMatch(/^GET http\S+ failed: Parse Error/);
  });
});

describe("a tcp probe", () => {
  test("is well when the connection opens", async () => {
    const port = await listen(net.createServer());
    expect(await checkTcp(`127.0.0.1:${port}`, 5_000, never)).toEqual(OK);
  });

  test("says that it was refused, or that the address is none", async () => {
    const address = `127.0.0.1:${await closedPort()}`;
    expect(detail(await checkTcp(address, 5_000, never))).toBe(`tcp ${address} refused`);
    for (const odd of ["localhost", "a:b", ":80", "1.2.3.4:99999"]) expect(detail(await checkTcp(odd, 100, never))).toBe(`tcp ${odd} is not host:port`);
  });

  test("takes an IPv6 address in brackets", async () => {
    expect(detail(await checkTcp(`[::1]:${await closedPort()}`, 5_000, never))).toMatch(/^tcp \[::1\]:\d+ (refused|failed)/);
  });
});

describe("an exec probe", () => {
  test("tells what the command wrote without its secrets, also where it is cut", async () => {
    await writeFile(join(dir, "leak.sh"), `#!/bin/sh\necho "${"x".repeat(195)}pass-word"\nexit 1\n`, { mode: 0o755 });
    const told = detail(await run(["./leak.sh"]));
    expect(told).toContain("x[sec");
    expect(told).not.toContain("pass");
  });

  const run = (command: readonly string[], timeoutMs = 10_000, signal = never): Promise<Sample> =>
    checkExec(command, { releaseDir: dir, env: { PATH: process.env["PATH"] ?? "", WORD: "hello" }, redact: (text) => text.replaceAll("pass-word", "[secret]") }, timeoutMs, signal);

  test("is well when the command exits with 0, in the release and with its environment alone", async () => {
    await writeFile(join(dir, "check.sh"), '#!/bin/sh\ntest "$WORD" = hello && test -z "$HOME" && test -f check.sh\n', { mode: 0o755 });
    expect(await run(["./check.sh"])).toEqual(OK);
  });

  test("says how it ended and what it said last", async () => {
    await writeFile(join(dir, "check.sh"), '#!/bin/sh\necho first\necho "no database" >&2\nexit 1\n', { mode: 0o755 });
    expect(detail(await run(["./check.sh"]))).toBe('./check.sh exited with 1: "no database"');
    expect(detail(await run(["sh", "-c", "exit 3"]))).toBe("sh -c exit 3 exited with 3");
    expect(detail(await run(["sh", "-c", "kill -9 $$"]))).toBe("sh -c kill -9 $$ was ended by SIGKILL");
  });

  test("says why it could not be started", async () => {
    await writeFile(join(dir, "plain"), "");
    expect(detail(await run(["./missing"]))).toBe("./missing could not be started: no such program");
    expect(detail(await run(["./plain"]))).toBe("./plain could not be started: it is not executable");
    expect(detail(await run([]))).toContain("has no command");
  });

  test("is ended with its children when its time is over, or when nobody asks any more", async () => {
    const script = "echo waiting; (echo $$ > pid; sleep 60) & sleep 60";
    expect(detail(await run(["sh", "-c", script], 300))).toMatch(/timed out after 300 ms: "waiting"$/);
    await expectGroupGone();
    const stop = new AbortController();
    const sample = run(["sh", "-c", script], 60_000, stop.signal);
    await vi.waitFor(() => expect(existsSync(join(dir, "pid"))).toBe(true), 5_000);
    stop.abort();
    expect(detail(await sample)).toMatch(/was stopped$/);
    await expectGroupGone();
  });

  test("does not wait for what its command leaves behind, and ends that", async () => {
    expect(await run(["sh", "-c", "echo $$ > pid; sleep 60 & exit 0"])).toEqual(OK);
    await expectGroupGone();
  });

  async function expectGroupGone(): Promise<void> {
    const groupId = Number(await readFile(join(dir, "pid"), "utf8"));
    await rm(join(dir, "pid"));
    await vi.waitFor(() => expect(() => process.kill(-groupId, 0)).toThrow("ESRCH"), 5_000);
  }
});

test("a release is watched from its first failure over its health to its end", async () => {
  let status = 503;
  const url = await http((_, response) => response.writeHead(status).end());
  const probe: Probe = { check: { $case: "http", value: { url } }, intervalMs: 10, timeoutMs: 5_000, healthyAfter: 2, unhealthyAfter: 2 };
  const told: Verdict[] = [];
  const watch = createProber({ baseEnv: {} }).watch({ wasHealthy: false, probes: [probe], releaseDir: dir, env: {}, redact: same }, (verdict) => told.push(verdict));
  const failing: Verdict = { health: "unhealthy", detail: `GET ${url} answered 503` };
  await vi.waitFor(() => expect(told.at(-1)).toEqual(failing), 5_000);
  status = 200;
  await vi.waitFor(() => expect(told.at(-1)).toEqual({ health: "healthy" }), 5_000);
  status = 503;
  await vi.waitFor(() => expect(told.at(-1)).toEqual(failing), 5_000);
  watch.stop();
});

test("a probe of a kind that this agent does not know is not well", async () => {
  const probe: Probe = { check: undefined, intervalMs: 10, timeoutMs: 10, healthyAfter: 1, unhealthyAfter: 1 };
  const verdict = Promise.withResolvers<Verdict>();
  const watch = createProber({ baseEnv: {} }).watch({ wasHealthy: false, probes: [probe], releaseDir: dir, env: {}, redact: same }, verdict.resolve);
  expect(await verdict.promise).toMatchObject({ health: "unhealthy", detail: expect.stringContaining("update it") as string });
  watch.stop();
});
