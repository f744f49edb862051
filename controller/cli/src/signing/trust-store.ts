/** `trust.json` on disk. It is replaced whole. */
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { OpenedRoot } from "@muster/proto/trust/root-chain.ts";
import { formatTrustFile, readTrustFile, TRUST_FILE_CHARS_MAX } from "@muster/proto/trust/trust-file.ts";
import { badInput, CliError, EXIT } from "../errors.ts";
import { verifyEd25519 } from "./ed25519.ts";

/** `isWhole`: its last version must be signed by enough, too. */
export function readChain(path: string, isWhole = false): readonly OpenedRoot[] {
  let text: string;
  try {
    if (statSync(path).size > TRUST_FILE_CHARS_MAX) throw badInput(`${path} is larger than any trust file`);
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw badInput(`${path} can't be read: ${error instanceof Error ? error.message : String(error)}; begin one with: muster trust init`, error);
  }
  const read = readTrustFile(text, verifyEd25519, isWhole);
  if (!read.ok) throw badInput(`${path}: ${read.message}`);
  return read.roots;
}

export function writeChain(path: string, chain: readonly OpenedRoot[], isNew = false): void {
  if (isNew && statSync(path, { throwIfNoEntry: false }) !== undefined) throw badInput(`${path} is there already; change it with: muster trust edit`);
  const temporary = `${path}.new`;
  try {
    writeFileSync(temporary, formatTrustFile(chain));
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new CliError(`${path} can't be written: ${error instanceof Error ? error.message : String(error)}`, { code: "write_failed", exit: EXIT.failed, cause: error });
  }
}
