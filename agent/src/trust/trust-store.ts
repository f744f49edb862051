/**
 * What the agent believes by, on its disk, so that it is there after a start without a network: whose machine it is, the keys of that controller, and the newest
 * assignment that was taken. Durable when a write returns; only the agent's own user can read it.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { readRecord, rewriteRecord, writeRecord } from "../runner/record.ts";
import type { Highest } from "./check-envelope.ts";

const KEYS_FORMAT = "muster.assignment-keys.v1";
const HIGHEST_FORMAT = "muster.highest-assignment.v1";

export interface StoredKeys {
  readonly controllerId: string;
  /** Raw public keys, hex. */
  readonly publicKeys: readonly string[];
}

export interface TrustStore {
  readonly keys: StoredKeys | undefined;
  readonly highest: Highest | undefined;
  writeKeys(keys: StoredKeys): void;
  writeHighest(highest: Highest): void;
}

export function trustDir(dir: string): string {
  return join(dir, "trust");
}

/** `onDamage`: told which file could not be read and was set aside. */
export function openTrustStore({ dir, onDamage }: { readonly dir: string; readonly onDamage: (file: string) => void }): TrustStore {
  const own = trustDir(dir);
  mkdirSync(own, { recursive: true, mode: 0o700 });
  const keysFile = join(own, "keys.json");
  const highestFile = join(own, "highest.json");
  const read = (file: string, format: string): unknown => {
    const found = readRecord(file, format);
    if (found.kind === "corrupt") onDamage(file);
    return found.kind === "found" ? found.value : undefined;
  };
  return {
    // What their checksums vouch for was written below, in this format.
    keys: read(keysFile, KEYS_FORMAT) as StoredKeys | undefined,
    highest: read(highestFile, HIGHEST_FORMAT) as Highest | undefined,
    writeKeys: (keys) => writeRecord(keysFile, KEYS_FORMAT, keys),
    writeHighest: (highest) => rewriteRecord(highestFile, HIGHEST_FORMAT, highest),
  };
}
