/**
 * Small records on disk that are replaced whole: an app's state, the machine's assignment. After a crash a record is the old or the new one, never a
 * mixture. Synchronous on purpose: nothing can come between a decision and its record.
 *
 * Always holds: a record that is read is what was written, by its checksum. Anything else is set aside as `*.corrupt`, and counts as not there.
 */
import { createHash } from "node:crypto";
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { errorCode } from "./fault.ts";

export type Found = { readonly kind: "found"; readonly value: unknown } | { readonly kind: "absent" } | { readonly kind: "corrupt" };

export function readRecord(path: string, format: string): Found {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return { kind: "absent" };
    throw error;
  }
  const value = valueOf(text, format);
  if (value !== undefined) return { kind: "found", value };
  renameSync(path, `${path}.corrupt`);
  return { kind: "corrupt" };
}

/** Durable when it returns. Throws when it can't be written; the old record then stands. */
export function writeRecord(path: string, format: string, value: unknown): void {
  const directory = dirname(path);
  mkdirSync(directory, { recursive: true });
  const draft = `${path}.new`;
  const file = openSync(draft, "w", 0o600);
  try {
    writeFileSync(file, `${JSON.stringify({ format, sha256: sha256(value), value }, undefined, 1)}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(draft, path);
  const handle = openSync(directory, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
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
