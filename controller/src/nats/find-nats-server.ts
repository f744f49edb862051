/**
 * Finds the nats-server program: on PATH, else where packages put it (a user's PATH often lacks /usr/sbin).
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { NatsServerError } from "./nats-server-error.ts";

const CANDIDATES = ["nats-server", "/usr/sbin/nats-server", "/usr/local/bin/nats-server", "/usr/local/sbin/nats-server", "/usr/bin/nats-server"] as const;

/** A name or path to start it by. Throws NatsServerError. */
export async function findNatsServer(candidates: readonly string[] = CANDIDATES): Promise<string> {
  for (const candidate of candidates) {
    if (await runs(candidate)) return candidate;
  }
  throw new NatsServerError("missing", "nats-server is not installed on this machine: run `apt-get install nats-server` as root, or put a newer one on PATH");
}

async function runs(program: string): Promise<boolean> {
  try {
    await promisify(execFile)(program, ["--version"], { timeout: 10_000 });
    return true;
  } catch {
    return false;
  }
}
