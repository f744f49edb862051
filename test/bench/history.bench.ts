/**
 * For how long the controller's loop is blocked when its database holds a long history: many machines that all run many apps, thousands of deployments that ended long
 * ago. The real engine on a real SQLite file with synchronous=FULL, without its adapters, in a process of its own (history-child.ts).
 */
import { execFile } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { JOURNAL_VERSION, PROJECTION_SHAPE } from "@muster/controller/src/journal/schema.ts";
import type { Figure } from "./fleet.bench.ts";
import type { HistoryRun } from "./history-child.ts";
import { buildWorld, padWorld, type Scale } from "./history-world.ts";

const CHILD = fileURLToPath(new URL("./history-child.ts", import.meta.url));
/** It ends by itself; this is for one that never would. */
const TIMEOUT_MS = 60 * 60_000;

export interface HistoryOptions {
  readonly scale: Scale;
  /** Of the journal, when it is to be longer than its deployments make it. */
  readonly rows: number;
  /** Where databases that were built are kept for the next run; undefined: nowhere. */
  readonly keepIn: string | undefined;
}

/** What is measured while the controller works. */
export async function benchHistory(options: HistoryOptions): Promise<readonly Figure[]> {
  return inWorld(options, async (path, rows) => [...size(path, rows), ...(await child("work", path, options.scale))]);
}

/** What is measured when it starts: as it was left, and with all tables to be built again. */
export async function benchHistoryStart(options: HistoryOptions): Promise<readonly Figure[]> {
  return inWorld(options, async (path, rows) => {
    const started = await child("start", path, options.scale);
    return [...size(path, rows), ...started, ...(await child("rebuild", path, options.scale))];
  });
}

function size(path: string, rows: number): readonly Figure[] {
  return [
    { name: "rows of the journal", value: rows, unit: "rows" },
    { name: "database", value: statSync(path).size / 2 ** 20, unit: "MiB" },
  ];
}

async function inWorld(options: HistoryOptions, measure: (path: string, rows: number) => Promise<readonly Figure[]>): Promise<readonly Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), "muster-bench-"));
  try {
    const path = join(folder, "muster.db");
    copyFileSync(built(options, folder), path);
    return await measure(path, padWorld(path, options.rows));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The database of this scale, built unless it was kept. */
function built({ scale, keepIn }: HistoryOptions, folder: string): string {
  const { machines, apps, deployments } = scale;
  if (keepIn !== undefined) mkdirSync(keepIn, { recursive: true });
  const path = join(keepIn ?? folder, `history-${JOURNAL_VERSION}.${PROJECTION_SHAPE}-${machines}-${apps}-${deployments}.db`);
  if (existsSync(path)) return path;
  const building = join(folder, "building.db");
  buildWorld(building, scale);
  // Across file systems a rename fails; a copy does not.
  copyFileSync(building, `${path}.part`);
  renameSync(`${path}.part`, path);
  rmSync(building);
  return path;
}

async function child(what: "work" | "start" | "rebuild", world: string, { machines }: Scale): Promise<readonly Figure[]> {
  const running = promisify(execFile)(process.execPath, [CHILD, "--what", what, "--world", world, "--machines", String(machines)], { timeout: TIMEOUT_MS });
  running.child.stderr?.pipe(process.stderr);
  const { stdout } = await running;
  const { blocks, rssBytes } = JSON.parse(stdout) as HistoryRun;
  return [...blocks.map(({ what: name, longestMs, cpuMs }): Figure => ({ name, value: longestMs, unit: "ms", cpuMs })), { name: `RSS after it (${what})`, value: rssBytes / 2 ** 20, unit: "MiB" }];
}
