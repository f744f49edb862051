/**
 * Receives one artifact, from anybody: the manifest, then the pack from its first byte to its last.
 *
 *     manifest ──endManifest──▶ pack ──finish──▶ stored
 *        └──────────┬────────────┘
 *               a fault: every later call answers with it, nothing is kept
 *
 * Never keeps anything that is not proven: everything is written to a directory of its own, proven as it comes, flushed, and only then
 * given its name. Never holds more in memory than the manifest and a few frames. An artifact that is there already is not received again.
 */
import assert from "node:assert";
import { createHash } from "node:crypto";
import { mkdtemp, open, rename, rm, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "@muster/proto/ids.ts";
import { MANIFEST_BYTES_MAX, parseManifest, type Manifest } from "@muster/proto/manifest.ts";
import { ArtifactStoreError } from "./artifact-store-error.ts";
import { fileFault, FrameVerifier, type Fault } from "./verify-pack.ts";

export const INCOMING_PREFIX = ".incoming-";

export type Refused = { readonly ok: false; readonly message: string };
/** `message` says what is wrong with the artifact. */
export type Taken = { readonly ok: true } | Refused;

export interface StoredArtifact {
  readonly ok: true;
  readonly digest: Digest;
  /** False when it was there already. */
  readonly created: boolean;
  readonly fileCount: number;
  /** Unpacked. */
  readonly sizeBytes: number;
  readonly packBytes: number;
}

/** Calls come one after another, each awaited. All but `discard` throw ArtifactStoreError, after which nothing is kept. */
export interface ArtifactReceiver {
  writeManifest(bytes: Uint8Array): Promise<Taken>;
  endManifest(): Promise<Taken>;
  writePack(bytes: Uint8Array): Promise<Taken>;
  finish(): Promise<StoredArtifact | Refused>;
  /** Forgets everything; does nothing after `finish`. To be called when the sender goes away. */
  discard(): Promise<void>;
}

export interface ReceiverOptions {
  readonly dir: string;
  readonly has: (digest: Digest) => Promise<boolean>;
  /** The same, at once: what is found so, and recorded in the same turn of the loop, can't have been removed in between. */
  readonly isThere: (digest: Digest) => boolean;
}

type State =
  /** Grows in place: pieces may be as small as the sender likes. */
  | { readonly at: "manifest"; readonly content: ArrayBuffer }
  | { readonly at: "pack"; readonly named: Named; readonly incoming: string; readonly pack: FileHandle; readonly frames: FrameVerifier }
  /** There already: the pack passes by unread. */
  | { readonly at: "known"; readonly named: Named }
  | { readonly at: "refused"; readonly message: string }
  | { readonly at: "ended" };

interface Named {
  readonly digest: Digest;
  readonly manifest: Manifest;
}

export function createReceiver(options: ReceiverOptions): ArtifactReceiver {
  return new Receiver(options);
}

class Receiver implements ArtifactReceiver {
  readonly #options: ReceiverOptions;
  #state: State = { at: "manifest", content: new ArrayBuffer(0, { maxByteLength: MANIFEST_BYTES_MAX }) };

  constructor(options: ReceiverOptions) {
    this.#options = options;
  }

  async writeManifest(part: Uint8Array): Promise<Taken> {
    const state = this.#state;
    if (state.at === "refused") return refusal(state);
    assert(state.at === "manifest", "the manifest has ended");
    const offset = state.content.byteLength;
    if (offset + part.length > MANIFEST_BYTES_MAX) return this.#refuse(`the manifest has more than ${MANIFEST_BYTES_MAX} bytes`);
    state.content.resize(offset + part.length);
    new Uint8Array(state.content).set(part, offset);
    return { ok: true };
  }

  async endManifest(): Promise<Taken> {
    const state = this.#state;
    if (state.at === "refused") return refusal(state);
    assert(state.at === "manifest", "the manifest has ended");
    const bytes = new Uint8Array(state.content.slice());
    const parsed = parseManifest(bytes);
    if (!parsed.ok) return this.#refuse(parsed.message);
    const named: Named = { digest: createHash("sha256").update(bytes).digest("hex") as Digest, manifest: parsed.manifest };
    return this.#guard(async () => {
      if (await this.#options.has(named.digest)) {
        this.#state = { at: "known", named };
        return { ok: true };
      }
      const incoming = await mkdtemp(join(this.#options.dir, INCOMING_PREFIX));
      try {
        await writeDurably(join(incoming, "manifest"), bytes);
        const pack = await open(join(incoming, "pack"), "wx+", 0o644);
        this.#state = { at: "pack", named, incoming, pack, frames: new FrameVerifier(named.manifest) };
      } catch (cause) {
        await rm(incoming, { recursive: true, force: true });
        throw cause;
      }
      return { ok: true };
    });
  }

  async writePack(bytes: Uint8Array): Promise<Taken> {
    const state = this.#state;
    if (state.at === "refused") return refusal(state);
    if (state.at === "known") return { ok: true };
    assert(state.at === "pack", "the pack comes after the manifest");
    return this.#guard(async () => {
      const fault = await state.frames.add(bytes);
      if (fault !== undefined) return this.#refuse(fault);
      await state.pack.writeFile(bytes);
      return { ok: true };
    });
  }

  async finish(): Promise<StoredArtifact | Refused> {
    const state = this.#state;
    if (state.at === "manifest") return this.#refuse("the artifact ends before its manifest does");
    if (state.at === "refused") return refusal(state);
    assert(state.at !== "ended", "the artifact has ended");
    return this.#guard(async () => {
      if (state.at === "known") {
        if (!this.#options.isThere(state.named.digest)) return this.#refuse("its files were removed while it was being sent; push it again");
        return this.#end(state.named, false);
      }
      const fault: Fault = (await state.frames.finish()) ?? (await fileFault(state.named.manifest, state.pack));
      if (fault !== undefined) return this.#refuse(fault);
      await state.pack.sync();
      await state.pack.close();
      await syncDirectory(state.incoming);
      const created = await renameUnlessThere(state.incoming, join(this.#options.dir, state.named.digest));
      await syncDirectory(this.#options.dir);
      return this.#end(state.named, created);
    });
  }

  async discard(): Promise<void> {
    const state = this.#state;
    this.#state = { at: "ended" };
    if (state.at === "pack") await removeIncoming(state);
  }

  #end({ digest, manifest }: Named, created: boolean): StoredArtifact {
    this.#state = { at: "ended" };
    const files = manifest.entries.filter((entry) => entry.type === "file");
    const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
    return { ok: true, digest, created, fileCount: files.length, sizeBytes, packBytes: manifest.packBytes };
  }

  async #refuse(message: string): Promise<Refused> {
    await this.discard();
    this.#state = { at: "refused", message };
    return { ok: false, message };
  }

  async #guard<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (cause) {
      await this.discard();
      throw ArtifactStoreError.from(cause, `store an artifact in ${this.#options.dir}`);
    }
  }
}

function refusal({ message }: { readonly message: string }): Refused {
  return { ok: false, message };
}

async function removeIncoming({ pack, incoming }: { readonly pack: FileHandle; readonly incoming: string }): Promise<void> {
  // A disk that fails must not hide the first fault; what is left goes at the next start.
  await Promise.allSettled([pack.close()]);
  await Promise.allSettled([rm(incoming, { recursive: true, force: true })]);
}

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  await using file = await open(path, "wx", 0o644);
  await file.writeFile(bytes);
  await file.sync();
}

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, "r");
  await directory.sync();
}

/** Two may have sent the same artifact at the same time: the first stays. */
async function renameUnlessThere(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (cause) {
    const isThere = cause instanceof Error && "code" in cause && (cause.code === "ENOTEMPTY" || cause.code === "EEXIST");
    if (!isThere) throw cause;
    await rm(from, { recursive: true, force: true });
    return false;
  }
}
