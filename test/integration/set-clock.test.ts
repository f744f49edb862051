/**
 * A real controller that starts with a wrong wall clock, which is set while it starts or soon afterwards: everything that it serves must be believed again, without a restart. nats-server, and whoever
 * connects here, have the right time all along.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { CONTROLLER_NAME } from "@muster/proto/identity.ts";
import { afterEach, expect, test, vi } from "vitest";
import { ControllerProcess } from "./controller-process.ts";

const DAY_MS = 24 * 60 * 60_000;

let controller: ControllerProcess | undefined;
afterEach(async () => {
  await controller?.stop();
  controller = undefined;
});

/** A module that makes the wall clock wrong by so much for the first seconds of a process. */
function wrongFor(forMs: number, wrongMs: number): string {
  return `data:text/javascript,const right = Date.now; const until = performance.now() + ${forMs}; Date.now = () => right() + (performance.now() < until ? ${wrongMs} : 0);`.replaceAll(" ", "%20");
}

/** Why a client with the right time does not believe it; undefined: it does. */
function disbelief(address: string, dir: string): Promise<string | undefined> {
  const { hostname, port } = new URL(`tls://${address}`);
  const ca = readFileSync(join(dir, "identity", "authorities", "1.crt"));
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port), ca, servername: CONTROLLER_NAME, ALPNProtocols: ["h2", "http/1.1"] });
    const end = (said: string | undefined): void => {
      socket.destroy();
      resolve(said);
    };
    socket.on("secureConnect", () => end(undefined));
    socket.on("error", (error) => end(error.message));
  });
}

test.each([
  ["40 days behind, and is set while it starts", -40 * DAY_MS, 4_000],
  ["2 days ahead, and is set when it serves", 2 * DAY_MS, 10_000],
])("a clock that is %s", async (_, wrongMs, forMs) => {
  controller = await ControllerProcess.start({ loads: [wrongFor(forMs, wrongMs)] });
  const { grpc, https, dir } = controller;
  await vi.waitFor(async () => expect([await disbelief(grpc, dir), await disbelief(new URL(https).host, dir)]).toEqual([undefined, undefined]), { timeout: 20_000, interval: 200 });
});
