/**
 * Brings nats-server to this machine before the first test; a server that is on PATH already costs a few milliseconds.
 * It runs the same file as `muster dev`, in a process of its own, since nothing outside the CLI imports the CLI.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const ENSURE_NATS_SERVER = fileURLToPath(new URL("../../controller/cli/src/dev/ensure-nats-server.ts", import.meta.url));

export function setup(): void {
  const { status, error } = spawnSync(process.execPath, [ENSURE_NATS_SERVER], { stdio: ["ignore", "ignore", "inherit"] });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error("nats-server is not on this machine and could not be installed (see above)");
}
