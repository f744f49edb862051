/**
 * What Linux says of processes under /proc. Only reads, and reads at once (these are small and never wait for a disk), so that the answers
 * of one call belong together. A process that goes away meanwhile is simply not there.
 */
import { readdirSync, readFileSync } from "node:fs";
import { errorCode } from "../../runner/fault.ts";

export interface ProcessStat {
  readonly pid: number;
  /** `Z` is a zombie: it has ended, and only its parent has not asked yet. */
  readonly state: string;
  readonly parentPid: number;
  readonly groupId: number;
  readonly sessionId: number;
  /** Since boot, in clock ticks; kept as text because it is only compared. Together with the pid it names one process of a boot. */
  readonly startTicks: string;
}

/** Fields as proc_pid_stat(5) numbers them. The second, the command's name, may hold blanks and parentheses: it ends at the last `)`. */
export function parseStat(text: string): ProcessStat | undefined {
  const pid = Number.parseInt(text, 10);
  const fields = text.slice(text.lastIndexOf(")") + 2).trim().split(" ");
  const field = (number: number): string | undefined => fields[number - 3];
  const startTicks = field(22);
  if (!Number.isInteger(pid) || startTicks === undefined || !/^\d+$/.test(startTicks)) return undefined;
  return {
    pid,
    state: field(3) as string,
    parentPid: Number(field(4)),
    groupId: Number(field(5)),
    sessionId: Number(field(6)),
    startTicks,
  };
}

export function statOf(pid: number): ProcessStat | undefined {
  const text = readOrUndefined(`/proc/${pid}/stat`);
  return text === undefined ? undefined : parseStat(text);
}

export function hasEnded(stat: ProcessStat): boolean {
  return stat.state === "Z" || stat.state === "X";
}

/** Names one process for good, over reboots too. Undefined when it has ended, though nobody may have asked for its end yet. */
export function birthOf(pid: number): string | undefined {
  const stat = statOf(pid);
  return stat === undefined || hasEnded(stat) ? undefined : `${currentBootId()}/${stat.startTicks}`;
}

export function allStats(): readonly ProcessStat[] {
  const stats: ProcessStat[] = [];
  for (const name of readdirSync("/proc")) {
    const stat = /^\d+$/.test(name) ? statOf(Number(name)) : undefined;
    if (stat !== undefined) stats.push(stat);
  }
  return stats;
}

/**
 * A variable of the environment that a process was started with. Undefined when it is not there, or may not be read; a program that
 * writes its title over its environment (nginx, postgres) has none any more.
 */
export function environmentValue(pid: number, name: string): string | undefined {
  const text = readOrUndefined(`/proc/${pid}/environ`);
  const prefix = `${name}=`;
  return text
    ?.split("\0")
    .find((variable) => variable.startsWith(prefix))
    ?.slice(prefix.length);
}

export function currentBootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

function readOrUndefined(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    // ESRCH: it went away between open and read.
    if (["ENOENT", "ESRCH", "EACCES", "EPERM"].includes(errorCode(error) ?? "")) return undefined;
    throw error;
  }
}
