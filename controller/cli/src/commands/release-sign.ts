/**
 * `muster release sign -f FILE --key KEY`: offline. What is signed is made of the deployment file and of the files that it names, here.
 */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { counted } from "@muster/proto/text.ts";
import { SIGNED_CHARS_MAX } from "@muster/proto/trust/release-bytes.ts";
import type { Command } from "commander";
import { writeLines, type CliContext } from "../context.ts";
import { badInput, CliError, EXIT } from "../errors.ts";
import { printDocument } from "../output/json.ts";
import { shortDigest } from "../render/list-view.ts";
import { keysIn, releaseOfFile, signRelease, withSignature } from "../signing/sign-release.ts";
import { openSigner } from "../signing/signer.ts";
import type { GlobalOptions } from "../usage.ts";
import { readDeploymentFile } from "./deployment-file.ts";
import { withExamples } from "./options.ts";
import { packOnly } from "./publish-artifact.ts";

interface SignOptions extends GlobalOptions {
  readonly file: string;
  readonly key: string;
  readonly passphraseFile?: string;
  readonly out?: string;
}

export function registerRelease(program: Command, context: CliContext): void {
  const release = program.command("release").summary("sign releases").description("Signs releases.");
  const sign = release
    .command("sign")
    .summary("sign what a deployment file would run")
    .description("Signs the release that a deployment file and its files make: all that decides what runs. Works offline. A signature file that is there already gets one signature more.")
    .requiredOption("-f, --file <file>", "the deployment file; - reads stdin, and then the artifact is relative to the current folder")
    .requiredOption("--key <file>", "the publisher's key, see: muster key create")
    .option("--passphrase-file <file>", "the passphrase of the key; else it is asked for at the terminal")
    .option("--out <file>", "where the signature is written; APP-VERSION.sig.json when left out")
    .action(async (_options: unknown, self: Command) => {
      await signFile(context, self.optsWithGlobals<SignOptions>());
    });
  withExamples(sign, [
    ["muster release sign -f muster.yaml --key ci.key", "writes shop-web-1.4.2.sig.json"],
    ["muster deploy -f muster.yaml --signature shop-web-1.4.2.sig.json", "deploys it, signed"],
  ]);
}

async function signFile(context: CliContext, options: SignOptions): Promise<void> {
  const file = await readDeploymentFile(context, options.file);
  const { release: unsigned, artifactPath } = await releaseOfFile(file, "nothing was signed");
  const { digest } = await packOnly(context, resolve(file.folder, artifactPath), options.output);
  const release = { ...unsigned, artifact: digest };
  const { app, version } = release;
  const out = options.out ?? `${app}-${version}.sig.json`;
  const path = resolve(context.cwd, out);
  const before = readSignatureFile(path);
  const known = before === undefined ? release : withSignature(release, before, out);
  const signed = signRelease(known, await openSigner(context, options.key, options.passphraseFile));
  writeSignature(path, out, signed);
  const signatures = keysIn(signed);
  if (options.output === "json") return printDocument(context, { app, version, artifact: digest, file: path, keys: [...signatures] });
  await writeLines(context.stdout, [`${context.colors.bold(`${app}@${version}`)}  artifact ${shortDigest(digest)}  ${counted(signatures.length, "signature")}: ${out}`]);
}

/** Undefined: there is none. */
function readSignatureFile(path: string): string | undefined {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
  return readSignature(path, path);
}

/** What `release sign` has written. */
export function readSignature(path: string, name: string): string {
  try {
    if (statSync(path).size > SIGNED_CHARS_MAX) throw badInput(`${name} is larger than any signature`);
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw badInput(`${name} can't be read: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}

function writeSignature(path: string, name: string, { signed = "" }: Release): void {
  try {
    writeFileSync(path, `${signed}\n`);
  } catch (error) {
    throw new CliError(`${name} can't be written: ${error instanceof Error ? error.message : String(error)}`, { code: "write_failed", exit: EXIT.failed, cause: error });
  }
}
