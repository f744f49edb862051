/**
 * Runs releases as process groups: starts them, knows them again after the agent's own death, learns of their end, stops them whole.
 * Never decides whether to; never restarts anything.
 *
 * Always holds: a workload has ended when its first process has, and what that leaves behind is ended before the exit is told.
 *
 * Linux only: what makes a process known again stands under /proc.
 */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { ProcessDriver, Workload } from "../../runner/ports.ts";
import { createExits } from "./exits.ts";
import { members, search, verified } from "./identity.ts";
import { launch } from "./launch.ts";
import { currentBootId, statOf } from "./proc.ts";
import { ROTATION_LIMITS, startRotation, type RotationLimits } from "./rotation.ts";

export interface ProcessDriverOptions {
  /** The agent's directory. */
  readonly dir: string;
  /** What every workload sees besides its release's `env`: see `minimalEnvironment`. */
  readonly baseEnv: Readonly<Record<string, string>>;
  readonly logger: Logger;
  /** How often workloads are looked at that this agent did not start itself. */
  readonly adoptedPollMs?: number;
  /** From SIGTERM to SIGKILL for what a workload leaves behind when it ends of itself: its next start must not find the port taken. */
  readonly leftoverStopTimeoutMs?: number;
  readonly rotation?: Partial<RotationLimits>;
  /** `process.platform`, unless a test says otherwise. */
  readonly platform?: string;
}

/** From the first look after a signal to all later ones: quick for those that end at once, cheap for those that take long. */
const STOP_POLL_MS = { first: 10, last: 250 };

export function createProcessDriver(options: ProcessDriverOptions): ProcessDriver & { close(): void } {
  const { dir, baseEnv, logger, adoptedPollMs = 500, leftoverStopTimeoutMs = 2_000, platform = process.platform } = options;
  if (platform !== "linux") throw new Error(`the process driver needs Linux, and this is ${platform}: use the files driver here`);
  const exits = createExits(adoptedPollMs);
  /** Launches whose time to end is somebody's to give. */
  const stopping = new Set<string>();
  const rotation = startRotation(dir, { ...ROTATION_LIMITS, ...options.rotation }, logger);

  return {
    async start(spec) {
      const running = search(spec.launchId);
      if (running !== undefined) return { ok: true, value: running };
      const launched = await launch(dir, baseEnv, spec);
      if (!launched.ok) return launched;
      const { pid, startTicks, exit } = launched;
      exits.own(spec.launchId, exit);
      return { ok: true, value: { launchId: spec.launchId, pid, startTicks, bootId: currentBootId() } };
    },

    async find(launchId, known) {
      if (known !== undefined && known.launchId === launchId && verified(known) !== undefined) return known;
      return search(launchId);
    },

    async waitForExit(workload, signal) {
      const exit = await exits.wait(workload, signal);
      if (!stopping.has(workload.launchId)) await stop(workload, leftoverStopTimeoutMs);
      return exit;
    },

    stop,

    close: () => rotation.stop(),
  };

  async function stop(workload: Workload, stopTimeoutMs: number): Promise<void> {
    const killAt = performance.now() + stopTimeoutMs;
    stopping.add(workload.launchId);
    try {
      signalAll(workload, "SIGTERM");
      // A halted process gets the first signal only when it goes on.
      signalAll(workload, "SIGCONT");
      let isKilled = false;
      for (let delayMs = STOP_POLL_MS.first; members(workload).length > 0; delayMs = Math.min(delayMs * 2, STOP_POLL_MS.last)) {
        if (performance.now() >= killAt) {
          if (!isKilled) logger.warn({ launchId: workload.launchId, pid: workload.pid, stopTimeoutMs }, "workload killed after its stop time-out");
          isKilled = true;
          signalAll(workload, "SIGKILL");
        }
        await sleep(isKilled ? delayMs : Math.min(delayMs, Math.max(1, killAt - performance.now())));
      }
    } finally {
      stopping.delete(workload.launchId);
    }
  }
}

function signalAll(workload: Workload, signal: NodeJS.Signals): void {
  const ownGroup = statOf(process.pid)?.groupId;
  for (const groupId of new Set(members(workload).map((member) => member.groupId))) {
    // -1 would be everybody, and our own group would be us.
    assert(groupId > 1 && groupId !== ownGroup, `group ${groupId} is no workload's`);
    try {
      process.kill(-groupId, signal);
    } catch (error) {
      // ESRCH: it ended meanwhile. EPERM: it runs as somebody else now; the next look shows that it is still there.
      if (!(error instanceof Error && "code" in error && (error.code === "ESRCH" || error.code === "EPERM"))) throw error;
    }
  }
}
