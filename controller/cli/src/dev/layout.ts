/**
 * Where everything of a dev fleet lies, and who is in it.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

export interface Layout {
  readonly dir: string;
  readonly lock: string;
  readonly devFile: string;
  readonly controllerDir: string;
  readonly controllerFile: string;
  readonly agentsDir: string;
  readonly logsDir: string;
  /** What agents join with. */
  readonly tokenFile: string;
}

/** `dir` is absolute, with symlinks resolved. */
export function layoutOf(dir: string): Layout {
  return {
    dir,
    lock: join(dir, "dev.lock"),
    devFile: join(dir, "dev.json"),
    controllerDir: join(dir, "controller"),
    controllerFile: join(dir, "controller", "controller.json"),
    agentsDir: join(dir, "agents"),
    logsDir: join(dir, "logs"),
    tokenFile: join(dir, "join-token"),
  };
}

export interface Member {
  readonly id: string;
  readonly dir: string;
  readonly labels: Readonly<Record<string, string>>;
}

const ZONES = ["a", "b", "c"] as const;

/** The agent with this index, from 0. The same every time, so that a restart finds its directory and state. */
export function memberOf(layout: Layout, index: number): Member {
  const id = `dev-${index}`;
  return {
    id,
    dir: join(layout.agentsDir, id),
    labels: { env: "dev", index: String(index), zone: ZONES[index % ZONES.length]!, role: "web" },
  };
}

/** How many agents an earlier start left here: one more than the highest index. */
export function earlierAgentCount(layout: Layout): number {
  if (!existsSync(layout.agentsDir)) return 0;
  const indexes = readdirSync(layout.agentsDir).map((name) => /^dev-(\d{1,4})$/.exec(name)?.[1]);
  return Math.max(0, ...indexes.filter((index) => index !== undefined).map((index) => Number(index) + 1));
}
