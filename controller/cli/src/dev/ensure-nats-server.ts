/**
 * Finds nats-server, or installs Debian's package where that needs no password; else says in one sentence what to run.
 * Also a program of its own: `node ensure-nats-server.ts` prints where it is and exits 0, or says what to do and exits 2.
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { searchPath } from "./programs.ts";

export type NatsServer = { readonly kind: "found"; readonly path: string } | { readonly kind: "missing"; readonly message: string };

/** What a command line ended with; 127 when its program is not there. */
export type Execute = (command: readonly string[]) => number;

const ADVICE = "nats-server is missing: install it with `sudo apt-get install nats-server`, or put one from https://nats.io/download on your PATH";
/** As root, or by sudo where it asks for no password. */
const PREFIXES = { root: [], sudo: ["sudo", "-n"] } as const;
const UNATTENDED = ["env", "DEBIAN_FRONTEND=noninteractive"] as const;

/** Looks in `dirs`, in order. `onInstall` is called before an installation, which takes a while. */
export function ensureNatsServer(dirs: readonly string[], isRoot: boolean, execute: Execute, onInstall: () => void): NatsServer {
  const found = findNatsServer(dirs);
  if (found !== undefined) return { kind: "found", path: found };
  const prefix = isRoot ? PREFIXES.root : PREFIXES.sudo;
  if (!isRoot && execute([...prefix, "true"]) !== 0) return { kind: "missing", message: ADVICE };
  onInstall();
  const aptGet = (...args: readonly string[]): boolean => execute([...prefix, ...UNATTENDED, "apt-get", ...args]) === 0;
  const install = (): boolean => aptGet("install", "-y", "-qq", "--no-install-recommends", "nats-server");
  // Fresh machines have no package lists, or ones whose files are gone.
  if (!install() && aptGet("update", "-qq")) install();
  const installed = findNatsServer(dirs);
  return installed === undefined ? { kind: "missing", message: ADVICE } : { kind: "found", path: installed };
}

function findNatsServer(dirs: readonly string[]): string | undefined {
  return dirs.map((dir) => join(dir, "nats-server")).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Its output goes to our stderr: an installation that fails has to be seen. */
export function executeHere([program, ...args]: readonly string[]): number {
  const { status, error } = spawnSync(program!, args, { stdio: ["ignore", 2, 2] });
  return error === undefined && status !== null ? status : 127;
}

if (import.meta.main) {
  const result = ensureNatsServer(searchPath(process.env), process.getuid?.() === 0, executeHere, () => console.error("installing nats-server"));
  if (result.kind === "found") console.log(result.path);
  else console.error(result.message);
  process.exitCode = result.kind === "found" ? 0 : 2;
}
