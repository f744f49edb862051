/**
 * The controller's artifacts on disk: `<dir>/<digest>/{manifest,pack}`.
 *
 * Always holds: a directory named by a digest is whole and proven (receive.ts); it never changes, and goes at once and whole. What is being received, or
 * removed, lives under another name on the same filesystem and is gone after a restart. The store has one process to itself.
 */
import { existsSync, renameSync } from "node:fs";
import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, parseDigest } from "@muster/proto/ids.ts";
import { type Manifest, parseManifest } from "@muster/proto/manifest.ts";
import { ArtifactStoreError } from "./artifact-store-error.ts";
import { createReceiver, INCOMING_PREFIX, type ArtifactReceiver } from "./receive.ts";

export interface ArtifactStore {
  readonly dir: string;
  has(digest: Digest): Promise<boolean>;
  /** Begins to receive one artifact. End it with `finish` or `discard`. */
  receive(): ArtifactReceiver;
  /** Undefined when it is not there. */
  manifest(digest: Digest): Promise<Manifest | undefined>;
  /** From this call on it is not there; resolves when its bytes are gone, too. Nothing happens when it was not. */
  remove(digest: Digest): Promise<void>;
  /** Removes what nobody knows of and has been there since before `before`, as a controller leaves it that dies between a decision and the deed. */
  removeUnknown(isKnown: (digest: Digest) => boolean, before: number): Promise<readonly Digest[]>;
}

const REMOVED_PREFIX = ".removed-";

/** Makes the directory when it is not there. Throws ArtifactStoreError. */
export async function createArtifactStore({ dir }: { readonly dir: string }): Promise<ArtifactStore> {
  try {
    await mkdir(dir, { recursive: true });
    for (const prefix of [INCOMING_PREFIX, REMOVED_PREFIX]) await removeLeftovers(dir, prefix);
  } catch (cause) {
    throw ArtifactStoreError.from(cause, `open the artifact store ${dir}`);
  }
  const has = (digest: Digest) => isStored(dir, digest);
  return {
    dir,
    has,
    receive: () => createReceiver({ dir, has, isThere: (digest) => existsSync(join(dir, digest)) }),
    manifest: (digest) => readManifest(dir, digest),
    remove: (digest) => removeArtifact(dir, digest),
    removeUnknown: (isKnown, before) => removeUnknown(dir, isKnown, before),
  };
}

/** The renaming is synchronous: between the decision and this nobody can have found it and relied on it. */
async function removeArtifact(dir: string, digest: Digest): Promise<void> {
  const removed = join(dir, `${REMOVED_PREFIX}${digest}`);
  try {
    try {
      renameSync(join(dir, digest), removed);
    } catch (cause) {
      // An earlier removal of the same digest is still at work; or there is nothing to remove.
      if (!isCode(cause, "ENOTEMPTY") && !isCode(cause, "EEXIST")) throw cause;
      renameSync(join(dir, digest), `${removed}-${Date.now()}`);
    }
    await removeLeftovers(dir, `${REMOVED_PREFIX}${digest}`);
  } catch (cause) {
    if (!isCode(cause, "ENOENT")) throw ArtifactStoreError.from(cause, `remove artifact ${digest}`);
  }
}

async function removeLeftovers(dir: string, prefix: string): Promise<void> {
  const leftovers = (await readdir(dir)).filter((name) => name.startsWith(prefix));
  await Promise.all(leftovers.map((name) => rm(join(dir, name), { recursive: true, force: true })));
}

async function removeUnknown(dir: string, isKnown: (digest: Digest) => boolean, before: number): Promise<readonly Digest[]> {
  const removed: Digest[] = [];
  try {
    for (const name of await readdir(dir)) {
      const digest = parseDigest(name);
      if (digest === undefined || isKnown(digest)) continue;
      const { ctimeMs } = await stat(join(dir, name));
      // Asked again, since it may have become known meanwhile.
      if (ctimeMs >= before || isKnown(digest)) continue;
      await removeArtifact(dir, digest);
      removed.push(digest);
    }
  } catch (cause) {
    throw ArtifactStoreError.from(cause, `look through the artifact store ${dir}`);
  }
  return removed;
}

async function readManifest(dir: string, digest: Digest): Promise<Manifest | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(join(dir, digest, "manifest"));
  } catch (cause) {
    if (isCode(cause, "ENOENT")) return undefined;
    throw ArtifactStoreError.from(cause, `read the manifest of artifact ${digest}`);
  }
  const parsed = parseManifest(bytes);
  if (!parsed.ok) throw ArtifactStoreError.from(new Error(parsed.message), `read the manifest of artifact ${digest}`);
  return parsed.manifest;
}

function isCode(cause: unknown, code: string): boolean {
  return cause instanceof Error && "code" in cause && cause.code === code;
}

async function isStored(dir: string, digest: Digest): Promise<boolean> {
  try {
    return (await stat(join(dir, digest))).isDirectory();
  } catch (cause) {
    if (isCode(cause, "ENOENT")) return false;
    throw ArtifactStoreError.from(cause, `look for artifact ${digest}`);
  }
}
