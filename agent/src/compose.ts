/** Puts the agent together: the one file that knows every adapter. Decides nothing but the order of starting and ending. */
import { randomUUID } from "node:crypto";
import { constants, accessSync, mkdirSync, realpathSync } from "node:fs";
import { arch, hostname, platform } from "node:os";
import { join } from "node:path";
import type { Logger } from "pino";
import { createReleaseStore } from "./apply/release-store.ts";
import { AGENT_VERSION, type Config } from "./config.ts";
import { createProcessDriver } from "./drivers/process/driver.ts";
import { minimalEnvironment } from "./drivers/process/environment.ts";
import { createLogReader } from "./drivers/process/log-reader.ts";
import { createPortPicker } from "./drivers/process/port-picker.ts";
import { birthOf, currentBootId } from "./drivers/process/proc.ts";
import { createProber } from "./health/prober.ts";
import { Link } from "./link/link.ts";
import { createPuller } from "./pull/puller.ts";
import { createSecretStore } from "./secrets/secret-store.ts";
import { openSpool } from "./report/spool.ts";
import { createClock } from "./runner/clock.ts";
import { takeLock } from "./runner/lock.ts";
import { MachineRunner } from "./runner/machine-runner.ts";
import { strayLaunches } from "./runner/strays.ts";

/** The agent can't begin, for a reason that whoever started it can do something about. */
export class CannotStart extends Error {}

export interface Agent {
  /** Ends, and leaves all workloads running. */
  close(): Promise<void>;
  /** Stops all workloads, and ends. */
  halt(): Promise<void>;
}

/** What is being started or stopped is waited for, but not for ever: the next agent takes it up where it stands. */
const CLOSE_TIMEOUT_MS = 3_000;

export async function startAgent(config: Config, logger: Logger): Promise<Agent> {
  const dir = usableDirectory(config.dir);
  const lock = takeLock({ dir, pid: process.pid, birthOf });
  if (!lock.ok) throw new CannotStart(`another agent, with pid ${lock.holderPid}, uses ${config.dir}: end it, or give this one another --dir`);

  const baseEnv = minimalEnvironment(config.environment);
  const spool = openSpool({ dir, newInstanceId: randomUUID, now: Date.now, onDamage: (what) => logger.error({ dir }, what) });
  const driver = createProcessDriver({ dir, baseEnv, logger });
  const logs = createLogReader({ dir });
  const runner = new MachineRunner({
    dir,
    machineId: config.machineId,
    labels: config.labels,
    logger,
    spool: (report) => void spool.append(report),
    world: {
      puller: createPuller({ dir, logger }),
      store: createReleaseStore({ dir }),
      secrets: createSecretStore({ dir, machineId: config.machineId, sealingKeys: () => [], onUnopened: () => link.ask() }),
      driver,
      prober: createProber({ baseEnv }),
      ports: createPortPicker(),
      logs,
      clock: createClock(),
      random: { fraction: Math.random, uuid: randomUUID },
      bootId: currentBootId,
      strays: (app) => strayLaunches(app, join(dir, "apps", app)),
    },
  });
  const link = new Link({
    controller: config.controller,
    hello: {
      machine: config.machineId,
      instanceId: spool.instanceId,
      agentVersion: AGENT_VERSION,
      labels: { ...config.labels },
      hostname: hostname(),
      os: platform(),
      arch: arch(),
    },
    reports: spool,
    assignments: runner,
    onArtifactUrl: (url) => runner.setArtifactUrl(url),
    logs,
    fraction: Math.random,
    logger,
  });
  await runner.start();
  link.open();

  const end = async (): Promise<void> => {
    await link.close();
    driver.close();
    spool.close();
    lock.release();
  };
  return {
    async close() {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, CLOSE_TIMEOUT_MS);
      await Promise.race([runner.close(), promise]);
      clearTimeout(timer);
      await end();
    },
    async halt() {
      await runner.halt();
      await end();
    },
  };
}

/** Resolved, so that what the kernel says of a process's directory can be compared with it. */
function usableDirectory(dir: string): string {
  try {
    mkdirSync(dir, { recursive: true });
    accessSync(dir, constants.W_OK | constants.X_OK);
    return realpathSync(dir);
  } catch (error) {
    throw new CannotStart(`the directory ${dir} cannot be used: ${error instanceof Error ? error.message : String(error)}; give another with --dir`);
  }
}
