/**
 * Which port nats-server listens on: the one that was asked for, else the one it had last time, else a free one.
 * The port is remembered so that agents find the server again after a restart.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import type { Logger } from "pino";
import { NatsServerError } from "./nats-server-error.ts";

/** `wanted` 0: any. Throws NatsServerError when a wanted port is taken. */
export async function choosePort(dir: string, host: string, wanted: number, logger: Logger): Promise<number> {
  if (wanted !== 0) {
    if ((await portIfFree(host, wanted)) !== undefined) return wanted;
    throw new NatsServerError("port_in_use", `port ${wanted} on ${host} is in use by another program; free it, or choose another with --nats-port`);
  }
  const former = readPort(dir);
  if (former !== undefined) {
    if ((await portIfFree(host, former)) !== undefined) return former;
    logger.warn({ port: former }, "the former port of nats-server is taken; choosing another");
  }
  const free = await portIfFree(host, 0);
  if (free === undefined) throw new NatsServerError("port_in_use", `there is no free port on ${host} for nats-server`);
  return free;
}

export function rememberPort(dir: string, port: number): void {
  writeFileSync(join(dir, "port"), `${port}\n`);
}

function readPort(dir: string): number | undefined {
  try {
    const port = Number(readFileSync(join(dir, "port"), "utf8").trim());
    return Number.isInteger(port) && port > 0 && port < 65_536 ? port : undefined;
  } catch {
    return undefined; // the first start
  }
}

async function portIfFree(host: string, port: number): Promise<number | undefined> {
  const probe = createServer();
  try {
    return await new Promise<number>((resolve, reject) => {
      probe.once("error", reject);
      probe.listen({ host, port }, () => resolve((probe.address() as AddressInfo).port));
    });
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE") return undefined;
    throw new NatsServerError("io_error", `nats-server can't listen on ${host}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  } finally {
    await new Promise((resolve) => probe.close(resolve));
  }
}
