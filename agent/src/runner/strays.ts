/**
 * Workloads of an app whose record was lost: known by the launch id in their environment and by where they run. Linux only; elsewhere none is found.
 */
import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import { sep } from "node:path";

/** Launch ids begin with the app's name and a dot, which no name of an app holds. */
export function launchIdOf(app: string, uuid: string): string {
  return `${app}.${uuid}`;
}

/** The launch ids of living processes of `app` that run below `appDir`. */
export function strayLaunches(app: string, appDir: string): readonly string[] {
  const launches = new Set<string>();
  for (const name of listProcesses()) {
    try {
      if (!readlinkSync(`/proc/${name}/cwd`).startsWith(`${appDir}${sep}`)) continue;
      const environment = readFileSync(`/proc/${name}/environ`, "latin1").split("\0");
      const launch = environment.find((entry) => entry.startsWith(`MUSTER_LAUNCH_ID=${app}.`));
      if (launch !== undefined) launches.add(launch.slice("MUSTER_LAUNCH_ID=".length));
    } catch {
      // It has ended, or belongs to somebody else: no workload of ours.
    }
  }
  return [...launches];
}

function listProcesses(): readonly string[] {
  try {
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}
