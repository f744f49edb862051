/**
 * Brings an artifact to this machine: what an earlier try left, then what other releases on disk have, then the rest over the network.
 * Never makes a release current and never deletes one.
 *
 *     manifest ─▶ staging (take up, or new) ─▶ chunks there already ─▶ from other releases ─▶ ranges of the pack ─▶ seal
 *
 * Always holds: each chunk's bytes are hashed before they are written and none is trusted for having been written before, so a try may
 * end anywhere, by kill -9 too, and the next one fetches only what is missing.
 */
import type { AgentOptions } from "node:https";
import { mkdir, readFile, statfs } from "node:fs/promises";
import { MANIFEST_BYTES_MAX, parseManifest, type Manifest } from "@muster/proto/manifest.ts";
import type { Logger } from "pino";
import { diskFault } from "../disk/disk-fault.ts";
import { writeDurably } from "../disk/durable.ts";
import { appLayout, type AppLayout } from "../disk/layout.ts";
import { isWhole, retire } from "../disk/release.ts";
import { errorCode } from "../runner/fault.ts";
import type { Fault, Puller } from "../runner/ports.ts";
import { eachAtMost } from "./each.ts";
import { openFrame, sha256 } from "./frame.ts";
import { chunkKey, chunksOf, needsOf, unsafePath, type Need, type Place } from "./needs.ts";
import { corrupt, PullError, short } from "./pull-error.ts";
import { planRanges, type Frame, type Range } from "./ranges.ts";
import { findSeeds, type Seed } from "./seeds.ts";
import { type Connections, createConnections, createSource, type Source } from "./source.ts";
import { openStaging, readAt, seal, writeAt, type Staging } from "./staging.ts";

export interface PullerOptions {
  /** The agent's directory. */
  readonly dir: string;
  readonly logger: Logger;
  /** Bytes free for this agent where `path` is; by default what the filesystem says. */
  readonly freeBytes?: (path: string) => Promise<number>;
  readonly limits?: Partial<PullLimits>;
  /** What is shown and trusted over HTTPS; another object once it has changed. */
  readonly tls?: () => AgentOptions | undefined;
}

export interface PullLimits {
  /** A server that sends nothing for so long is given up. */
  readonly inactivityMs: number;
  /** Each holds one frame and its bytes: at most 8 MiB and a little. */
  readonly rangesInFlight: number;
  readonly rangeBytesMax: number;
  /** Bytes fetched for nothing, to save a request. */
  readonly gapBytesMax: number;
  /** How often damaged bytes are asked for again before the artifact itself is held to be corrupt. */
  readonly damageRetries: number;
}

const PULL_LIMITS: PullLimits = {
  inactivityMs: 15_000,
  rangesInFlight: 4,
  rangeBytesMax: 8 * 1024 * 1024,
  gapBytesMax: 64 * 1024,
  damageRetries: 3,
};

/** Beyond the bytes to be written: what the filesystem itself needs for them. */
const FREE_SPACE_MARGIN = 0.05;

interface Job {
  readonly layout: AppLayout;
  readonly artifact: string;
  readonly source: Source;
  readonly signal: AbortSignal;
}

/** A chunk that must come over the network, laid out as `planRanges` reads it. */
interface WantedFrame extends Frame {
  readonly need: Need;
}

