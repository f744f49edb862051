/**
 * `muster trust sign`, `show` and `publish`: what happens to a trust root that is written.
 */
import { resolve } from "node:path";
import type { TrustRoot as StoredRoot } from "@muster/proto/gen/muster/v1/trust.ts";
import { counted } from "@muster/proto/text.ts";
import { formatEnvelope, withSignatures } from "@muster/proto/trust/envelope.ts";
import { type OpenedRoot, openRoot } from "@muster/proto/trust/root-chain.ts";
import { TRUST_ROOT_TYPE } from "@muster/proto/trust/root.ts";
import type { Controller } from "../client/controller.ts";
import { withController } from "../client/session.ts";
import { write, writeLines, type CliContext } from "../context.ts";
import { badInput, CliError, EXIT } from "../errors.ts";
import { printDocument } from "../output/json.ts";
import { trustRootJson } from "../output/trust-json.ts";
import { trustRootView } from "../render/trust-view.ts";
import { signPayload } from "../signing/ed25519.ts";
import { openSigner } from "../signing/signer.ts";
import { isWhole, signingOf, withEnvelope } from "../signing/trust-draft.ts";
import { readChain, writeChain } from "../signing/trust-store.ts";
import type { GlobalOptions } from "../usage.ts";
import { viewOptions } from "./options.ts";

export interface FileOptions extends GlobalOptions {
  readonly file: string;
}

export interface SignOptions extends FileOptions {
  readonly key: string;
  readonly passphraseFile?: string;
}

export interface ShowOptions extends GlobalOptions {
  readonly file?: string;
}

export async function signRoot(context: CliContext, options: SignOptions): Promise<void> {
  const path = resolve(context.cwd, options.file);
  const chain = readChain(path);
  const { root, envelope } = chain.at(-1)!;
  const signer = await openSigner(context, options.key, options.passphraseFile);
  const owners = [chain.at(-2)?.root, root].flatMap((each) => (each === undefined ? [] : each.root.keys.map((name) => each.keys.get(name))));
  if (!owners.includes(signer.publicKey)) throw badInput(`${signer.name} owns neither trust root ${root.version} nor the one before: its signature would count for nothing`);
  const signature = signPayload(signer.privateKey, TRUST_ROOT_TYPE, envelope.payload);
  const signed = withEnvelope(chain, withSignatures(envelope, [signature]));
  writeChain(path, signed);
  const signing = signingOf(signed);
  if (options.output === "json") return printDocument(context, trustRootJson(root, signing));
  const next = isWhole(signed) ? `  signed by enough; publish it with: muster trust publish -f ${options.file}` : "  pass the file on to whoever signs next";
  await writeLines(context.stdout, [...trustRootView(root, signing, viewOptions(context)), "", context.colors.dim(next)]);
}

export async function publishRoots(context: CliContext, options: FileOptions): Promise<void> {
  const chain = readChain(resolve(context.cwd, options.file), true);
  const last = chain.at(-1)!;
  const published = await withController(context, options, async (controller) => {
    const { newestVersion } = await controller.unary(controller.trust, controller.trust.listTrustRoots, { afterVersion: 0 });
    await refuseOther(controller, chain, newestVersion, options.file);
    const missing = chain.filter(({ root }) => root.version > newestVersion);
    for (const { envelope } of missing) {
      const request = { envelope: formatEnvelope(envelope), by: context.user() };
      await controller.unary(controller.trust, controller.trust.publishTrustRoot, request);
    }
    return missing.map(({ root }) => root.version);
  });
  if (options.output === "json") return printDocument(context, { version: last.root.version, published });
  const news = published.length === 0 ? "the controller has it already" : `${counted(published.length, "version")} published`;
  await write(context.stdout, `trust root ${last.root.version}: ${news}\n`);
}

/** The controller's newest must be one of the file's, or theirs are two roots. */
async function refuseOther(controller: Controller, chain: readonly OpenedRoot[], newestVersion: number, file: string): Promise<void> {
  if (newestVersion === 0) return;
  const newest = (await rootsAfter(controller, newestVersion - 1))[0];
  const ours = chain.find(({ root }) => root.version === newestVersion);
  const last = chain.at(-1)!.root.version;
  if (ours === undefined) throw badInput(`${file} ends with version ${last}, and the controller has version ${newestVersion}: get the newer file`);
  const theirs = newest === undefined ? undefined : openRoot(newest.envelope);
  if (theirs?.ok === true && Buffer.from(theirs.envelope.payload).equals(ours.envelope.payload)) return;
  throw badInput(`version ${newestVersion} of the controller is not version ${newestVersion} of ${file}: they are two different trust roots`);
}

export async function showRoot(context: CliContext, options: ShowOptions): Promise<void> {
  if (options.file !== undefined) {
    const chain = readChain(resolve(context.cwd, options.file));
    return print(context, options, chain, undefined);
  }
  const stored = await withController(context, options, async (controller) => {
    const { newestVersion } = await controller.unary(controller.trust, controller.trust.listTrustRoots, { afterVersion: 0 });
    return newestVersion === 0 ? [] : rootsAfter(controller, Math.max(0, newestVersion - 2));
  });
  const newest = stored.at(-1);
  if (newest === undefined) {
    if (options.output === "json") return printDocument(context, null);
    return write(context.stdout, "no trust root is published: machines ask for no signatures; begin one with: muster trust init\n");
  }
  await print(context, options, stored.map(openedOf), newest);
}

async function rootsAfter(controller: Controller, afterVersion: number): Promise<readonly StoredRoot[]> {
  const { roots } = await controller.unary(controller.trust, controller.trust.listTrustRoots, { afterVersion });
  return roots;
}

function openedOf({ envelope }: StoredRoot): OpenedRoot {
  const opened = openRoot(envelope);
  if (opened.ok) return opened;
  throw new CliError(`the controller's trust root can't be read: ${opened.message}`, { code: "internal", exit: EXIT.failed });
}

async function print(context: CliContext, { output }: GlobalOptions, chain: readonly OpenedRoot[], published: StoredRoot | undefined): Promise<void> {
  const { root } = chain.at(-1)!;
  const signing = signingOf(chain);
  if (output === "json") return printDocument(context, trustRootJson(root, signing, published));
  const by = published === undefined ? [] : [`  published by ${published.publishedBy}`];
  await writeLines(context.stdout, [...trustRootView(root, signing, viewOptions(context)), ...by]);
}
