/**
 * `muster trust init`, `edit` and `app`: they change the file and nothing else.
 */
import { resolve } from "node:path";
import { quorumText } from "@muster/proto/trust/root-chain.ts";
import type { OpenedRoot } from "@muster/proto/trust/root-chain.ts";
import type { AppRule, TrustRoot } from "@muster/proto/trust/root.ts";
import { writeLines, type CliContext } from "../context.ts";
import { badInput } from "../errors.ts";
import { printDocument } from "../output/json.ts";
import { trustRootJson } from "../output/trust-json.ts";
import { trustRootView } from "../render/trust-view.ts";
import { readPublicKey } from "../signing/key-file.ts";
import { edited, type NamedKey, newChain, signingOf, withKeys, withoutKey } from "../signing/trust-draft.ts";
import { readChain, writeChain } from "../signing/trust-store.ts";
import { viewOptions } from "./options.ts";
import type { FileOptions } from "./trust-share.ts";

export interface InitOptions extends FileOptions {
  readonly key: readonly string[];
  readonly threshold?: number;
  /** Milliseconds. */
  readonly expiresIn: number;
}

export interface EditOptions extends FileOptions {
  readonly addKey: readonly string[];
  readonly removeKey: readonly string[];
  readonly threshold?: number;
  readonly expiresIn?: number;
}

export interface AppOptions extends FileOptions {
  readonly key: readonly string[];
  readonly threshold?: number;
  /** False: `--no-floor`. */
  readonly floor?: string | boolean;
  readonly unsigned?: boolean;
  readonly remove?: boolean;
}

export async function initRoot(context: CliContext, options: InitOptions): Promise<void> {
  const owners = options.key.map((file) => publicKeyIn(context, file));
  const chain = newChain(owners, options.threshold ?? owners.length, context.clock.now() + options.expiresIn);
  writeChain(resolve(context.cwd, options.file), chain, true);
  await show(context, chain, options);
}

export async function editRoot(context: CliContext, options: EditOptions): Promise<void> {
  const { addKey, removeKey, threshold, expiresIn } = options;
  if (addKey.length + removeKey.length === 0 && threshold === undefined && expiresIn === undefined) {
    throw badInput("nothing to change: say --add-key, --remove-key, --threshold or --expires-in");
  }
  const added = addKey.map((file) => publicKeyIn(context, file));
  await change(context, options, (before) => {
    const left = removeKey.reduce(withoutKey, before);
    const root = withKeys(left, added);
    const keys = [...new Set([...root.root.keys, ...added.map(({ name }) => name)])];
    const expiresAt = expiresIn === undefined ? root.expiresAt : context.clock.now() + expiresIn;
    return { ...root, expiresAt, root: { keys, threshold: threshold ?? root.root.threshold } };
  });
}

export async function appRule(context: CliContext, pattern: string, options: AppOptions): Promise<void> {
  if (options.remove === true) {
    return change(context, options, (root) => {
      if (!root.apps.has(pattern)) throw badInput(`the trust root has no rule for ${pattern}`);
      return { ...root, apps: new Map([...root.apps].filter(([each]) => each !== pattern)) };
    });
  }
  if (options.unsigned === true && (options.key.length > 0 || options.threshold !== undefined)) throw badInput("--unsigned leaves nothing for --key and --threshold to say");
  await change(context, options, (before) => {
    const keys = options.key.map((given) => namedKey(context, given, before));
    const root = withKeys(before, keys);
    return { ...root, apps: new Map([...root.apps, [pattern, ruleOf(root.apps.get(pattern), keys, options, pattern)]]) };
  });
}

function ruleOf(before: AppRule | undefined, keys: readonly NamedKey[], { threshold, floor, unsigned }: AppOptions, pattern: string): AppRule {
  const nextFloor = typeof floor === "string" ? floor : (floor === false ? null : (before?.floor ?? null));
  if (unsigned === true) return { keys: [], threshold: 0, floor: nextFloor };
  const names = keys.length > 0 ? [...new Set(keys.map(({ name }) => name))] : (before?.keys ?? []);
  if (names.length === 0 && nextFloor === null) throw badInput(`${pattern}: say who must sign, with --key`);
  return { keys: names, threshold: threshold ?? Math.max(before?.threshold ?? 0, names.length === 0 ? 0 : 1), floor: nextFloor };
}

async function change(context: CliContext, options: FileOptions, apply: (root: TrustRoot) => TrustRoot): Promise<void> {
  const path = resolve(context.cwd, options.file);
  const chain = edited(readChain(path), apply);
  writeChain(path, chain);
  await show(context, chain, options);
}

/** What the draft is now, and what is to be done with it. */
async function show(context: CliContext, chain: readonly OpenedRoot[], { output, file }: FileOptions): Promise<void> {
  const { root } = chain.at(-1)!;
  const signing = signingOf(chain);
  if (output === "json") return printDocument(context, trustRootJson(root, signing));
  const needs = signing.map(({ version }) => quorumText(chain.find((each) => each.root.version === version)!.root.root));
  const next = `  a draft: ${[...new Set(needs)].join(", and ")} to come; sign it with: muster trust sign -f ${file} --key NAME.key`;
  await writeLines(context.stdout, [...trustRootView(root, signing, viewOptions(context)), "", context.colors.dim(next)]);
}

function publicKeyIn(context: CliContext, file: string): NamedKey {
  return readPublicKey(resolve(context.cwd, file));
}

/** A file, or the name of a key that is there. */
function namedKey(context: CliContext, given: string, root: TrustRoot): NamedKey {
  const publicKey = root.keys.get(given);
  return publicKey === undefined ? publicKeyIn(context, given) : { name: given, publicKey };
}
