/**
 * `muster secret set NAME`, `muster secret list` and `muster secret rm NAME`. A value comes from a file or a pipe, never from the command line, where everybody
 * on the machine could read it; and none comes back.
 */
import type { Command } from "commander";
import type { Secret } from "@muster/proto/gen/muster/v1/secrets.ts";
import { withController } from "../client/session.ts";
import { write, writeLines, type CliContext } from "../context.ts";
import { badInput, CliError, EXIT } from "../errors.ts";
import { printDocument } from "../output/json.ts";
import { secretJson } from "../output/secret-json.ts";
import { removedLines, secretLine, secretTable } from "../render/secret-view.ts";
import type { GlobalOptions } from "../usage.ts";
import { viewOptions, withExamples } from "./options.ts";
import { readWhole } from "./read-whole.ts";

/** The most that the controller keeps. */
const VALUE_BYTES_MAX = 64 * 1024;

interface SetOptions extends GlobalOptions {
  readonly fromFile: string;
  readonly apps?: string;
  readonly exact: boolean;
}

interface RemoveOptions extends GlobalOptions {
  readonly force: boolean;
}

export function registerSecret(program: Command, context: CliContext): void {
  const secret = program
    .command("secret")
    .summary("set, list and remove secrets")
    .description("Secrets are values that releases name in run.env and run.files. The controller keeps them encrypted, and gives them to nobody but the machines that need them.");
  const set = secret
    .command("set")
    .summary("give a secret a value, or a new one")
    .description("Gives a secret a value, or a new one: releases that are made from now on take it, those that are there keep the one that they were made with. A single line loses its line end.")
    .argument("<secret>", "the secret, for example db-password")
    .option("--from-file <file>", "read the value from a file; - is stdin", "-")
    .option("--apps <list>", 'apps that may name it: "shop-*,billing"; else as before, and at first all')
    .option("--exact", "keep the line end of a single line", false)
    .action(async (name: string, _options: unknown, self: Command) => {
      await setSecret(context, name, self.optsWithGlobals<SetOptions>());
    });
  withExamples(set, [
    ["muster secret set db-password < password.txt", "from stdin"],
    ["muster secret set tls-key --from-file server.key --apps 'shop-*'", "for some apps alone"],
  ]);
  const list = secret
    .command("list")
    .summary("list the secrets, without their values")
    .description("Lists the secrets with their versions and the releases that need them. Nothing shows a value.")
    .action(async (_options: unknown, self: Command) => {
      await listSecrets(context, self.optsWithGlobals<GlobalOptions>());
    });
  withExamples(list, [["muster secret list -o json", "with all versions"]]);
  const remove = secret
    .command("rm")
    .summary("remove a secret with all its versions")
    .description("Removes a secret with all its versions. Refused while releases need it.")
    .argument("<secret>", "the secret, see: muster secret list")
    .option("--force", "though releases need it: machines keep what they have, and no other gets it", false)
    .action(async (name: string, _options: unknown, self: Command) => {
      await removeSecret(context, name, self.optsWithGlobals<RemoveOptions>());
    });
  withExamples(remove, [["muster secret rm db-password", "once nothing names it any more"]]);
}

async function setSecret(context: CliContext, name: string, options: SetOptions): Promise<void> {
  const { fromFile, apps = "", exact } = options;
  const value = await readValue(context, name, fromFile, exact);
  const { secret } = await withController(context, options, (controller) =>
    controller.unary(controller.secrets, controller.secrets.setSecret, { name, value, apps, by: context.user() }),
  );
  if (secret === undefined) throw new CliError("the controller answered without a secret", { code: "internal", exit: EXIT.failed });
  if (options.output === "json") return printDocument(context, secretJson(secret));
  await writeLines(context.stdout, [secretLine(secret, viewOptions(context))]);
}

async function readValue(context: CliContext, name: string, file: string, exact: boolean): Promise<Buffer> {
  if (file === "-" && "isTTY" in context.stdin && context.stdin.isTTY === true) {
    throw badInput(`the value of ${name} is read from stdin, which is a terminal that would show it; use a pipe or --from-file, for example: muster secret set ${name} --from-file FILE`);
  }
  const value = await readWhole(context, file, {
    bytesMax: VALUE_BYTES_MAX,
    tooLarge: "is larger than 64 KiB, too large for a secret",
    wayOut: () => "name the file in it that holds the value",
  });
  const plain = exact ? value : withoutLineEnd(value);
  if (plain.length === 0) throw badInput(`the value of ${name} is empty`);
  return plain;
}

/** Whoever types a password into a file ends the line; nobody means that to be part of it. */
function withoutLineEnd(value: Buffer): Buffer {
  if (value.indexOf("\n") !== value.length - 1) return value;
  return value.subarray(0, value.at(-2) === 0x0d ? -2 : -1);
}

async function listSecrets(context: CliContext, options: GlobalOptions): Promise<void> {
  const { secrets } = await withController(context, options, (controller) => controller.unary(controller.secrets, controller.secrets.listSecrets, {}));
  if (options.output === "json") return printDocument(context, secrets.map((secret: Secret) => secretJson(secret)));
  const lines = secretTable(secrets, viewOptions(context));
  await writeLines(context.stdout, lines.length > 0 ? lines : ["no secrets; make one with: muster secret set db-password --from-file FILE"]);
}

async function removeSecret(context: CliContext, name: string, options: RemoveOptions): Promise<void> {
  const request = { name, force: options.force, by: context.user() };
  const { neededBy } = await withController(context, options, (controller) => controller.unary(controller.secrets, controller.secrets.removeSecret, request));
  if (options.output === "json") return printDocument(context, { name, removed: true, needed_by: neededBy });
  await write(context.stdout, `${removedLines(name, neededBy).join("\n")}\n`);
}
