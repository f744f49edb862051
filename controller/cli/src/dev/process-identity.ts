/**
 * Tells one process from another that got the same pid later: a pid together with the moment its process began.
 *
 * Where there is no /proc (macOS) the moment is unknown, and a pid alone has to do.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { sep } from "node:path";

export interface ProcessIdentity {
  readonly pid: number;
  /** Boot id and start ticks from /proc; empty where there is no /proc. */
  readonly startedAt: string;
}

/** The running process with this pid; undefined when there is none, and for a zombie, which runs no more. */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = readProc(`${pid}/stat`);
  if (stat === undefined) return hasProc() || !answersSignals(pid) ? undefined : { pid, startedAt: "" };
  const { state, startTicks } = parseStat(stat);
  if (state === "Z" || state === "X") return undefined;
  return { pid, startedAt: `${readProc("sys/kernel/random/boot_id")?.trim() ?? ""}/${startTicks}` };
}

export function isRunning(process: ProcessIdentity): boolean {
  return identify(process.pid)?.startedAt === process.startedAt;
}

/**
 * Process groups without a terminal that have a member working below `dir`: the workloads of agents that can no longer be asked to
 * stop them. A shell that somebody left standing there has a terminal, and is not among them; nor is our own group.
 */
export function groupsBelow(dir: string): readonly number[] {
  if (!hasProc()) return [];
  const groups = new Set<number>();
  const own = parseStat(readProc("self/stat") ?? "").group;
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = readProc(`${name}/stat`);
    if (stat === undefined || !workingDirectory(name)?.startsWith(dir + sep)) continue;
    const { state, group, terminal } = parseStat(stat);
    if (state !== "Z" && terminal === "0" && group > 1 && group !== own) groups.add(group);
  }
  return [...groups];
}

/** Undefined when the process has ended meanwhile, or is somebody else's. */
function workingDirectory(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return undefined;
  }
}

interface Stat {
  readonly state: string;
  readonly group: number;
  readonly terminal: string;
  readonly startTicks: string;
}

/** The command in field 2 may hold blanks and brackets, so the fields are counted from its last bracket. */
function parseStat(stat: string): Stat {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", group: Number(fields[2]), terminal: fields[4] ?? "", startTicks: fields[19] ?? "" };
}

function readProc(path: string): string | undefined {
  try {
    return readFileSync(`/proc/${path}`, "utf8");
  } catch {
    return undefined;
  }
}

function hasProc(): boolean {
  return readProc("self/stat") !== undefined;
}

function answersSignals(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
