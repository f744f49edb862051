/**
 * Keeps a directory for one `muster dev` at a time, and remembers its children, so that whoever comes after a kill -9 can wait for them.
 *
 * Always holds: the lock file appears whole (written beside, then linked), and is only ever taken from a process that has ended.
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { identify, isRunning, type ProcessIdentity } from "./process-identity.ts";

export interface Child extends ProcessIdentity {
  /** `controller`, or the agent's machine id. */
  readonly name: string;
}

const identityShape = { pid: z.int().positive(), startedAt: z.string() };
const lockShape = z.object({ ...identityShape, children: z.array(z.object({ ...identityShape, name: z.string() })) });
type LockContent = z.infer<typeof lockShape>;

export type Acquired =
  | { readonly kind: "acquired"; readonly lock: Lock; readonly orphans: readonly Child[] }
  | { readonly kind: "held"; readonly pid: number };

export interface Lock {
  /** Remembers the children that run now; does nothing after `release`. */
  remember(children: readonly Child[]): void;
  release(): void;
}

/** How often a lock that changes under our eyes is looked at again. */
const ATTEMPTS_MAX = 10;

/** Takes the lock at `path`; `orphans` are children of a dead holder that still run. */
export function acquireLock(path: string): Acquired {
  const self = identify(process.pid)!;
  let orphans: readonly Child[] = [];
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    if (create(path, { ...self, children: [...orphans] })) return { kind: "acquired", lock: heldLock(path, self), orphans };
    const holder = read(path);
    if (holder !== undefined && isRunning(holder)) return { kind: "held", pid: holder.pid };
    const dead = setAside(path);
    if (dead !== undefined) orphans = dead.children.filter(isRunning);
  }
  throw new Error(`${path} keeps changing: is somebody else starting there again and again?`);
}

function heldLock(path: string, self: ProcessIdentity): Lock {
  let isHeld = true;
  return {
    remember(children) {
      if (!isHeld) return;
      const next = `${path}.${self.pid}`;
      writeFileSync(next, encode({ ...self, children: [...children] }));
      renameSync(next, path);
    },
    release() {
      isHeld = false;
      rmSync(path, { force: true });
    },
  };
}

/** False when somebody else was first. */
function create(path: string, content: LockContent): boolean {
  const own = `${path}.${content.pid}`;
  writeFileSync(own, encode(content));
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(own, { force: true });
  }
}

/**
 * Moves a dead holder's lock out of the way. Two may do so at once: the later one may then hold the earlier one's fresh lock
 * in its hands, sees that its holder lives, and puts it back.
 */
function setAside(path: string): LockContent | undefined {
  const aside = `${path}.${process.pid}.dead`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
  const content = read(aside);
  if (content !== undefined && isRunning(content)) {
    renameSync(aside, path);
    return undefined;
  }
  rmSync(aside, { force: true });
  return content;
}

/** Undefined when there is none, or none that can be read: a disk that was full left half a file. */
function read(path: string): LockContent | undefined {
  try {
    return lockShape.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return undefined;
  }
}

function encode(content: LockContent): string {
  return `${JSON.stringify(content)}\n`;
}
