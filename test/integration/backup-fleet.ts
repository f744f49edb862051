/**
 * A fleet whose controller is lost, with its directory and on the spot, and comes back from a backup, while the agents and their workloads go on.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type DevFleet, isAlive } from "../e2e/fleet.ts";

const WITHIN_MS = 60_000;

/** Resolves when every agent is connected to the restored one. */
export async function loseAndRestore(fleet: DevFleet, backup: string, restoreOptions: readonly string[] = []): Promise<void> {
  const dir = join(fleet.dir, "controller");
  const { controller, nats } = fleet.file();
  // `muster dev` would start a new one at once: it is held until the directory is back.
  process.kill(fleet.devPid, "SIGSTOP");
  try {
    fleet.kill(controller.pid);
    // It ends by itself when its controller is gone.
    await until("nats-server ends", () => !isAlive(controller.pid) && !isAlive(nats.pid));
    rmSync(dir, { recursive: true });
    const { code, stderr } = await fleet.muster(["restore", backup, "--dir", dir, ...restoreOptions]);
    if (code !== 0) throw new Error(`muster restore exited with ${code}: ${stderr}`);
  } finally {
    process.kill(fleet.devPid, "SIGCONT");
  }
  await until("another controller", () => fleet.file().controller.pid !== controller.pid);
  await connected(fleet);
}

/** Resolves when every agent is. */
export async function connected(fleet: DevFleet): Promise<void> {
  await fleet.whole();
  await until("every agent is connected", async () => {
    const machines = await fleet.json<readonly { readonly state: string }[]>("machines");
    return machines.length === fleet.file().agents.length && machines.every(({ state }) => state === "connected");
  });
}

export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + WITHIN_MS; Date.now() < end; await sleep(100)) if (await holds()) return;
  throw new Error(`it did not come to that within ${WITHIN_MS / 1000} s: ${what}`);
}
