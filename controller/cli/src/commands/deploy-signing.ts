/**
 * The signatures that `deploy` sends with a release: made with a key, read from files, or both.
 */
import { resolve } from "node:path";
import type { CliContext } from "../context.ts";
import { releaseOfFile, signRelease, withSignature } from "../signing/sign-release.ts";
import { openSigner } from "../signing/signer.ts";
import type { DeploymentFile } from "./deployment-file.ts";
import { readSignature } from "./release-sign.ts";

export interface SigningOptions {
  readonly signKey?: string;
  readonly passphraseFile?: string;
  readonly signature: readonly string[];
}

export interface Signing {
  /** As the file says, read here. */
  readonly artifactPath: string;
  /** The envelope for the release with this artifact. Throws when a file's signature is of another one. */
  signed(artifact: string): string;
}

/** Undefined: it is deployed unsigned. Asks for what it needs before anything is sent. */
export async function prepareSigning(context: CliContext, file: DeploymentFile, { signKey, passphraseFile, signature: names }: SigningOptions): Promise<Signing | undefined> {
  if (signKey === undefined && names.length === 0) return undefined;
  const { release, artifactPath } = await releaseOfFile(file, "nothing was deployed");
  const signatures = names.map((name) => ({ name, text: readSignature(resolve(context.cwd, name), name) }));
  const signer = signKey === undefined ? undefined : await openSigner(context, signKey, passphraseFile);
  return {
    artifactPath,
    signed: (artifact) => {
      const read = signatures.reduce((made, { name, text }) => withSignature(made, text, name), { ...release, artifact });
      return (signer === undefined ? read : signRelease(read, signer)).signed ?? "";
    },
  };
}
