/** A key that a command was given to sign with. */
import type { KeyObject } from "node:crypto";
import { resolve } from "node:path";
import type { PublicKey } from "@muster/proto/trust/public-key.ts";
import type { CliContext } from "../context.ts";
import { openKey, readKeyFile } from "./key-file.ts";
import { askPassphrase, passphraseFrom } from "./passphrase.ts";

export interface Signer {
  readonly name: string;
  readonly publicKey: PublicKey;
  readonly privateKey: KeyObject;
}

/** `passphraseFile` undefined: asked at the terminal, when the key is sealed. */
export async function openSigner(context: CliContext, keyFile: string, passphraseFile: string | undefined): Promise<Signer> {
  const file = readKeyFile(resolve(context.cwd, keyFile));
  const privateKey = await openKey(file, async () => {
    if (passphraseFile !== undefined) return passphraseFrom(resolve(context.cwd, passphraseFile));
    return askPassphrase(context, `passphrase of ${file.name}: `, `use --passphrase-file FILE for ${keyFile}`);
  });
  return { name: file.name, publicKey: file.publicKey, privateKey };
}