export function createPuller({ dir, logger, freeBytes = freeBytesAt, limits: given, tls = () => undefined }: PullerOptions): Puller {
  const limits = { ...PULL_LIMITS, ...given };
  let connections = createConnections(tls());
  let shown = tls();
  /** Credentials are renewed; connections that were made with older ones are used no more. */
  const current = (): Connections => {
    const now = tls();
    if (now !== shown) connections = createConnections(now);
    shown = now;
    return connections;
  };
  /** The end of the newest pull of each app: two of one app would write the same files. */
  const lastByApp = new Map<string, Promise<unknown>>();

  return {
    async pull({ app, artifact, artifactUrl, signal }) {
      const url = `${artifactUrl.replace(/\/+$/, "")}/${artifact}`;
      const layout = appLayout(dir, app);
      const run = (lastByApp.get(app) ?? Promise.resolve()).then(() =>
        pullJob({ layout, artifact, source: createSource({ url, inactivityMs: limits.inactivityMs, connections: current() }), signal }),
      );
      const settled = run.catch(() => undefined);
      lastByApp.set(app, settled);
      try {
        const { fetchedBytes, reusedBytes } = await run;
        logger.info({ app, artifact, fetchedBytes, reusedBytes }, "artifact pulled");
        return { ok: true, value: undefined };
      } catch (error) {
        const fault = faultOf(error, artifact, layout.appDir, signal);
        logger.warn({ app, artifact, code: fault.code, retryable: fault.retryable, err: error }, "artifact not pulled");
        return { ok: false, fault };
      } finally {
        if (lastByApp.get(app) === settled) lastByApp.delete(app);
      }
    },
  };

  async function pullJob(job: Job): Promise<{ readonly fetchedBytes: number; readonly reusedBytes: number }> {
    const { layout, artifact, signal } = job;
    signal.throwIfAborted();
    if (await isWhole(layout, artifact)) return { fetchedBytes: 0, reusedBytes: 0 };
    await clearTheWay(layout, artifact);
    const manifest = await obtainManifest(job);
    const staging = await openStaging(layout, artifact, manifest);
    const { missing, present } = await checkLeft(staging, manifest, signal);
    await checkSpace(layout.appDir, missing);
    const seeds = new Map([...(await findSeeds(layout, missing)), ...present]);
    const wanted = await copySeeds(staging, missing, seeds, signal);
    const fetchedBytes = await fetchAll(job, staging, wanted);
    signal.throwIfAborted();
    await seal(staging, layout, artifact, manifest);
    return { fetchedBytes, reusedBytes: sum(missing.values()) - sum(wanted) };
  }

  async function obtainManifest({ layout, artifact, source, signal }: Job): Promise<Manifest> {
    const kept = await readIfThere(layout.manifestFile(artifact));
    if (kept !== undefined && sha256(kept) === artifact) return parsed(kept);
    for (let attempt = 0; ; attempt += 1) {
      const bytes = await source.manifest(MANIFEST_BYTES_MAX, signal);
      const found = sha256(bytes);
      if (found === artifact) {
        const manifest = parsed(bytes);
        await writeDurably(layout.manifestFile(artifact), bytes);
        return manifest;
      }
      if (attempt >= limits.damageRetries) throw corrupt(`manifest: expected ${short(artifact)}, found ${short(found)}`);
    }
  }

  async function checkSpace(path: string, missing: ReadonlyMap<string, Need>): Promise<void> {
    const needBytes = Math.ceil(sum(missing.values()) * (1 + FREE_SPACE_MARGIN));
    const haveBytes = await freeBytes(path);
    if (haveBytes >= needBytes) return;
    throw new PullError("disk_full", `the release needs ${inMiB(needBytes)} of disk, and ${inMiB(haveBytes)} are free at ${path}; free some space there`, { retryable: true });
  }

  /** What is on disk already is copied, when it is still what it should be; the rest is returned. */
  async function copySeeds(
    staging: Staging,
    missing: ReadonlyMap<string, Need>,
    seeds: ReadonlyMap<string, Seed>,
    signal: AbortSignal,
  ): Promise<readonly Need[]> {
    const wanted: Need[] = [];
    await eachAtMost(limits.rangesInFlight, [...missing], async ([key, need]) => {
      signal.throwIfAborted();
      const seed = seeds.get(key);
      const bytes = seed && (await readAt(seed.root, seed.place, need.chunk.sizeBytes));
      if (bytes !== undefined && sha256(bytes) === need.chunk.sha256) await writeAll(staging, need, bytes);
      else wanted.push(need);
    });
    return wanted;
  }

  async function fetchAll(job: Job, staging: Staging, wanted: readonly Need[]): Promise<number> {
    const frames = wanted.map((need): WantedFrame => ({ need, frameOffset: need.chunk.frameOffset, frameBytes: need.chunk.frameBytes }));
    const ranges = planRanges(frames, limits);
    const failed = new AbortController();
    const signal = AbortSignal.any([job.signal, failed.signal]);
    await eachAtMost(limits.rangesInFlight, ranges, async (range) => {
      try {
        await fetchRange({ ...job, signal }, staging, range, 0);
      } catch (error) {
        // One failure ends the try; the other ranges need not run into their time-outs.
        failed.abort();
        throw error;
      }
    });
    return ranges.reduce((total, range) => total + range.sizeBytes, 0);
  }

  async function fetchRange(job: Job, staging: Staging, range: Range<WantedFrame>, attempt: number): Promise<void> {
    const damaged: WantedFrame[] = [];
    for await (const { frame, bytes } of framesIn(range, job.source, job.signal)) {
      const opened = openFrame(frame.need.chunk, bytes);
      switch (opened.kind) {
        case "chunk":
          await writeAll(staging, frame.need, opened.bytes);
          break;
        case "damaged":
          if (attempt >= limits.damageRetries) throw corrupt(`${fileOf(frame.need)}: ${opened.detail}`);
          damaged.push(frame);
          break;
        case "wrong":
          throw corrupt(`${fileOf(frame.need)}: ${opened.detail}`);
      }
    }
    for (const again of planRanges(damaged, limits)) await fetchRange(job, staging, again, attempt + 1);
  }
}

