/**
 * The controller's artifacts on disk: `<dir>/<digest>/{manifest,pack}`.
 *
 * Always holds: a directory named by a digest is whole, proven (receive.ts) and on the disk for good; it never changes. What is being received
 * lives under another name on the same filesystem and is gone after a restart. The store has one process to itself.
 */
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "@muster/proto/ids.ts";
import { ArtifactStoreError } from "./artifact-store-error.ts";
import { createReceiver, INCOMING_PREFIX, type ArtifactReceiver } from "./receive.ts";

export interface ArtifactStore {
  readonly dir: string;
  has(digest: Digest): Promise<boolean>;
  /** Begins to receive one artifact. End it with `finish` or `discard`. */
  receive(): ArtifactReceiver;
}

/** Makes the directory when it is not there. Throws ArtifactStoreError. */
export async function createArtifactStore({ dir }: { readonly dir: string }): Promise<ArtifactStore> {
  try {
    await mkdir(dir, { recursive: true });
    const leftovers = (await readdir(dir)).filter((name) => name.startsWith(INCOMING_PREFIX));
    await Promise.all(leftovers.map((name) => rm(join(dir, name), { recursive: true, force: true })));
  } catch (cause) {
    throw ArtifactStoreError.from(cause, `open the artifact store ${dir}`);
  }
  const has = (digest: Digest) => isStored(dir, digest);
  return { dir, has, receive: () => createReceiver({ dir, has }) };
}

async function isStored(dir: string, digest: Digest): Promise<boolean> {
  try {
    return (await stat(join(dir, digest))).isDirectory();
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return false;
    throw ArtifactStoreError.from(cause, `look for artifact ${digest}`);
  }
}
