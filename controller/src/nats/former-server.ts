/**
 * Stops a nats-server that a former run of this directory left behind. Only one whose command line names this directory's
 * configuration is touched: the pid may have gone to somebody else since.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";

const TERM_WAIT_MS = 5000;
const KILL_WAIT_MS = 5000;
const POLL_MS = 20;

export async function stopFormerServer(configPath: string, pidPath: string, logger: Logger): Promise<void> {
  const pid = readPid(pidPath);
  if (pid === undefined || !isServerOf(pid, configPath)) return;
  logger.warn({ pid }, "stopping a nats-server of a former run");
  for (const [signal, waitMs] of [["SIGTERM", TERM_WAIT_MS], ["SIGKILL", KILL_WAIT_MS]] as const) {
    signalProcess(pid, signal);
    for (let waitedMs = 0; waitedMs < waitMs; waitedMs += POLL_MS) {
      if (!isServerOf(pid, configPath)) return;
      await sleep(POLL_MS);
    }
  }
}

function readPid(path: string): number | undefined {
  try {
    const pid = Number(readFileSync(path, "utf8").trim());
    return Number.isSafeInteger(pid) && pid > 1 ? pid : undefined;
  } catch {
    return undefined; // never started here, or ended in order
  }
}

/** A process that has ended but was not collected by its parent has no command line. */
function isServerOf(pid: number, configPath: string): boolean {
  try {
    const command = existsSync("/proc/self/cmdline")
      ? readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")
      : execFileSync("ps", ["-o", "args=", "-p", String(pid)], { encoding: "utf8" });
    return command.includes(` -c ${configPath} `);
  } catch {
    return false;
  }
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself.
  }
}
