/**
 * One agent for each directory. The lock names its holder by pid and birth, so a holder that was killed is known to be gone, even when its pid is
 * somebody else's by now. Never waits.
 *
 * It is a symlink that names its holder and leads nowhere: it is there whole or not at all, and is made on a full disk too.
 */
import { readlinkSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { errorCode } from "./fault.ts";

export type Lock = { readonly ok: true; release(): void } | { readonly ok: false; readonly holderPid: number };

export interface LockOptions {
  readonly dir: string;
  readonly pid: number;
  /** Tells a process from any other with its pid, before and after it; undefined when no such process lives. */
  readonly birthOf: (pid: number) => string | undefined;
}

/** Every round but the first follows on another agent's doing at this very moment. */
const ROUNDS_MAX = 10;

/** Throws when the directory can't be written. */
export function takeLock({ dir, pid, birthOf }: LockOptions): Lock {
  const path = join(dir, "agent.lock");
  const text = `${pid} ${birthOf(pid) ?? "unknown"}`;
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    if (made(path, text)) return { ok: true, release: () => releaseIf(path, text) };
    const holder = readIfThere(path);
    if (holder === undefined) continue;
    const [holderPid, holderBirth] = holder.trim().split(" ");
    const livingBirth = birthOf(Number(holderPid));
    if (livingBirth !== undefined && livingBirth === holderBirth && holder !== text) return { ok: false, holderPid: Number(holderPid) };
    takeAway(path, holder, `${path}.${pid}.stale`);
  }
  throw new Error(`${path} is changed by others all the time`);
}

function made(path: string, text: string): boolean {
  try {
    symlinkSync(text, path);
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
}

/** Another agent may have taken the stale lock meanwhile: what was taken away is looked at, and put back if it is not the stale one. */
function takeAway(path: string, stale: string, aside: string): void {
  try {
    renameSync(path, aside);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    throw error;
  }
  const taken = readIfThere(aside);
  if (taken !== undefined && taken !== stale) made(path, taken);
  rmSync(aside, { force: true });
}

function releaseIf(path: string, text: string): void {
  if (readIfThere(path) === text) rmSync(path, { force: true });
}

function readIfThere(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    // Something else of that name, which holds nothing.
    if (errorCode(error) === "EINVAL") return "";
    throw error;
  }
}
