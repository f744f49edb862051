/**
 * `--passphrase-file FILE`: the passphrase of a backup. Never an argument: those are seen by everybody on the machine.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { CliContext } from "../context.ts";
import { badInput } from "../errors.ts";

export interface PassphraseOption {
  readonly passphraseFile?: string;
}

/** Its one line, without the line's end; undefined when none was named. */
export function readPassphrase(context: CliContext, { passphraseFile }: PassphraseOption): string | undefined {
  if (passphraseFile === undefined) return undefined;
  let text: string;
  try {
    text = readFileSync(resolve(context.cwd, passphraseFile), "utf8");
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw badInput(`--passphrase-file: ${passphraseFile} can't be read: ${why}`, cause);
  }
  const passphrase = text.replace(/\r?\n$/, "");
  if (passphrase !== "" && !/[\r\n]/.test(passphrase)) return passphrase;
  throw badInput(`--passphrase-file: ${passphraseFile} has to hold one line, the passphrase; make one with: openssl rand -base64 24 > ${passphraseFile}`);
}
