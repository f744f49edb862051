/**
 * `muster trust init|edit|app|sign|show|publish`: the trust root is edited and signed in a file, offline; only `publish` and `show` without a file speak to a controller.
 */
import type { Command } from "commander";
import type { CliContext } from "../context.ts";
import { parseDurationOption, wholeNumber, withExamples } from "./options.ts";
import { appRule, editRoot, initRoot, type AppOptions, type EditOptions, type InitOptions } from "./trust-edit.ts";
import { publishRoots, showRoot, signRoot, type FileOptions, type ShowOptions, type SignOptions } from "./trust-share.ts";

const KEYS_MAX = 32;
const FILE = "trust.json";

const collect = (file: string, files: readonly string[]): readonly string[] => [...files, file];

export function registerTrust(program: Command, context: CliContext): void {
  const trust = program
    .command("trust")
    .summary("say whose signatures machines ask for")
    .description("The trust root: which publishers' keys may sign which apps. Machines keep to it whatever their controller says.");
  const withFile = (command: Command): Command => command.option("-f, --file <file>", "the trust root and its earlier versions", FILE);
  const threshold = (command: Command, what: string): Command => command.option("--threshold <count>", what, wholeNumber(0, KEYS_MAX));

  const init = withFile(trust.command("init"))
    .summary("begin a trust root")
    .description("Begins a trust root, in a file. It counts once its owners have signed it and it is published.")
    .requiredOption("--key <file>", "NAME.pub of an owner, who may change the trust root; may be given again", collect, [])
    .option("--expires-in <duration>", "until when it is good", parseDurationOption, parseDurationOption("365d"))
    .action((_options: unknown, self: Command) => initRoot(context, self.optsWithGlobals<InitOptions>()));
  threshold(init, "how many of the owners must sign; all of them when left out");
  withExamples(init, [["muster trust init --key anna.pub --key ben.pub --key cleo.pub --threshold 2", "two of three may change it"]]);

  const edit = withFile(trust.command("edit"))
    .summary("change who owns it, and until when it is good")
    .description("Changes the owners or the expiry. A version that is signed is never changed: the next one begins.")
    .option("--add-key <file>", "NAME.pub of another owner; may be given again", collect, [])
    .option("--remove-key <name>", "a key that is to count nowhere any more; may be given again", collect, [])
    .option("--expires-in <duration>", "until when it is good, from now", parseDurationOption)
    .action((_options: unknown, self: Command) => editRoot(context, self.optsWithGlobals<EditOptions>()));
  threshold(edit, "how many of the owners must sign");
  withExamples(edit, [
    ["muster trust edit --remove-key ben --add-key dora.pub", "ben's key is lost"],
    ["muster trust edit --expires-in 365d", "good for another year"],
  ]);

  const app = withFile(trust.command("app"))
    .summary("say who must sign an app")
    .description("Says who must sign the releases of an app, and below which version none is run. What is left out stays as it is.")
    .argument("<pattern>", "the app's name, or the beginning of names and *, as shop-*; the longest that fits counts")
    .option("--key <file>", "NAME.pub of a publisher, or the name of a key that is in the trust root; may be given again", collect, [])
    .option("--floor <version>", "the oldest version that may be run, also by a rollback")
    .option("--no-floor", "any version may be run")
    .option("--unsigned", "these apps need no signature, whatever a shorter pattern says")
    .option("--remove", "take the rule away")
    .action((pattern: string, _options: unknown, self: Command) => appRule(context, pattern, self.optsWithGlobals<AppOptions>()));
  threshold(app, "how many of them must sign; 1 when left out");
  withExamples(app, [
    ["muster trust app 'shop-*' --key ci.pub", "releases of all shop apps are signed by ci"],
    ["muster trust app shop-pay --key ci --key anna --threshold 2 --floor 2.4.1", "both must sign, and nothing older is run"],
  ]);

  const sign = withFile(trust.command("sign"))
    .summary("sign the newest version")
    .description("Signs the newest version in the file. Pass the file round until enough have.")
    .requiredOption("--key <file>", "an owner's key")
    .option("--passphrase-file <file>", "the passphrase of the key; else it is asked for at the terminal")
    .action((_options: unknown, self: Command) => signRoot(context, self.optsWithGlobals<SignOptions>()));
  withExamples(sign, [["muster trust sign --key anna.key", "and then ben the same"]]);

  const publish = withFile(trust.command("publish"))
    .summary("send it to the controller")
    .description("Sends the versions that the controller does not have. It passes them on to the machines, each of which checks every step.")
    .action((_options: unknown, self: Command) => publishRoots(context, self.optsWithGlobals<FileOptions>()));
  withExamples(publish, [["muster trust publish", "machines that join from now on pin it"]]);

  const show = trust
    .command("show")
    .summary("show a trust root")
    .description("Shows the newest trust root that the controller has, or that of a file.")
    .option("-f, --file <file>", "of this file; it needs no controller")
    .action((_options: unknown, self: Command) => showRoot(context, self.optsWithGlobals<ShowOptions>()));
  withExamples(show, [["muster trust show -f trust.json", "what is about to be signed, and by whom it is"]]);
}
