/**
 * The releases of each app on this disk, and which of them is current. Never fetches anything and never runs anything.
 *
 * Always holds, whenever the agent is killed: a directory under `releases/` is whole, and `current` points to the release before a switch
 * or to the one after it.
 * For one app, calls come one after another, and not while it is being pulled.
 */
import { link, mkdir, readdir, readlink, rename, rm, symlink, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { parseDigest } from "@muster/proto/ids.ts";
import { diskFault } from "../disk/disk-fault.ts";
import { syncDirectory } from "../disk/durable.ts";
import { appLayout, removedDir, type AppLayout } from "../disk/layout.ts";
import { isWhole, kindOf, randomSuffix, retire } from "../disk/release.ts";
import { errorCode } from "../runner/fault.ts";
import type { Outcome, ReleaseStore } from "../runner/ports.ts";

export interface ReleaseStoreOptions {
  /** The agent's directory. */
  readonly dir: string;
}

export function createReleaseStore({ dir }: ReleaseStoreOptions): ReleaseStore {
  return {
    releaseDir: (app, artifact) => appLayout(dir, app).releaseDir(artifact),
    has: (app, artifact) => isWhole(appLayout(dir, app), artifact),
    current: (app) => currentOf(appLayout(dir, app)),
    makeReady: (app, artifact) => makeReady(appLayout(dir, app), artifact),
    switchTo: (app, artifact) => switchTo(appLayout(dir, app), artifact),
    prune: (app, keep) => prune(appLayout(dir, app), new Set(keep)),
    removeApp: (app) => removeApp(dir, app),
  };
}

async function currentOf(layout: AppLayout): Promise<string | undefined> {
  let target: string;
  try {
    target = await readlink(layout.currentLink);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
  const digest = parseDigest(basename(target));
  return digest !== undefined && dirname(target) === "releases" ? digest : undefined;
}

/** A symlink with so long a target takes a block of its own on many file systems, and a second name of one takes none. */
async function makeReady(layout: AppLayout, digest: string): Promise<Outcome> {
  try {
    await symlinkIfAbsent(join("releases", digest), layout.readyLink(digest));
    await syncDirectory(layout.releasesDir);
    return { ok: true, value: undefined };
  } catch (error) {
    return { ok: false, fault: diskFault(error, "prepare the switch of the current release", layout.appDir) };
  }
}

/** As a second name of the ready link, or, where a symlink can have none, anew. */
async function makeDraft(layout: AppLayout, digest: string, draft: string): Promise<void> {
  await unlinkIfThere(draft);
  try {
    await link(layout.readyLink(digest), draft);
  } catch {
    await symlink(join("releases", digest), draft);
  }
}

async function switchTo(layout: AppLayout, digest: string | undefined): Promise<Outcome> {
  try {
    if (digest === undefined) {
      await unlinkIfThere(layout.currentLink);
      if ((await kindOf(layout.appDir)) === "directory") await syncDirectory(layout.appDir);
      return { ok: true, value: undefined };
    }
    if (!(await isWhole(layout, digest))) {
      const message = `could not switch to release ${digest.slice(0, 12)}: it is not on this machine`;
      return { ok: false, fault: { code: "io_error", message, retryable: false } };
    }
    // Going back to what `current` still points to needs no room on the disk.
    if ((await currentOf(layout)) === digest) {
      await syncDirectory(layout.appDir);
      return { ok: true, value: undefined };
    }
    // One name for all tries: what a killed try left is replaced by the next, and never piles up.
    const draft = `${layout.currentLink}.new`;
    await makeDraft(layout, digest, draft);
    await rename(draft, layout.currentLink);
    await syncDirectory(layout.appDir);
    return { ok: true, value: undefined };
  } catch (error) {
    return { ok: false, fault: diskFault(error, "switch the current release", layout.appDir) };
  }
}

async function prune(layout: AppLayout, keep: ReadonlySet<string>): Promise<void> {
  const names = await namesIn(layout.releasesDir);
  for (const name of names) {
    const digest = parseDigest(name);
    if (digest !== undefined && !keep.has(digest)) await retire(layout, digest);
  }
  // Manifests go after their directories, so that a directory never stands without one. Drafts of killed tries go too.
  const kept = new Set([...keep].flatMap((digest) => [layout.manifestFile(digest), layout.readyLink(digest)].map((path) => basename(path))));
  for (const name of names) {
    if (parseDigest(name) === undefined && !kept.has(name)) await rm(join(layout.releasesDir, name), { recursive: true, force: true });
  }
  for (const name of await namesIn(layout.stagingDir)) {
    const digest = parseDigest(name.split(".", 1)[0] as string);
    const isOnItsWay = digest !== undefined && keep.has(digest) && !(await isWhole(layout, digest));
    if (!isOnItsWay) await rm(join(layout.stagingDir, name), { recursive: true, force: true });
  }
}

async function removeApp(dir: string, app: string): Promise<void> {
  const { appDir } = appLayout(dir, app);
  const removed = removedDir(dir);
  await mkdir(removed, { recursive: true });
  if ((await kindOf(appDir)) !== "absent") {
    // The folder goes whole, with its record: half an app must not be found after a crash.
    await rename(appDir, join(removed, `${app}.${randomSuffix()}`));
    await syncDirectory(dirname(appDir));
  }
  // Also what an earlier, killed removal of this app left.
  for (const name of await namesIn(removed)) {
    if (name.split(".", 1)[0] === app) await rm(join(removed, name), { recursive: true, force: true });
  }
}

async function namesIn(path: string): Promise<readonly string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}

async function symlinkIfAbsent(target: string, path: string): Promise<void> {
  try {
    await symlink(target, path);
  } catch (error) {
    if (errorCode(error) !== "EEXIST") throw error;
  }
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}
