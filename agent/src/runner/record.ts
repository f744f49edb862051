/**
 * Small records on disk that are replaced whole: an app's state, the machine's assignment. After a crash a record is the old or the new one, never a
 * mixture. Synchronous on purpose: nothing can come between a decision and its record.
 *
 * A record that must be written on a full disk too is written over the one before the last, whose room it takes: `x.json` is the record, `x.json.new` its spare. The two
 * change names once the new one is flushed. It needs new room only while it grows.
 *
 * Always holds: a record that is read is what was written, by its checksum. Anything else is set aside as `*.corrupt`, and counts as not there.
 */
import { createHash } from "node:crypto";
import { closeSync, constants, existsSync, fstatSync, fsyncSync, linkSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { errorCode, withPath } from "./fault.ts";

export type Found = { readonly kind: "found"; readonly value: unknown } | { readonly kind: "absent" } | { readonly kind: "corrupt" };

const { O_CREAT, O_NOFOLLOW, O_WRONLY } = constants;
const BLOCK_BYTES = 4096;
/** A spare has room for what an app's state may grow by: it names up to three releases. */
const SPARE_FACTOR = 3;

export function readRecord(path: string, format: string): Found {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return { kind: "absent" };
    throw withPath(error, path);
  }
  const value = valueOf(text, format);
  if (value !== undefined) return { kind: "found", value };
  renameSync(path, `${path}.corrupt`);
  return { kind: "corrupt" };
}

/** Durable when it returns. Throws when it can't be written; the old record then stands. */
export function writeRecord(path: string, format: string, value: unknown): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    const draft = `${path}.new`;
    const file = openSync(draft, "w", 0o600);
    try {
      writeFileSync(file, textOf(format, value));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(draft, path);
    syncDirectory(dirname(path));
  } catch (error) {
    throw withPath(error, path);
  }
}

/** The same, in the room of the record before the last. What was written before stays readable there for a while: not for what must not be kept. */
export function rewriteRecord(path: string, format: string, value: unknown): void {
  const spare = `${path}.new`;
  const bytes = Buffer.from(textOf(format, value));
  try {
    mkdirSync(dirname(path), { recursive: true });
    const before = `${path}.old`;
    reclaim(before, spare);
    fill(spare, bytes);
    const isKept = linked(path, before);
    renameSync(spare, path);
    if (isKept) renameSync(before, spare);
    syncDirectory(dirname(path));
  } catch (error) {
    throw withPath(error, path);
  }
  if (existsSync(spare)) return;
  try {
    fill(spare, bytes);
  } catch {
    // There is no room for a spare now: the next record asks for it again.
  }
}

/** What a death between the two renames has left. */
function reclaim(before: string, spare: string): void {
  if (existsSync(spare)) return;
  try {
    renameSync(before, spare);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}

/** Writes over the whole of a file, or makes one with room to spare. A file that has a second name may be the record itself, and is left alone. */
function fill(path: string, bytes: Uint8Array): void {
  let file = openSync(path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0o600);
  try {
    if (fstatSync(file).nlink > 1) {
      closeSync(file);
      rmSync(path);
      file = openSync(path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0o600);
    }
    const { size } = fstatSync(file);
    const sizeBytes = size >= bytes.length ? size : Math.ceil((bytes.length * SPARE_FACTOR) / BLOCK_BYTES) * BLOCK_BYTES;
    const whole = Buffer.alloc(sizeBytes, " ");
    whole.set(bytes);
    for (let at = 0; at < sizeBytes; ) at += writeSync(file, whole, at, sizeBytes - at, at);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Gives a file a second name. False where there is no such file, no room for the name, or no file system that can: then its room is given up. */
function linked(path: string, name: string): boolean {
  try {
    rmSync(name, { force: true });
    linkSync(path, name);
    return true;
  } catch {
    return false;
  }
}

/** Makes the names in a directory durable. */
export function syncDirectory(path: string): void {
  const handle = openSync(path, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function textOf(format: string, value: unknown): string {
  return `${JSON.stringify({ format, sha256: sha256(value), value }, undefined, 1)}\n`;
}

function valueOf(text: string, format: string): unknown {
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof record !== "object" || record === null || !("value" in record)) return undefined;
  const isOurs = "format" in record && record.format === format && "sha256" in record && record.sha256 === sha256(record.value);
  return isOurs ? record.value : undefined;
}

function sha256(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}
