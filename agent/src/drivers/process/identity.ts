/**
 * Which processes belong to a launch. Never signals any.
 *
 * Always holds: a process counts as a launch's own only when it is of this boot and either carries the launch's id in its environment, or is the very
 * process that was started (pid and start time) and carries no other launch's id, or is in the process group of one of these. A number alone, of a process
 * or a group, is never believed: the kernel gives it to somebody else when its owner is gone.
 */
import type { Workload } from "../../runner/ports.ts";
import { allStats, currentBootId, environmentValue, hasEnded, statOf, type ProcessStat } from "./proc.ts";

export const LAUNCH_ID_VARIABLE = "MUSTER_LAUNCH_ID";

/** The process of the workload, when it lives and is that one. */
export function verified(workload: Workload): ProcessStat | undefined {
  const stat = statOf(workload.pid);
  if (stat === undefined || hasEnded(stat) || !isTheOneStarted(stat, workload)) return undefined;
  return stat;
}

/** Searches all processes: the leader of the launch's group if it lives, else its oldest survivor, so that none is left behind unknown. */
export function search(launchId: string): Workload | undefined {
  const bearers = allStats().filter((stat) => !hasEnded(stat) && environmentValue(stat.pid, LAUNCH_ID_VARIABLE) === launchId);
  const byAge = bearers.sort((a, b) => compareTicks(a.startTicks, b.startTicks) || a.pid - b.pid);
  const found = byAge.find((stat) => stat.pid === stat.groupId && stat.pid === stat.sessionId) ?? byAge[0];
  return found && { launchId, pid: found.pid, startTicks: found.startTicks, bootId: currentBootId() };
}

/** All living processes of the launch: its group, and whatever of it has gone into a group or session of its own. */
export function members(workload: Workload): readonly ProcessStat[] {
  if (workload.bootId !== currentBootId()) return [];
  // Nothing of the launch is older than its first process, which spares most of the environments.
  const candidates = allStats().filter((stat) => compareTicks(stat.startTicks, workload.startTicks) >= 0);
  const own = candidates.filter(
    (stat) => environmentValue(stat.pid, LAUNCH_ID_VARIABLE) === workload.launchId || isTheOneStarted(stat, workload),
  );
  const ownPids = new Set(own.map((stat) => stat.pid));
  // As long as one process is in a group, its number is not given away: so one that is known vouches for the others.
  const ownGroups = new Set(own.map((stat) => stat.groupId));
  return candidates.filter((stat) => !hasEnded(stat) && (ownPids.has(stat.pid) || ownGroups.has(stat.groupId)));
}

function isTheOneStarted(stat: ProcessStat, workload: Workload): boolean {
  if (stat.pid !== workload.pid || stat.startTicks !== workload.startTicks || workload.bootId !== currentBootId()) return false;
  const carried = environmentValue(stat.pid, LAUNCH_ID_VARIABLE);
  return carried === undefined || carried === workload.launchId;
}

function compareTicks(a: string, b: string): number {
  const difference = BigInt(a) - BigInt(b);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}
