/**
 * Free ports. Only tries to listen; keeps none.
 *
 * Ports are picked below the range that Linux takes for outgoing connections (32768 to 60999): an app keeps its port for good, and while it is being
 * upgraded somebody's outgoing connection must not sit on it.
 */
import { createServer } from "node:net";
import { randomInt } from "node:crypto";
import { errorCode } from "../../runner/fault.ts";
import type { PortPicker } from "../../runner/ports.ts";

export interface PortPickerOptions {
  /** Both inclusive. */
  readonly from?: number;
  readonly to?: number;
  /** A whole number from 0 up to and without `end`. */
  readonly random?: (end: number) => number;
}

const TRIES_MAX = 200;
/** A server on all addresses is noticed on each of these; one on another single address is in nobody's way. */
const LOOPBACKS = ["127.0.0.1", "::1"];

export function createPortPicker({ from = 10_000, to = 32_767, random = (end) => randomInt(end) }: PortPickerOptions = {}): PortPicker {
  return {
    async pick(taken) {
      for (let attempt = 0; attempt < TRIES_MAX; attempt += 1) {
        const port = from + random(to - from + 1);
        if (!taken.has(port) && (await isFree(port))) return port;
      }
      throw new Error(`no free port from ${from} to ${to} in ${TRIES_MAX} tries`);
    },
    isFree,
  };
}

async function isFree(port: number): Promise<boolean> {
  for (const host of LOOPBACKS) {
    if ((await listen(port, host)) === "EADDRINUSE") return false;
  }
  return true;
}

/** The error's code; undefined when it worked. Other codes (no IPv6 here, a port for root alone) do not say that somebody has it. */
function listen(port: number, host: string): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const server = createServer();
  server.on("error", (error) => resolve(errorCode(error)));
  server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(undefined)));
  return promise;
}