/** Cuts a range into its frames as the bytes come; at most one frame is held. */
async function* framesIn(
  range: Range<WantedFrame>,
  source: Source,
  signal: AbortSignal,
): AsyncGenerator<{ readonly frame: WantedFrame; readonly bytes: Buffer }, void, undefined> {
  let at = range.offset;
  let next = 0;
  let filling: Buffer | undefined;
  for await (const piece of source.range(range.offset, range.sizeBytes, signal)) {
    const pieceEnd = at + piece.length;
    for (let frame = range.frames[next]; frame !== undefined && frame.frameOffset < pieceEnd; frame = range.frames[next]) {
      filling ??= Buffer.allocUnsafe(frame.frameBytes);
      const from = Math.max(frame.frameOffset, at);
      const to = Math.min(frame.frameOffset + frame.frameBytes, pieceEnd);
      piece.copy(filling, from - frame.frameOffset, from - at, to - at);
      if (to < frame.frameOffset + frame.frameBytes) break;
      yield { frame, bytes: filling };
      filling = undefined;
      next += 1;
    }
    at = pieceEnd;
  }
}

/** Sorts the chunks into those that staging holds already and those still missing, with the places that lack them. */
async function checkLeft(
  staging: Staging,
  manifest: Manifest,
  signal: AbortSignal,
): Promise<{ readonly missing: ReadonlyMap<string, Need>; readonly present: ReadonlyMap<string, Seed> }> {
  const present = new Map<string, Seed>();
  const filled = new Set<string>();
  for (const { chunk, place } of chunksOf(manifest)) {
    if ((staging.left.get(place.path) ?? 0) < place.offset + chunk.sizeBytes) continue;
    signal.throwIfAborted();
    const bytes = await readAt(staging.dir, place, chunk.sizeBytes);
    if (bytes === undefined || sha256(bytes) !== chunk.sha256) continue;
    present.set(chunkKey(chunk), { root: staging.dir, place });
    filled.add(placeKey(place));
  }
  const missing = new Map<string, Need>();
  for (const [key, need] of needsOf(manifest)) {
    const places = need.places.filter((place) => !filled.has(placeKey(place)));
    if (places.length > 0) missing.set(key, { chunk: need.chunk, places });
  }
  return { missing, present };
}

/** A directory without its manifest cannot be believed. */
async function clearTheWay(layout: AppLayout, artifact: string): Promise<void> {
  await mkdir(layout.releasesDir, { recursive: true });
  try {
    await retire(layout, artifact);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}

function parsed(bytes: Uint8Array): Manifest {
  const result = parseManifest(bytes);
  if (!result.ok) throw corrupt(`the manifest is not valid: ${result.message}`);
  const unsafe = unsafePath(result.manifest);
  if (unsafe !== undefined) throw corrupt(`the manifest is not valid: unsafe path ${JSON.stringify(unsafe)}`);
  return result.manifest;
}

async function writeAll(staging: Staging, need: Need, bytes: Buffer): Promise<void> {
  for (const place of need.places) await writeAt(staging.dir, place, bytes);
}

function faultOf(error: unknown, artifact: string, where: string, signal: AbortSignal): Fault {
  if (signal.aborted) return { code: "artifact_unavailable", message: "the pull was stopped", retryable: true };
  if (error instanceof PullError) {
    return { code: error.code, message: `artifact ${short(artifact)}: ${error.message}`, retryable: error.retryable };
  }
  return diskFault(error, `write artifact ${short(artifact)}`, where);
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

async function freeBytesAt(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

function fileOf(need: Need): string {
  return (need.places[0] as Place).path;
}

function placeKey(place: Place): string {
  return `${place.offset}:${place.path}`;
}

function sum(needs: Iterable<Need>): number {
  let bytes = 0;
  for (const { chunk, places } of needs) bytes += chunk.sizeBytes * places.length;
  return bytes;
}

function inMiB(bytes: number): string {
  return `${(bytes / (1024 * 1024)).toFixed(1)} MiB`;
}
