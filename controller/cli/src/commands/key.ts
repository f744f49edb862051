/**
 * `muster key create NAME` and `muster key show FILE`
 */
import { resolve } from "node:path";
import type { Command } from "commander";
import { writeLines, type CliContext } from "../context.ts";
import { badInput } from "../errors.ts";
import { printDocument } from "../output/json.ts";
import { createKeyFiles, readKeyFile, readPublicKey } from "../signing/key-file.ts";
import { askNewPassphrase, passphraseFrom } from "../signing/passphrase.ts";
import type { GlobalOptions } from "../usage.ts";
import { withExamples } from "./options.ts";

interface CreateOptions extends GlobalOptions {
  readonly dir: string;
  readonly passphrase?: boolean;
  readonly passphraseFile?: string;
}

export function registerKey(program: Command, context: CliContext): void {
  const key = program.command("key").summary("make the keys that releases are signed with").description("Makes and shows the keys that publishers sign with. Works offline.");
  const create = key
    .command("create")
    .summary("make a publisher's key")
    .description("Makes a publisher's key: NAME.key, which is a secret, and NAME.pub, which is not.")
    .argument("<name>", "whose key it is")
    .option("--dir <dir>", "where both files are written", ".")
    .option("--passphrase", "seal the key with a passphrase, asked for at the terminal")
    .option("--passphrase-file <file>", "seal the key with the passphrase in this file")
    .action(async (name: string, _options: unknown, self: Command) => {
      await createKey(context, name, self.optsWithGlobals<CreateOptions>());
    });
  withExamples(create, [
    ["muster key create anna --passphrase", "for a person"],
    ["muster key create ci", "for a build machine that keeps secrets itself"],
  ]);
  const show = key
    .command("show")
    .summary("show a public key")
    .description("Shows the public key of a .key or .pub file.")
    .argument("<file>", "NAME.key or NAME.pub")
    .action(async (file: string, _options: unknown, self: Command) => {
      await showKey(context, file, self.optsWithGlobals<GlobalOptions>());
    });
  withExamples(show, [["muster key show anna.key", "as it stands in a trust root"]]);
}

async function createKey(context: CliContext, name: string, options: CreateOptions): Promise<void> {
  if (options.passphrase === true && options.passphraseFile !== undefined) throw badInput("--passphrase and --passphrase-file exclude each other");
  const at = (file: string): string => resolve(context.cwd, options.dir, file);
  const files = { key: at(`${name}.key`), pub: at(`${name}.pub`) };
  const publicKey = createKeyFiles(name, files, await newPassphrase(context, options));
  const isSealed = options.passphrase === true || options.passphraseFile !== undefined;
  if (options.output === "json") return printDocument(context, { name, public_key: publicKey, key_file: files.key, public_file: files.pub, sealed: isSealed });
  const { colors } = context;
  await writeLines(context.stdout, [
    `${colors.bold(name)}  ${publicKey}`,
    colors.dim(`  ${files.key}  secret: ${isSealed ? "sealed with the passphrase" : "not sealed, so whoever reads it can sign"}`),
    colors.dim(`  ${files.pub}  for the trust root`),
  ]);
}

async function newPassphrase(context: CliContext, { passphrase, passphraseFile }: CreateOptions): Promise<string | undefined> {
  if (passphraseFile !== undefined) return passphraseFrom(resolve(context.cwd, passphraseFile));
  return passphrase === true ? askNewPassphrase(context) : undefined;
}

async function showKey(context: CliContext, file: string, options: GlobalOptions): Promise<void> {
  const path = resolve(context.cwd, file);
  const { name, publicKey } = path.endsWith(".key") ? readKeyFile(path) : readPublicKey(path);
  if (options.output === "json") return printDocument(context, { name, public_key: publicKey });
  await writeLines(context.stdout, [`${publicKey} ${name}`]);
}
