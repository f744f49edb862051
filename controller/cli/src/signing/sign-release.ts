/**
 * Signs a release: what the deployment file and the packed files make of it *here*. Nothing that a controller says gets into what is signed.
 */
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import type { Fault } from "@muster/proto/gen/muster/v1/deployments.ts";
import { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { formatEnvelope } from "@muster/proto/trust/envelope.ts";
import { readSigned, RELEASE_TYPE, releaseBytes, SIGNED_CHARS_MAX, signedAlsoBy } from "@muster/proto/trust/release-bytes.ts";
import { faulty, type DeploymentFile } from "../commands/deployment-file.ts";
import { releaseReader } from "../dev/programs.ts";
import { badInput, CliError, EXIT } from "../errors.ts";
import { signPayload } from "./ed25519.ts";
import type { Signer } from "./signer.ts";

export interface ReleaseOfFile {
  /** Without its artifact's digest. */
  readonly release: Release;
  /** As written: relative to the file. */
  readonly artifactPath: string;
}

/** Read here, by the program that a controller reads it with. Throws its faults; `outcome` says what was not done. */
export async function releaseOfFile(file: DeploymentFile, outcome: string): Promise<ReleaseOfFile> {
  const [program = "", ...args] = releaseReader();
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
  child.stdin.on("error", () => undefined);
  child.stdin.end(file.content);
  const ended = new Promise<number | null>((resolve, reject) => child.on("close", resolve).on("error", reject));
  const [code, said, complaint] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  if (code !== 0) throw new CliError(`${file.name} can't be read: ${complaint.trim()}`, { code: "internal", exit: EXIT.failed });
  const answer = JSON.parse(said) as { readonly faults: readonly Fault[] } | { readonly release: unknown; readonly artifactPath: string };
  if ("faults" in answer) throw faulty(file, answer.faults, outcome);
  return { release: Release.fromJSON(answer.release), artifactPath: answer.artifactPath };
}

export function signRelease(release: Release, { privateKey }: Signer): Release {
  const payload = releaseBytes(release);
  const signed = formatEnvelope({ payloadType: RELEASE_TYPE, payload, signatures: [signPayload(privateKey, RELEASE_TYPE, payload)] });
  if (signed.length > SIGNED_CHARS_MAX) throw badInput(`${release.app}@${release.version} is too large to be signed: its envelope has ${signed.length} characters of at most ${SIGNED_CHARS_MAX}`);
  return signedAlsoBy(release, signed);
}

/** Adds what others have signed; `name` is the file that it came from. */
export function withSignature(release: Release, signed: string, name: string): Release {
  const read = readSigned(release, signed);
  if (!read.ok) throw badInput(`${name}: ${read.message}`);
  return signedAlsoBy(release, formatEnvelope(read.envelope));
}

/** The public keys that have signed it. */
export function keysIn({ signed }: Release): readonly string[] {
  if (signed === undefined) return [];
  const { signatures } = JSON.parse(signed) as { readonly signatures: readonly { readonly keyid: string }[] };
  return signatures.map(({ keyid }) => keyid);
}
